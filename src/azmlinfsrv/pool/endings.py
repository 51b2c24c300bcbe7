"""What to do about a scoring process that ended under a call, by how it ended."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from typing import Final

_NATIVE = (
    "Code outside Python did that: a C extension, often one built for another version of a "
    "library. The lines that begin with 'Fatal Python error' in the log are the Python stack "
    "at that moment."
)
_HINTS: Final[Mapping[str, str]] = {
    "SIGKILL": (
        "Something outside killed it; mostly that is the kernel, because memory ran out, or a "
        "container's memory limit. Look at what run() holds, use a smaller model or a smaller "
        "--worker_count, or give it more memory."
    ),
    "SIGSEGV": _NATIVE,
    "SIGBUS": _NATIVE,
    "SIGFPE": _NATIVE,
    "SIGILL": (
        "A library uses instructions this processor does not have; install a build of it for "
        "this machine."
    ),
    "SIGABRT": (
        "A C library gave up by abort(); what it says stands in the log before this, and so "
        "does the Python stack."
    ),
    "SIGTERM": "Something sent it SIGTERM; look for os.kill() in the script and its libraries.",
}


def hint_for_end(return_code: int | None) -> str:
    """The next step, in one or two sentences; empty if there is none to tell.

    Args:
        return_code: As `subprocess` has it: a status, or a signal's number, negative.
    """
    if return_code is None:
        return ""
    if return_code >= 0:
        return (
            "Something in run() ended the process itself: os._exit() or exit() in C code. "
            "Raise an exception, or return an answer instead."
        )
    try:
        return _HINTS.get(signal.Signals(-return_code).name, "")
    except ValueError:
        return ""
