"""Workers that are forked from one process which has loaded the script (WORKER_PRELOAD).

The front end's side of `azmlinfsrv.worker.preload`. To the pool a fork is a process like
any other. A fork is asked for with three descriptors (its socket, its output) and known
by a number; it says its own process id when it is ready, and the process it came from,
its parent, says how it ended. If that process ends, its forks end, and the next worker
asked for starts another.

Theory: `spawn` is called in the event loop's thread and never waits for the script. A
thread for each template listens to it, another waits for its end; what they share with
the event loop is in `_Template`, under its lock. What is to be logged is handed to the
event loop: the log has one writer.
"""

from __future__ import annotations

import asyncio
import os
import selectors
import signal
import socket
import threading
from collections.abc import Callable, Mapping
from functools import partial

from azmlinfsrv.pool.lines import Lines, relay
from azmlinfsrv.pool.process_groups import ProcessGroups
from azmlinfsrv.pool.spawn import Child, FreshInterpreters
from azmlinfsrv.telemetry import logs
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import (
    Fork,
    ForkEnded,
    Formatted,
    FrameReader,
    FromTemplate,
    ProtocolError,
    Record,
    Start,
    pack,
)

# How long a template may take to go when it is not needed any more, in seconds.
_EXIT_S = 2.0
# How long its last words may take to be read, in seconds.
_LAST_WORDS_S = 1.0


class Preloaded:
    """Every process is a fork of one that has loaded the script.

    Args:
        start: How to load it; every fork gets the same frame again.
        environment: What the one process is started with; this process's own if None.
        groups: Where it and its forks are known to who outlives this process.
    """

    def __init__(
        self,
        start: Start,
        environment: Mapping[str, str] | None = None,
        groups: ProcessGroups | None = None,
    ) -> None:
        self._start = start
        self._environment = environment
        self._groups = groups or ProcessGroups()
        self._template: _Template | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def spawn(self) -> Child:
        """See `Spawner`; the first one starts the template."""
        if self._template is not None:
            try:
                return self._template.fork()
            except OSError:  # it has ended, and nobody has noticed yet
                pass
        self._template = _Template(self._start, self._environment, self._groups, self._loop)
        return self._template.fork()

    def attach(self) -> None:
        """See `Spawner`; what the template has said so far is logged now."""
        self._loop = asyncio.get_running_loop()
        if self._template is not None:
            self._template.attach(self._loop)

    def close(self) -> None:
        """See `Spawner`."""
        if self._template is not None:
            self._template.close()


