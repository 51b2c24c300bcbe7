"""The worker's end of the socket to the front end: blocking, one reader, any writer."""

from __future__ import annotations

import select
import socket
import threading
from collections import deque
from collections.abc import Callable

from azmlinfsrv.messages import Buffer
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import FrameReader, ToFrontEnd, ToWorker, pack


class Closed(Exception):
    """The front end has closed its end, or has died."""


class Channel:
    """Frames over a connected stream socket.

    Only the main thread receives. Any thread may send: user threads log. A send from
    within a send (a signal handler of the script's that logs while a frame is being
    written) is put off until the frame is out, since frames must not interleave.
    """

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader: FrameReader[ToWorker] = FrameReader(frames.to_worker)
        self._received: deque[tuple[ToWorker, Buffer]] = deque()
        self._sending = threading.Lock()
        self._sender = 0
        self._put_off: deque[list[Buffer]] = deque()
        self._after_send: Callable[[], None] | None = None

    def receive(self) -> tuple[ToWorker, Buffer]:
        """The next frame; waits for it.

        Raises:
            Closed: there will be none.
        """
        while not self._received:
            self._fill()
        return self._received.popleft()

    def poll(self) -> tuple[ToWorker, Buffer] | None:
        """The next frame if it is here already, else None.

        Raises:
            Closed: there will be none.
        """
        while not self._received:
            readable, _, _ = select.select([self._connection], [], [], 0)
            if not readable:
                return None
            self._fill()
        return self._received.popleft()

    def send(self, header: ToFrontEnd, body: Buffer = b"") -> None:
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
        if self._after_send is not None:
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

    def close(self) -> None:
        """Close the socket; the front end takes it as the end of this process."""
        self._connection.close()

    def _fill(self) -> None:
        try:
            count = self._connection.recv_into(self._reader.buffer())
        except OSError as error:
            raise Closed from error
        if not count:
            raise Closed
        self._received.extend(self._reader.received(count))

    def _write(self, buffers: list[Buffer]) -> None:
        try:
            for buffer in buffers:
                self._connection.sendall(buffer)
        except OSError as error:
            raise Closed from error
