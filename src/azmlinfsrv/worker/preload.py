"""The process that loads the script once and is forked for every worker (WORKER_PRELOAD).

It is a fresh interpreter, never a fork of the front end. It imports the script, calls
``init()``, and answers no calls itself: whenever the front end asks, it forks, and the
fork is an ordinary worker (`azmlinfsrv.worker.main`) that shares the memory of what is
loaded until it writes to it. So a worker that died is replaced in milliseconds.

Theory: one socket leads to the front end. `Start` and `Fork` frames come in, with the
descriptors of the new worker; log records and `ForkEnded` go out. The fork puts its own
socket and pipes in the place of this process's, under the same numbers, so everything
that was set up before the fork leads to where the fork's belongs.

What cannot be forked is warned of, once: threads, what belongs to an event loop, CUDA.
Not seen from here are the threads of C libraries: OpenBLAS starts its own anew in a
fork, GNU OpenMP hangs if it has computed in parallel before.
"""

from __future__ import annotations

import ctypes
import gc
import logging
import operator
import os
import select
import signal
import socket
import sys
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from functools import partial
from types import FrameType

import msgspec
from msgspec import Struct

from azmlinfsrv.messages import Buffer
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import ForkEnded, FrameReader, Start, ToFrontEnd, ToTemplate
from azmlinfsrv.worker.main import START_FAILED, Worker, take_socket
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.parent import die_with
from azmlinfsrv.worker.startup import LoadedScript, Unusable

# Asks after its forks this often, should a script have taken SIGCHLD for itself.
_REAP_MS = 1000
# What a fork has ended with is not known if the script has waited for it instead of us.
_UNKNOWN_STATUS = 255
# Generators of random numbers that would go on alike in every fork; Python's own
# `random` reseeds itself. A generator the script made itself stays as it is.
_RESEED = {"numpy.random": "seed", "torch": "default_generator.seed"}

_log = logging.getLogger("azmlinfsrv")


def main() -> int:
    """Load the script and fork workers from it; returns the exit status, a worker's too."""
    connection = take_socket()
    orders = Orders(connection)
    channel = Channel(connection)
    try:
        start = orders.start()
        options = msgspec.msgpack.decode(start.options, type=WorkerOptions)
        if not die_with(options.parent_pid):
            raise Closed
        worker = Worker(channel, options)
        try:
            loaded = worker.load(start)
        except Unusable as unusable:
            unusable.tell(partial(_refuse, orders))
            return START_FAILED
        Template(worker, loaded, channel, orders).serve()
    except Closed:
        pass
    return 0


class Order(Struct, frozen=True):
    """A worker the front end wants, and the descriptors it shall have."""

    number: int
    socket: int
    output: int
    errors: int

    def close(self) -> None:
        """Let go of the descriptors."""
        for descriptor in (self.socket, self.output, self.errors):
            os.close(descriptor)