class _Template:
    """The process that has loaded the script, and its forks."""

    def __init__(
        self,
        start: Start,
        environment: Mapping[str, str] | None,
        groups: ProcessGroups,
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        self._loop = loop
        self._unsaid: list[Callable[[], object]] = []  # until there is a loop
        self.groups = groups
        self._process = FreshInterpreters("preload", environment, groups).spawn()
        self.pid = self._process.pid
        self._socket = self._process.socket
        self._lock = threading.Lock()
        self._forks: dict[int, _Fork] = {}  # that have not ended
        self._last_number = 0
        self._has_ended = False
        self._is_closing = False
        for buffer in pack(start):
            self._socket.sendall(buffer)
        self._listener = threading.Thread(
            target=self._listen, name="template listener", daemon=True
        )
        self._listener.start()
        self._waiter = threading.Thread(target=self._wait, name="template exit", daemon=True)
        self._waiter.start()

    def request_id(self) -> str:
        """No request: for `LineReader`."""
        return ""

    def fork(self) -> _Fork:
        """Ask for a worker; it is there when the script has been loaded.

        Raises:
            OSError: the template has ended.
        """
        ours, theirs = socket.socketpair()
        output, errors = os.pipe(), os.pipe()
        try:
            with self._lock:
                if self._has_ended:
                    raise BrokenPipeError
                self._last_number += 1
                fork = _Fork(self, ours, (output[0], errors[0]))
                self._forks[self._last_number] = fork
            (frame,) = pack(Fork(self._last_number))
            sent = socket.send_fds(self._socket, [frame], [theirs.fileno(), output[1], errors[1]])
            self._socket.sendall(memoryview(frame)[sent:])
        except OSError:
            ours.close()
            os.close(output[0])
            os.close(errors[0])
            raise
        finally:
            theirs.close()
            os.close(output[1])
            os.close(errors[1])
        return fork

    def kill(self) -> None:
        """End it, and with it its forks, now."""
        self._process.kill()

    def close(self) -> None:
        """Ask it to end, and see that it does."""
        self._is_closing = True
        try:
            self._socket.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass  # it has ended
        self._waiter.join(_EXIT_S)
        if self._waiter.is_alive():
            self.kill()
            self._waiter.join()

    def attach(self, loop: asyncio.AbstractEventLoop) -> None:
        """Log in this event loop's thread from now on, and what has waited for it."""
        with self._lock:
            self._loop = loop
            unsaid, self._unsaid = self._unsaid, []
            for action in unsaid:
                action()

    def _post(self, function: Callable[..., object], *args: object) -> None:
        """Have the event loop call *function*: logging is done in its thread only."""
        with self._lock:
            if self._loop is None:
                self._unsaid.append(partial(function, *args))
                return
        try:
            self._loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass  # the loop is closed: the server has stopped

    # --- its threads --------------------------------------------------------------------

    def _listen(self) -> None:
        """Relay what it logs and prints, and how its forks end, until it has ended."""
        reader: FrameReader[FromTemplate] = FrameReader(frames.from_template)
        output, errors = self._process.output
        lines = {
            output: Lines("azmlinfsrv.print", self),
            errors: Lines("azmlinfsrv.stderr", self),
        }
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            for descriptor in lines:
                selector.register(descriptor, selectors.EVENT_READ)
            while True:
                # Once it has ended: what is there still, but not what never comes, since
                # processes the script started may hold the pipes open.
                events = selector.select(0 if self._has_ended else None)
                if not events and self._has_ended:
                    break
                for key, _ in events:
                    if key.fileobj is self._socket:
                        is_open = self._receive(reader)
                    else:
                        is_open = self._read(key.fd, lines[key.fd])
                    if not is_open:
                        selector.unregister(key.fileobj)
                if not selector.get_map():
                    break
        for unfinished in lines.values():
            self._post(unfinished.finish)

    def _receive(self, reader: FrameReader[FromTemplate]) -> bool:
        try:
            count = self._socket.recv_into(reader.buffer())
        except OSError:
            count = 0
        if not count:
            return False
        try:
            for message, body in reader.received(count):
                if isinstance(message, Record):
                    self._post(relay, message, body, self.pid, "")
                elif isinstance(message, Formatted):
                    self._post(logs.formatted, message.descriptor, str(body, "utf-8", "replace"))
                else:
                    self._fork_ended(message)
        except ProtocolError as error:
            text = f"The process {self.pid} sent {error}; it is being replaced."
            self._post(logs.error, text, "")
            self.kill()
            return False
        return True

    def _read(self, descriptor: int, lines: Lines) -> bool:
        data = os.read(descriptor, 65536)
        self._post(lines.take, data)
        return bool(data)

    def _fork_ended(self, message: ForkEnded) -> None:
        with self._lock:
            fork = self._forks.pop(message.number, None)
        if fork is not None:
            fork.ended(message.return_code)

    def _wait(self) -> None:
        code = self._process.wait()
        self._process.sweep()
        with self._lock:
            self._has_ended = True
        try:
            self._socket.shutdown(socket.SHUT_RD)  # wakes the listener
        except OSError:
            pass
        self._listener.join(_LAST_WORDS_S)
        with self._lock:
            forks, self._forks = list(self._forks.values()), {}
        if any(fork.is_started for fork in forks) and not self._is_closing:
            text = (
                f"The process {self.pid}, which the workers are forked from, has ended (status "
                f"{code}), and they end with it. Another one loads the script."
            )
            self._post(logs.error, text, "")
        for fork in forks:
            fork.lost(code)
        self._socket.close()
        for descriptor in self._process.output:
            os.close(descriptor)


class _Fork:
    """One worker: `azmlinfsrv.pool.spawn.Child`."""

    def __init__(
        self, template: _Template, connection: socket.socket, output: tuple[int, int]
    ) -> None:
        self._template = template
        self._has_ended = threading.Event()
        self._return_code = 0
        self.pid = self.loader_pid = template.pid  # its own when it is ready
        self.socket = connection
        self.output = output

    @property
    def is_started(self) -> bool:
        """It is a process of its own."""
        return self.pid != self.loader_pid

    def started(self, pid: int) -> None:
        self.pid = pid
        self._template.groups.add(pid)

    def wait(self) -> int:
        self._has_ended.wait()
        return self._return_code

    def ended(self, return_code: int) -> None:
        """Its parent says how it ended."""
        self._return_code = return_code
        self._has_ended.set()

    def lost(self, return_code: int) -> None:
        """Its parent has ended, so it has been killed, or was never there."""
        if self.is_started:
            self.sweep()
            return_code = -signal.SIGKILL
        self.ended(return_code)

    def kill(self) -> None:
        if self._has_ended.is_set():
            return
        if self.is_started:
            self.sweep()
        else:
            # The server stops while the script is being loaded.
            self._template.kill()

    def sweep(self) -> None:
        if self.is_started:
            self._template.groups.end(self.pid)
