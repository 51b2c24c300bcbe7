"""The worker's end of the socket to the front end: blocking, one reader, any writer."""

from __future__ import annotations

import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Iterator

from azmlinfsrv.messages import Buffer
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import (
    ForkEnded,
    FrameReader,
    Score,
    Start,
    ToFrontEnd,
    ToWorker,
    pack,
)


class Closed(Exception):
    """The front end has closed its end, or has died."""


class Channel:
    """Frames over a connected stream socket.

    Only the main thread receives. Any thread may send: user threads log. A send from
    within a send (a signal handler of the script's that logs while a frame is being
    written) is put off until the frame is out, since frames must not interleave. A handler
    of the script's that raises in the middle of a frame leaves its rest to the next send.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self.restart()

    def restart(self) -> None:
        """Begin anew: in a fork, whose descriptor leads elsewhere than its parent's.

        Locks held by threads that were not forked are let go of, too.
        """
        self._reader: FrameReader[ToWorker] = FrameReader(frames.to_worker)
        # Calls and what is said about the current one are taken at different places.
        self._calls: deque[tuple[Score, Buffer]] = deque()
        self._controls: deque[ToWorker] = deque()
        # The pipe of claims (`azmlinfsrv.pool.claims`); -1 if nothing is sent ahead.
        self._claims = -1
        self._sending = threading.Lock()
        self._sender = 0
        self._put_off: deque[list[Buffer]] = deque()
        self._unwritten: deque[memoryview] = deque()
        # Of the main thread alone: only there signal handlers run.
        self._after_send: Callable[[], None] | None = None
        self._main = threading.get_ident()

    def receive_start(self) -> Start:
        """The first frame; the pipe of claims may come with it.

        Raises:
            Closed: there is none.
        """
        while not self._controls:
            self._fill(with_claims=True)
        start = self._controls.popleft()
        if not isinstance(start, Start):
            raise Closed
        return start

    def next_call(self) -> tuple[Score, Buffer]:
        """The next call; waits for it. What was said about others is forgotten.

        Raises:
            Closed: there will be none.
        """
        while not self._calls:
            self._fill()
        call, body = self._calls.popleft()
        while self._controls and getattr(self._controls[0], "call_id", 0) != call.call_id:
            self._controls.popleft()
        return call, body

    def fileno(self) -> int:
        """The socket's descriptor, for an event loop."""
        return self._connection.fileno()

    def next_frame(self) -> tuple[ToWorker, Buffer]:
        """The next frame, of a call or about one; waits for it.

        Raises:
            Closed: there will be none.
        """
        while not self._calls and not self._controls:
            self._fill()
        return self._calls.popleft() if self._calls else (self._controls.popleft(), b"")

    def frames_at_hand(self) -> Iterator[tuple[ToWorker, Buffer]]:
        """The frames that have arrived, without waiting.

        Raises:
            Closed: there will be none.
        """
        if select.select([self._connection], [], [], 0)[0]:
            self._fill()
        while self._calls or self._controls:
            yield self.next_frame()

    def next_control(self, *, wait: bool) -> ToWorker | None:
        """The next frame about the current call; None if there is none and *wait* is False.

        Raises:
            Closed: there will be none.
        """
        while not self._controls:
            if not wait and not select.select([self._connection], [], [], 0)[0]:
                return None
            self._fill()
        return self._controls.popleft()

    def claim(self) -> bool:
        """Whether a call that was sent ahead is still this worker's to run."""
        try:
            return len(os.read(self._claims, 1)) == 1
        except BlockingIOError:
            return False

    def send(self, header: ToFrontEnd | ForkEnded, body: Buffer = b"") -> None:
        """Write one frame.

        Raises:
            Closed: nobody reads any more.
        """
        buffers = pack(header, body)
        me = threading.get_ident()
        if self._sender == me:
            self._put_off.append(buffers)
            return
        with self._sending:
            self._sender = me
            try:
                self._write(buffers)
                while self._put_off:
                    self._write(self._put_off.popleft())
            finally:
                self._sender = 0
        if self._after_send is not None and me == self._main:
            after_send, self._after_send = self._after_send, None
            after_send()

    def put_off(self, action: Callable[[], None]) -> bool:
        """Run *action* after the frame this thread is writing; False if it writes none.

        For signal handlers: raising in the middle of a frame would leave half of it.
        """
        if self._sender != threading.get_ident():
            return False
        self._after_send = action
        return True

    def _fill(self, *, with_claims: bool = False) -> None:
        buffer = self._reader.buffer()
        try:
            if with_claims and self._connection.family == getattr(socket, "AF_UNIX", None):
                count = self._receive_claims(buffer)
            else:
                count = self._connection.recv_into(buffer)
        except OSError as error:
            raise _closed(error) from error
        if not count:
            raise Closed
        for message, body in self._reader.received(count):
            if isinstance(message, Score):
                self._calls.append((message, body))
            else:
                self._controls.append(message)

    def _receive_claims(self, buffer: memoryview) -> int:
        data, descriptors, _, _ = socket.recv_fds(self._connection, len(buffer), 1)
        buffer[: len(data)] = data
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            self._claims = descriptor
        return len(data)

    def _write(self, buffers: list[Buffer]) -> None:
        unwritten = self._unwritten
        unwritten.extend(map(memoryview, buffers))
        # A signal handler runs, and may raise, between any two calls. What was written is
        # noted in the same call that writes it, so that it is never forgotten.
        written: list[int] = []
        try:
            while unwritten:
                view = unwritten[0]
                try:
                    written.extend(map(self._connection.send, (view,)))
                finally:
                    if written:
                        unwritten[0] = view[written.pop() :]
                if not unwritten[0]:
                    unwritten.popleft()
        except OSError as error:
            raise _closed(error) from error


def _closed(error: OSError) -> BaseException:
    """`Closed`, unless it is a `TimeoutError` that a signal handler of the script's raised."""
    return error if error.errno is None else Closed()
