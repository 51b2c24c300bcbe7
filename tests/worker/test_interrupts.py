"""Calls ended from outside: real signals, a real socket pair."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator

import pytest

from azmlinfsrv.errors import Interruption
from azmlinfsrv.worker.channel import Channel
from azmlinfsrv.worker.frames import Cancel, Credit, Interrupt, Record, ToWorker, pack
from azmlinfsrv.worker.interrupts import DOORBELL, Interrupts

assert DOORBELL is not None
LONG_S = 5.0


class FrontEnd:
    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._main = threading.get_ident()

    def send(self, *messages: ToWorker) -> None:
        for message in messages:
            for buffer in pack(message):
                self.connection.sendall(buffer)

    def ring(self) -> None:
        assert DOORBELL is not None
        signal.pthread_kill(self._main, DOORBELL)


@pytest.fixture
def ends() -> Iterator[tuple[Interrupts, FrontEnd, Channel]]:
    ours, theirs = socket.socketpair()
    channel = Channel(ours)
    interrupts = Interrupts(channel)
    assert DOORBELL is not None
    before = signal.getsignal(DOORBELL)
    interrupts.install()
    with ours, theirs:
        yield interrupts, FrontEnd(theirs), channel
    signal.signal(DOORBELL, before)


Ends = tuple[Interrupts, FrontEnd, Channel]


def user_code(interrupts: Interrupts, front_end: FrontEnd, call_id: int) -> str:
    """Rings while user code of *call_id* runs; how that code ended."""
    interrupts.enter(call_id)
    try:
        front_end.ring()
        return "ran to its end"
    except Interruption as interruption:
        return interruption.reason
    finally:
        interrupts.leave()


@pytest.mark.parametrize(
    ("sent", "running", "ended"),
    [
        ([Interrupt(7, "timeout")], 7, "timeout"),
        ([Interrupt(7, "cancelled")], 7, "cancelled"),
        ([Cancel(7)], 7, "cancelled"),
        ([Interrupt(6, "timeout")], 7, "ran to its end"),
        ([Cancel(6), Interrupt(6, "timeout")], 7, "ran to its end"),
        ([Interrupt(6, "timeout"), Interrupt(7, "timeout")], 7, "timeout"),
        ([Credit(7, 10)], 7, "ran to its end"),
        ([Credit(7, 10), Interrupt(7, "timeout")], 7, "timeout"),
        ([], 7, "ran to its end"),
    ],
    ids=[
        "timeout",
        "cancelled",
        "nobody-reads",
        "late",
        "late-both",
        "late-then-due",
        "credit",
        "credit-then-due",
        "no-frame",
    ],
)
def test_a_signal_ends_the_call_that_is_named_and_no_other(
    ends: Ends, sent: list[ToWorker], running: int, ended: str
) -> None:
    interrupts, front_end, _ = ends
    front_end.send(*sent)

    assert user_code(interrupts, front_end, running) == ended


def test_a_signal_outside_user_code_does_nothing(ends: Ends) -> None:
    interrupts, front_end, channel = ends
    front_end.send(Interrupt(7, "timeout"))
    front_end.ring()
    interrupts.enter(7)
    interrupts.leave()
    front_end.ring()

    assert channel.next_control(wait=False) == Interrupt(7, "timeout")


def test_a_second_signal_for_the_same_call_ends_nothing_more(ends: Ends) -> None:
    interrupts, front_end, _ = ends
    front_end.send(Interrupt(7, "timeout"), Interrupt(7, "timeout"))
    assert user_code(interrupts, front_end, 7) == "timeout"

    assert user_code(interrupts, front_end, 8) == "ran to its end"


def test_credit_that_came_meanwhile_is_counted(ends: Ends) -> None:
    interrupts, front_end, _ = ends
    front_end.send(Credit(7, 10), Credit(6, 100), Credit(7, 5))

    user_code(interrupts, front_end, 7)

    assert interrupts.credit_bytes == 15


def test_code_that_waits_is_woken_and_its_stack_is_told(ends: Ends) -> None:
    interrupts, front_end, _ = ends
    is_waiting, is_over = threading.Event(), threading.Event()

    def ring() -> None:
        is_waiting.wait()
        front_end.send(Interrupt(7, "timeout"))
        front_end.ring()
        # As the front end does: the first may come just before the wait begins, unheard.
        while not is_over.wait(0.05):
            front_end.ring()

    def where_the_script_waits() -> None:
        is_waiting.set()
        time.sleep(LONG_S)

    thread = threading.Thread(target=ring)
    thread.start()
    interrupts.enter(7)
    began = time.monotonic()
    with pytest.raises(Interruption) as caught:
        where_the_script_waits()
    interrupts.leave()
    is_over.set()
    thread.join()

    assert time.monotonic() - began < LONG_S
    assert "where_the_script_waits" in caught.value.stack


def test_a_front_end_that_has_gone_ends_the_call(ends: Ends) -> None:
    interrupts, front_end, _ = ends
    front_end.connection.close()

    assert user_code(interrupts, front_end, 7) == "cancelled"


def test_a_signal_during_a_send_waits_for_the_frame(ends: Ends) -> None:
    interrupts, front_end, channel = ends
    read = 0

    def ring_and_read() -> None:
        nonlocal read
        front_end.connection.recv(1, socket.MSG_PEEK)
        front_end.send(Interrupt(7, "timeout"))
        front_end.ring()
        while data := front_end.connection.recv(1 << 20):
            read += len(data)

    whole = sum(len(part) for part in pack(Record(7, "x", 20, 0.0), b"x" * 8_000_000))
    thread = threading.Thread(target=ring_and_read)
    thread.start()
    interrupts.enter(7)
    with pytest.raises(Interruption):
        channel.send(Record(7, "x", 20, 0.0), b"x" * 8_000_000)
    interrupts.leave()
    channel._connection.shutdown(socket.SHUT_WR)
    thread.join()

    assert read == whole


def test_a_storm_of_signals_neither_loses_nor_mixes_frames(ends: Ends) -> None:
    """Handlers are interrupted by themselves; the socket is still read by one at a time."""
    interrupts, front_end, channel = ends
    stop = threading.Event()

    def storm() -> None:
        while not stop.is_set():
            os.kill(os.getpid(), DOORBELL)  # type: ignore[arg-type]

    def credit() -> None:
        for number in range(2000):
            front_end.send(Credit(7, 1), Cancel(1000 + number))
        stop.set()

    threads = [threading.Thread(target=storm), threading.Thread(target=credit)]
    interrupts.enter(7)
    for thread in threads:
        thread.start()
    while not stop.is_set():
        sum(range(100))
    for thread in threads:
        thread.join()
    interrupts.leave()
    while (found := channel.next_control(wait=False)) is not None:
        if isinstance(found, Credit):
            interrupts.credit_bytes += found.body_bytes

    assert interrupts.credit_bytes == 2000
