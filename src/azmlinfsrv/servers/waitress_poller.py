"""What Waitress's sockets wait for, kept by the operating system from one turn to the next.

Theory: Waitress asks every connection at every turn whether it is to be read from or
written to, and hands the whole list to ``poll()``: a turn costs what is connected, and a
thousand idle connections make every request slow. Here a descriptor is registered once
(epoll, kqueue; ``select`` on Windows), and a connection is asked again only when it may
wait for something else: it is new, something has just happened to it, or somebody says so
(`look_at` in the polling thread, `has_changed` in the others). A turn costs what is ready.

Threads that write answers change what their connection waits for, and close it at times.
So a connection is asked, its answer compared with what is registered, and the registration
changed, all under one lock. Whoever changes a connection has it looked at afterwards: the
last one to look has then seen every change.

A descriptor that is closed is the next connection's, even within a turn. So what is ready
is told to the object it was registered for, and only as long as it is still here.
"""

from __future__ import annotations

import selectors
import threading
from collections import UserDict
from collections.abc import Callable
from selectors import EVENT_READ, EVENT_WRITE
from typing import Any


class Poller(UserDict[int, Any]):
    """Everything that is polled, by descriptor: the map of Waitress's dispatchers.

    They put themselves in when they have a descriptor, and take themselves out before they
    close it. Used by one thread, but for `has_changed` and taking out.

    Args:
        selector: The operating system's best, if none is given.
    """

    def __init__(self, selector: selectors.BaseSelector | None = None) -> None:
        super().__init__()
        self._selector = selector or selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._descriptors: dict[Any, int] = {}
        self._registered: dict[int, int] = {}  # events by descriptor; without any it is not there
        self._to_look_at: set[Any] = set()
        self._taken_out = 0  # how many, ever

    def __setitem__(self, descriptor: int, dispatcher: Any) -> None:
        self.pop(descriptor, None)
        with self._lock:
            super().__setitem__(descriptor, dispatcher)
            self._descriptors[dispatcher] = descriptor
            # It does this while it is made, and cannot be asked yet.
            self._to_look_at.add(dispatcher)

    def __delitem__(self, descriptor: int) -> None:
        with self._lock:
            dispatcher = self.data.pop(descriptor)
            self._descriptors.pop(dispatcher, None)
            self._taken_out += 1
            self._to_look_at.discard(dispatcher)
            if self._registered.pop(descriptor, 0):
                self._selector.unregister(descriptor)

    def turn(self, timeout_s: float) -> None:
        """Wait until something is ready, *timeout_s* at most, and handle all that is."""
        with self._lock:
            to_look_at, self._to_look_at = self._to_look_at, set()
            for dispatcher in to_look_at:
                self._register(dispatcher)
            taken_out = self._taken_out
        try:
            ready = self._selector.select(timeout_s)
        except OSError:
            # ``select`` was given what another thread has closed meanwhile.
            if taken_out == self._taken_out:
                raise
            return
        for key, events in ready:
            dispatcher = key.data
            if events & EVENT_READ and self._descriptors.get(dispatcher) == key.fd:
                _handle(dispatcher, dispatcher.handle_read_event)
            if events & EVENT_WRITE and self._descriptors.get(dispatcher) == key.fd:
                _handle(dispatcher, dispatcher.handle_write_event)
            with self._lock:
                self._register(dispatcher)

    def look_at(self, dispatcher: Any) -> None:
        """What it waits for may be something else at the next turn."""
        with self._lock:
            if dispatcher in self._descriptors:
                self._to_look_at.add(dispatcher)

    def has_changed(self, dispatcher: Any) -> bool:
        """Whether another thread's change makes a turn necessary; it is looked at then.

        False as well if the turn that it needs has been asked for already.
        """
        with self._lock:
            descriptor = self._descriptors.get(dispatcher)
            if descriptor is None or dispatcher in self._to_look_at:
                return False
            if _wanted(dispatcher) == self._registered.get(descriptor, 0):
                return False
            self._to_look_at.add(dispatcher)
            return True

    def close(self) -> None:
        """Give back what polling itself needs; nothing is polled any more."""
        self._selector.close()

    def _register(self, dispatcher: Any) -> None:  # holds self._lock
        descriptor = self._descriptors.get(dispatcher)
        if descriptor is None:
            return
        before, wanted = self._registered.get(descriptor, 0), _wanted(dispatcher)
        if wanted == before:
            return
        if not before:
            self._selector.register(descriptor, wanted, dispatcher)
        elif wanted:
            self._selector.modify(descriptor, wanted, dispatcher)
        else:
            # Not with no events: the end of a connection would be told at every turn.
            self._selector.unregister(descriptor)
        self._registered[descriptor] = wanted


def _wanted(dispatcher: Any) -> int:
    """The events it waits for; 0 is none."""
    events = EVENT_READ if dispatcher.readable() else 0
    if dispatcher.writable() and not dispatcher.accepting:
        events |= EVENT_WRITE
    return events


def _handle(dispatcher: Any, handle: Callable[[], None]) -> None:
    try:
        handle()
    except ConnectionError:
        dispatcher.handle_close()
    except Exception:  # noqa: BLE001  # it logs it; the others are to be served
        dispatcher.handle_error()