class Orders:
    """The receiving end of the socket: frames, and the descriptors that come with them."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._reader: FrameReader[ToTemplate] = FrameReader(frames.to_template)
        self._received: deque[ToTemplate] = deque()
        self._descriptors: deque[int] = deque()

    def fileno(self) -> int:
        """For `select`."""
        return self._connection.fileno()

    def start(self) -> Start:
        """The first frame; waits for it.

        Raises:
            Closed: there is none.
        """
        while not self._received:
            self.fill()
        start = self._received.popleft()
        if not isinstance(start, Start):
            raise Closed
        return start

    def fill(self) -> None:
        """Receive once; waits for something to come.

        Raises:
            Closed: nothing will.
        """
        buffer = self._reader.buffer()
        try:
            # One message at a time has descriptors, and a receive ends with it (unix(7)).
            data, descriptors, _, _ = socket.recv_fds(self._connection, len(buffer), 3)
        except OSError as error:
            raise Closed from error
        if not data:
            raise Closed
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self._descriptors.extend(descriptors)
        buffer[: len(data)] = data
        self._received.extend(message for message, _ in self._reader.received(len(data)))

    def take(self) -> Iterator[Order]:
        """The orders received so far."""
        while self._received:
            message = self._received.popleft()
            if not isinstance(message, Start):
                connection, output, errors = (self._descriptors.popleft() for _ in range(3))
                yield Order(message.number, connection, output, errors)


class Template:
    """A loaded script, and the workers forked from it."""

    def __init__(
        self, worker: Worker, loaded: LoadedScript, channel: Channel, orders: Orders
    ) -> None:
        self._worker = worker
        self._loaded = loaded
        self._channel = channel
        self._orders = orders
        self._pid = os.getpid()
        self._forks: dict[int, int] = {}  # process id to number
        self._bell = ChildBell()

    def serve(self) -> None:
        """Fork as ordered, and tell how forks ended; returns in no process.

        Raises:
            Closed: the front end is done with this process; in a fork, with the fork.
        """
        for hazard in hazards(is_async=self._loaded.scorer.is_async):
            _log.warning("%s", hazard)
        # What is loaded stays: no collection in a fork shall touch, and so copy, it.
        gc.collect()
        gc.freeze()
        self._bell.install()
        poll = select.poll()
        poll.register(self._orders, select.POLLIN)
        poll.register(self._bell, select.POLLIN)
        while True:
            for order in self._orders.take():
                self._fork(order)
            ready = {descriptor for descriptor, _ in poll.poll(_REAP_MS)}
            self._bell.silence()
            self._reap()
            if self._orders.fileno() in ready:
                self._orders.fill()

    def _fork(self, order: Order) -> None:
        _flush()
        try:
            with warnings.catch_warnings():
                # Of threads: said already, and with their names.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except OSError as error:
            _log.error("A worker could not be forked: %s", error)
            order.close()
            self._channel.send(ForkEnded(order.number, 1))
            return
        if not pid:
            self._be_worker(order)
        self._forks[pid] = order.number
        order.close()

    def _be_worker(self, order: Order) -> None:
        """From here on this process is a worker.

        Raises:
            Closed: when its work is done.
        """
        os.setsid()
        self._bell.remove()
        os.dup2(order.socket, self._orders.fileno(), inheritable=False)
        os.dup2(order.output, 1)
        os.dup2(order.errors, 2)
        order.close()
        self._channel.restart()
        if not die_with(self._pid):
            raise Closed
        self._channel.receive_start()  # loaded already; what comes with it is the channel's
        self._loaded.scorer.forked()
        reseed()
        self._worker.serve(self._loaded)

    def _reap(self) -> None:
        # Only ours: the script may wait for processes of its own.
        for pid in list(self._forks):
            try:
                reaped, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:
                code = _UNKNOWN_STATUS
            else:
                if not reaped:
                    continue
                code = os.waitstatus_to_exitcode(status)
            self._channel.send(ForkEnded(self._forks.pop(pid), code))


class ChildBell:
    """Wakes a `poll` when a child process has ended."""

    def __init__(self) -> None:
        self._read_end, self._write_end = os.pipe()
        os.set_blocking(self._read_end, False)
        os.set_blocking(self._write_end, False)

    def fileno(self) -> int:
        """For `select`."""
        return self._read_end

    def install(self) -> None:
        """Take SIGCHLD; call in the main thread."""
        self._handler = signal.signal(signal.SIGCHLD, _nothing)
        self._wakeup = signal.set_wakeup_fd(self._write_end, warn_on_full_buffer=False)

    def remove(self) -> None:
        """In a fork: everything as the script had it."""
        signal.set_wakeup_fd(self._wakeup)
        signal.signal(signal.SIGCHLD, self._handler)
        os.close(self._read_end)
        os.close(self._write_end)

    def silence(self) -> None:
        """Take note of what has rung."""
        try:
            os.read(self._read_end, 4096)
        except BlockingIOError:
            pass


def hazards(*, is_async: bool) -> list[str]:
    """What the script has made that no fork will have, a sentence each."""
    found = []
    names = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
    if names:
        found.append(
            f"WORKER_PRELOAD: the script has started threads ({', '.join(names)}). They do not "
            "run in the workers, which are forked, and a lock that one of them holds stays "
            "locked there. Start them in the first run() instead, or turn WORKER_PRELOAD off."
        )
    if is_async:
        found.append(
            "WORKER_PRELOAD: init() is asynchronous. Every worker has an event loop of its own, so "
            "sessions and tasks made in init() do not work there. Make them in the first run() "
            "instead, or turn WORKER_PRELOAD off."
        )
    torch = sys.modules.get("torch")
    cuda = getattr(torch, "cuda", None)
    if cuda is not None and cuda.is_initialized():
        found.append(
            "WORKER_PRELOAD: CUDA was initialised while the script was loaded. It cannot be used "
            "in a forked process. Move the model to the device in the first run() instead, or "
            "turn WORKER_PRELOAD off."
        )
    return found


def reseed() -> None:
    """Give this fork random numbers of its own."""
    for module, function in _RESEED.items():
        if module in sys.modules:
            try:
                operator.attrgetter(function)(sys.modules[module])()
            except Exception as error:  # noqa: BLE001  # another release of a library of theirs
                _log.warning("%s could not be reseeded in a forked worker: %s", module, error)


def _flush() -> None:
    """Nothing that is still in a buffer may be written by every fork."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # noqa: BLE001  # whatever the script has put there
            pass
    ctypes.CDLL(None).fflush(None)


def _refuse(orders: Orders, header: ToFrontEnd, report: Buffer) -> None:
    """Tell every worker-to-be why there will be none."""
    poll = select.poll()
    poll.register(orders, select.POLLIN)
    try:
        while poll.poll(0):
            orders.fill()
    except Closed:
        pass
    for order in orders.take():
        try:
            Channel(socket.socket(fileno=order.socket)).send(header, report)
        except Closed:
            pass


def _nothing(_signum: int, _frame: FrameType | None) -> None:
    """A handler, where the default would not wake anybody."""
