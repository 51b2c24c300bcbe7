"""Standard input, output and error: there, and not waited for.

A server is started by supervisors, containers and shells that may have closed its
descriptors, or do not read what it says. Neither may keep it from serving.
"""

from __future__ import annotations

import os
import sys

from azmlinfsrv.telemetry.sink import Sink

# A reader that takes nothing for this long is not waited for, in seconds.
_PATIENCE_S = 1.0


def keep_descriptors() -> None:
    """Open those of 0, 1 and 2 that are closed to nowhere.

    Or the next thing that is opened, a socket to a client for one, would take the number,
    and be sent our log.
    """
    for descriptor in (0, 1, 2):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
    # Python makes none of a descriptor that was closed when it started.
    if sys.stdout is None:
        sys.stdout = open(1, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # for good
    if sys.stderr is None:
        sys.stderr = open(2, "w", encoding="utf-8", closefd=False)  # noqa: SIM115  # as above


def say(text: str) -> None:
    """Write to standard output; neither a reader that has gone nor a stalled one is an error.

    The text of a stalled reader is kept, and written when it reads again.
    """
    try:
        sys.stdout.flush()
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        sys.stdout.write(text)  # not a file: a stream of whoever called us
        return
    sink = Sink(descriptor)
    sink.write(text)
    sink.close(_PATIENCE_S)
