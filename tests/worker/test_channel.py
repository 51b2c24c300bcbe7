"""Frames over a real socket pair, with threads and signal handlers in the way."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from azmlinfsrv.messages import Buffer
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.channel import Channel, Closed
from azmlinfsrv.worker.frames import (
    Cancel,
    Credit,
    FrameReader,
    Interrupt,
    Record,
    Score,
    ToFrontEnd,
    pack,
)


class Peer:
    """The front end's end of the pair."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._reader: FrameReader[ToFrontEnd] = FrameReader(frames.to_front_end)
        self.found: list[tuple[ToFrontEnd, Buffer]] = []

    def send(self, header: frames.ToWorker, body: Buffer = b"") -> None:
        for buffer in pack(header, body):
            self.connection.sendall(buffer)

    def read_to_the_end(self) -> None:
        while count := self.connection.recv_into(self._reader.buffer()):
            self.found += self._reader.received(count)

    def reading(self) -> threading.Thread:
        thread = threading.Thread(target=self.read_to_the_end)
        thread.start()
        return thread


@pytest.fixture
def pair() -> Iterator[tuple[Channel, Peer]]:
    ours, theirs = socket.socketpair()
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    channel = Channel(ours)
    with ours, theirs:
        yield channel, Peer(theirs)


def peer_sees_the_end(channel: Channel) -> None:
    channel._connection.close()


def record(number: int) -> Record:
    return Record(number, "azmlinfsrv.print", 20, 0.0)


@contextlib.contextmanager
def handling(number: signal.Signals, handler: object) -> Iterator[None]:
    before = signal.signal(number, handler)  # type: ignore[arg-type]
    try:
        yield
    finally:
        signal.signal(number, before)


def score(call_id: int, *, is_ahead: bool = False) -> Score:
    return Score(call_id, is_ahead, "POST", "/score", b"", [], "http", "", "", "1.1", "", "")


def test_calls_and_what_is_said_about_them_are_taken_in_order(
    pair: tuple[Channel, Peer],
) -> None:
    channel, peer = pair
    assert channel.next_control(wait=False) is None
    peer.send(score(1), b"one")
    peer.send(Cancel(1))
    peer.send(score(2), b"two")
    peer.send(Credit(2, 5))
    peer.send(Interrupt(2, "timeout"))

    assert channel.next_call() == (score(1), b"one")
    assert channel.next_control(wait=False) == Cancel(1)
    assert channel.next_call() == (score(2), b"two")
    assert channel.next_control(wait=True) == Credit(2, 5)
    assert channel.next_control(wait=False) == Interrupt(2, "timeout")
    assert channel.next_control(wait=False) is None


