"""How a call is ended from outside while user code runs.

The front end writes an `Interrupt` frame that names the call, then sends a signal. The
signal is only the doorbell: its handler looks into the socket, and raises
`Interruption` in the main thread if the call named is the one running. So a signal
that comes late, or twice, ends nothing that it was not meant for.

The signal is SIGVTALRM because nothing else uses it: a script keeps SIGALRM and its
interval timer for itself (the reference server takes both). Code that holds the
interpreter (a long call into C) does not see the signal until it comes back; the front
end kills the process then, after a grace.
"""

from __future__ import annotations

import contextlib
import signal
import traceback
from collections.abc import Iterator
from types import FrameType

from azmlinfsrv.errors import Interruption
from azmlinfsrv.script import scorer
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import Cancel, Credit, Interrupt

# None where signals cannot interrupt (Windows): there a call that is over its time
# ends with its process.
DOORBELL: signal.Signals | None = getattr(signal, "SIGVTALRM", None)


# The one module that calls `run`.
_CALLER = scorer.__file__


class Interrupts:
    """Knows which call's user code is running in the main thread."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._running = 0  # the call, or 0 outside user code
        # A handler may be interrupted by itself; the socket must be read by one at a time.
        self._is_looking = False
        self._has_rung = False
        # Bytes of credit that arrived while the handler looked for something else.
        self.credit_bytes = 0

    def install(self) -> None:
        """Take the doorbell signal; call in the main thread."""
        if DOORBELL is not None:
            signal.signal(DOORBELL, self._ring)

    def enter(self, call_id: int) -> None:
        """User code of this call begins."""
        self._running = call_id

    def leave(self) -> None:
        """User code has ended; from here a late signal does nothing."""
        self._running = 0

    @contextlib.contextmanager
    def user_code(self, call_id: int) -> Iterator[None]:
        """User code of this call runs here."""
        self.enter(call_id)
        try:
            yield
        finally:
            self.leave()

    def _ring(self, _signum: int, frame: FrameType | None) -> None:
        self._has_rung = True
        if not self._running or self._is_looking:
            return  # there is nothing to end, or the one that looks will look again
        if not self._channel.put_off(lambda: self._look(frame)):
            self._look(frame)

    def _look(self, frame: FrameType | None) -> None:
        self._is_looking = True
        try:
            self._has_rung = True
            while self._has_rung:
                self._has_rung = False
                self._read(frame)
        finally:
            self._is_looking = False

    def _read(self, frame: FrameType | None) -> None:
        call_id = self._running
        if not call_id:
            return
        try:
            while (message := self._channel.next_control(wait=False)) is not None:
                if isinstance(message, Interrupt | Cancel) and message.call_id == call_id:
                    self._running = 0
                    reason = message.reason if isinstance(message, Interrupt) else "cancelled"
                    raise Interruption(reason, stack_of(frame))
                if isinstance(message, Credit) and message.call_id == call_id:
                    self.credit_bytes += message.body_bytes
        except Closed:
            # The front end has gone: whatever runs, runs for nobody.
            self._running = 0
            raise Interruption("cancelled") from None


def stack_of(frame: FrameType | None) -> str:
    """Where the script is, without the frames of the server that called it."""
    stack = traceback.extract_stack(frame)
    ours = [index for index, entry in enumerate(stack) if entry.filename == _CALLER]
    return "".join(traceback.format_list(stack[ours[-1] + 1 :] if ours else stack))
