"""Waiting for a debugger before the script is loaded (R8.1).

The debugger listens (an editor does, on this machine) and the worker connects to it,
because the editor outlives the workers.
"""

from __future__ import annotations

import contextlib
import io
import logging
import sys
from collections.abc import Callable
from typing import TextIO

_log = logging.getLogger("azmlinfsrv")


class NoDebugger(Exception):
    """There is none to wait for; the text says why, and what to do."""


def wait_for_debugger(port: int, say: Callable[[str], None]) -> None:
    """Connect to the debugger that listens on *port* here, and wait until it is set up.

    Args:
        port: On the loopback interface.
        say: Writes a line to standard output.
    Raises:
        NoDebugger: debugpy is not installed, or nobody listens.
    """
    # To the letter: R8.1.
    say("!! Starting the inference server in DEBUGGING mode because AZUREML_DEBUG_PORT is set.")
    say("!! This environment variable should not be set in a production environment.")
    hush = _Hush(sys.stderr)
    with contextlib.redirect_stderr(hush):
        try:
            import debugpy
        except ModuleNotFoundError as error:
            if error.name != "debugpy":
                raise
            say("** Cannot connect to a debugger because debugpy is not installed.")
            raise NoDebugger(
                "AZUREML_DEBUG_PORT is set, but debugpy is not installed. Install it "
                "(pip install debugpy), or unset AZUREML_DEBUG_PORT."
            ) from error
        say(f"** Connecting to debugger at port {port}...")
        try:
            debugpy.connect(("127.0.0.1", port))
        except OSError as error:
            raise NoDebugger(
                f"No debugger listens at 127.0.0.1:{port}, the port AZUREML_DEBUG_PORT names "
                f"({error.strerror}). Start one that listens there first (in VS Code: request "
                '"attach" with "listen"), or unset AZUREML_DEBUG_PORT.'
            ) from error
    hush.is_on = False
    debugpy.wait_for_client()
    _log.info("Scoring has no time limit, since a debugger is configured.")


class _Hush(io.TextIOBase):
    """Standard error without what debugpy remarks while it connects: our report says it.

    debugpy keeps the stream, so that it must serve afterwards, too.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.is_on = True

    def write(self, text: str) -> int:
        return len(text) if self.is_on else self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()