def test_what_was_said_about_other_calls_is_forgotten(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    peer.send(Interrupt(1, "timeout"))
    peer.send(Credit(1, 5))
    peer.send(score(2))

    channel.next_call()

    assert channel.next_control(wait=False) is None


def test_a_frame_that_comes_in_pieces_is_not_there_until_it_is_whole(
    pair: tuple[Channel, Peer],
) -> None:
    channel, peer = pair
    data = b"".join(bytes(part) for part in pack(Interrupt(1, "timeout"), b"x" * 100))
    peer.connection.sendall(data[:50])

    assert channel.next_control(wait=False) is None
    peer.connection.sendall(data[50:])

    assert channel.next_control(wait=True) == Interrupt(1, "timeout")


@pytest.mark.parametrize(
    "action",
    [
        Channel.receive_start,
        Channel.next_call,
        lambda channel: channel.next_control(wait=True),
        lambda channel: channel.next_control(wait=False),
        lambda channel: channel.send(record(1), b"x" * 100_000),
    ],
    ids=["start", "call", "control", "poll", "send"],
)
def test_a_peer_that_has_gone_is_closed(
    pair: tuple[Channel, Peer], action: Callable[[Channel], object]
) -> None:
    channel, peer = pair
    peer.connection.close()

    with pytest.raises(Closed):
        action(channel)


def test_frames_of_many_threads_do_not_mix(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    reading = peer.reading()

    def log(number: int) -> None:
        for size in (10, 50_000, 100, 33_000):
            channel.send(record(number), bytes([number]) * size)

    threads = [threading.Thread(target=log, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    peer_sees_the_end(channel)
    reading.join()

    assert len(peer.found) == 32
    for header, body in peer.found:
        assert isinstance(header, Record)
        assert set(body) == {header.call_id}


def test_a_handler_that_logs_during_a_send_does_not_mix_frames(
    pair: tuple[Channel, Peer],
) -> None:
    channel, peer = pair
    handled = 0

    def handle(_signum: int, _frame: object) -> None:
        nonlocal handled
        handled += 1
        channel.send(record(2), b"from the handler")

    main = threading.get_ident()

    def ring() -> None:
        # The socket takes 4 KiB: once some are there, the send is stuck until they are read.
        peer.connection.recv(1, socket.MSG_PEEK)
        signal.pthread_kill(main, signal.SIGUSR1)
        peer.read_to_the_end()

    ringing = threading.Thread(target=ring)
    with handling(signal.SIGUSR1, handle):
        ringing.start()
        channel.send(record(1), b"x" * 1_000_000)
        peer_sees_the_end(channel)
        ringing.join()

    assert handled == 1
    assert [(h.call_id, len(b)) for h, b in peer.found if isinstance(h, Record)] == [
        (1, 1_000_000),
        (2, 16),
    ]


def test_a_handler_that_raises_during_a_send_leaves_whole_frames(
    pair: tuple[Channel, Peer],
) -> None:
    """A script's own time limit: its alarm may strike while a print is being sent."""
    channel, peer = pair
    reading = peer.reading()
    main = threading.get_ident()
    stop = threading.Event()

    def handle(_signum: int, _frame: object) -> None:
        raise TimeoutError("the script's own")

    def ring() -> None:
        while not stop.wait(0.0007):
            signal.pthread_kill(main, signal.SIGUSR1)

    ringing = threading.Thread(target=ring)
    interrupted = 0
    with handling(signal.SIGUSR1, handle):
        ringing.start()
        for number in range(1, 200):
            try:
                try:
                    channel.send(record(number % 250), bytes([number % 250]) * 100_000)
                except TimeoutError:
                    interrupted += 1
            except TimeoutError:
                interrupted += 1
        with contextlib.suppress(TimeoutError):
            stop.set()
    ringing.join()
    channel.send(record(251), b"")
    peer_sees_the_end(channel)
    reading.join()

    assert interrupted > 0
    assert peer.found[-1] == (record(251), b"")
    for header, body in peer.found[:-1]:
        assert isinstance(header, Record)
        assert len(body) == 100_000
        assert set(body) == {header.call_id}


def test_what_is_put_off_runs_when_the_frame_is_out(pair: tuple[Channel, Peer]) -> None:
    channel, peer = pair
    order: list[str] = []

    class Struck(BaseException):
        pass

    def act() -> None:
        order.append("acted")
        raise Struck

    def handle(_signum: int, _frame: object) -> None:
        order.append("rang")
        assert channel.put_off(act)

    main = threading.get_ident()

    def ring() -> None:
        peer.connection.recv(1, socket.MSG_PEEK)
        signal.pthread_kill(main, signal.SIGUSR1)
        peer.read_to_the_end()

    ringing = threading.Thread(target=ring)
    ringing.start()
    with handling(signal.SIGUSR1, handle), pytest.raises(Struck):
        channel.send(record(1), b"x" * 1_000_000)
    peer_sees_the_end(channel)
    ringing.join()

    assert order == ["rang", "acted"]
    assert [len(body) for _, body in peer.found] == [1_000_000]


def test_nothing_is_put_off_outside_a_send(pair: tuple[Channel, Peer]) -> None:
    channel, _ = pair

    assert channel.put_off(lambda: pytest.fail("never")) is False


def test_what_the_main_thread_put_off_is_not_run_by_another(pair: tuple[Channel, Peer]) -> None:
    channel, _ = pair
    ran_in: list[int] = []
    channel._after_send = lambda: ran_in.append(threading.get_ident())

    other = threading.Thread(target=channel.send, args=(record(1),))
    other.start()
    other.join()
    assert ran_in == []
    channel.send(record(2))

    assert ran_in == [threading.get_ident()]
