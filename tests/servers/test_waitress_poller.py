"""What is polled is asked when something may have changed, and told what happened to it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
from waitress import wasyncore

from azmlinfsrv.servers.waitress_poller import Poller

# Every way of polling that this system has; Windows has only the last one.
SELECTORS = [
    getattr(selectors, name)
    for name in ("EpollSelector", "KqueueSelector", "PollSelector", "SelectSelector")
    if hasattr(selectors, name)
]


class Peer(wasyncore.dispatcher):  # type: ignore[misc]  # no types are published for it
    """One end of a pair of sockets, which notes what it is told; the other is `far`."""

    def __init__(self, poller: Poller, *, reads: bool = True, writes: bool = False) -> None:
        self.reads, self.writes = reads, writes
        self.told: list[str] = []
        self.asked = 0
        self.on_read: Callable[[], object] = lambda: self.socket.recv(100)
        near, self.far = socket.socketpair()
        super().__init__(near, map=poller)
        self.connected = True

    def readable(self) -> bool:
        self.asked += 1
        return self.reads

    def writable(self) -> bool:
        return self.writes

    def handle_read(self) -> None:
        self.told.append("read")
        self.on_read()

    def handle_write(self) -> None:
        self.told.append("write")

    def handle_close(self) -> None:
        self.told.append("close")
        self.close()

    def handle_error(self) -> None:
        self.told.append("error")
        self.close()


MakePeer = Callable[..., Peer]


def in_thread(do: Callable[[], object]) -> None:
    """As a thread that writes answers does it."""
    thread = threading.Thread(target=do)
    thread.start()
    thread.join()


@pytest.fixture(params=SELECTORS, ids=lambda selector: selector.__name__)
def poller(request: pytest.FixtureRequest) -> Iterator[Poller]:
    with contextlib.closing(Poller(request.param())) as made:
        yield made


@pytest.fixture
def peer(poller: Poller) -> Iterator[MakePeer]:
    with contextlib.ExitStack() as stack:

        def make(**wants: bool) -> Peer:
            made = Peer(poller, **wants)
            stack.callback(made.far.close)
            stack.callback(made.close)
            return made

        yield make


@pytest.mark.parametrize(
    ("wants", "told"),
    [
        ({"reads": False, "writes": False}, []),
        ({"reads": True, "writes": False}, ["read"]),
        ({"reads": False, "writes": True}, ["write"]),
        ({"reads": True, "writes": True}, ["read", "write"]),
    ],
)
def test_it_is_told_what_it_waits_for_and_nothing_else(
    poller: Poller, peer: MakePeer, wants: dict[str, bool], told: list[str]
) -> None:
    one = peer(**wants)
    one.far.sendall(b"x")

    poller.turn(0)

    assert one.told == told


def test_it_is_told_at_every_turn_until_it_has_taken_everything(
    poller: Poller, peer: MakePeer
) -> None:
    one = peer()
    one.on_read = lambda: one.socket.recv(1)
    one.far.sendall(b"xx")

    for _ in range(4):
        poller.turn(0)

    assert one.told == ["read", "read"]


def test_who_waits_is_not_asked_again_while_others_are_busy(poller: Poller, peer: MakePeer) -> None:
    idle = [peer() for _ in range(50)]
    busy = peer()

    for _ in range(20):
        busy.far.sendall(b"x")
        poller.turn(0)

    assert busy.told == ["read"] * 20
    assert [one.asked for one in idle] == [1] * 50


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"reads": True, "writes": False}, {"reads": False, "writes": False}),
        ({"reads": True, "writes": False}, {"reads": False, "writes": True}),
        ({"reads": False, "writes": False}, {"reads": True, "writes": False}),
        ({"reads": False, "writes": True}, {"reads": True, "writes": True}),
        ({"reads": True, "writes": True}, {"reads": True, "writes": False}),
    ],
)
@pytest.mark.parametrize("how", ["told of in the same thread", "told of in another", "by itself"])
def test_a_change_holds_from_the_next_turn(
    poller: Poller, peer: MakePeer, before: dict[str, bool], after: dict[str, bool], how: str
) -> None:
    one = peer(**before)
    poller.turn(0)
    if how == "by itself":  # while it is told something
        one.reads, one.on_read = True, lambda: vars(one).update(after)
        poller.look_at(one)
        one.far.sendall(b"x")
        poller.turn(0)
    else:
        one.reads, one.writes = after["reads"], after["writes"]
        if how == "told of in another":
            in_thread(lambda: poller.has_changed(one))
        else:
            poller.look_at(one)
        one.far.sendall(b"x")
    one.told.clear()

    poller.turn(0)

    assert one.told == [
        what for what, key in (("read", "reads"), ("write", "writes")) if after[key]
    ]


def test_a_turn_is_asked_for_once_and_only_if_something_is_different(
    poller: Poller, peer: MakePeer
) -> None:
    one = peer()
    is_new = poller.has_changed(one)
    poller.turn(0)
    is_as_before = poller.has_changed(one)
    one.writes = True
    has_changed, again = poller.has_changed(one), poller.has_changed(one)
    poller.turn(0)
    is_known = poller.has_changed(one)
    one.close()
    is_closed = poller.has_changed(one)

    assert not is_new  # the turn that is to come asks it anyway
    assert not is_as_before
    assert has_changed
    assert not again
    assert not is_known
    assert not is_closed


def test_the_end_of_one_that_waits_for_nothing_does_not_end_a_wait(
    poller: Poller, peer: MakePeer
) -> None:
    """Told at every turn, it would keep a processor busy."""
    one = peer(reads=False)
    one.far.close()
    asked = one.asked

    poller.turn(0)
    poller.turn(0.05)
    waited = one.told.copy()
    one.reads = True
    poller.look_at(one)
    poller.turn(5)

    assert waited == []
    assert one.told == ["read"]
    assert one.asked - asked == 3  # new, looked at, told


def test_what_closes_itself_is_told_nothing_more(poller: Poller, peer: MakePeer) -> None:
    one = peer(reads=True, writes=True)
    one.on_read = one.close
    one.far.sendall(b"x")

    poller.turn(0)

    assert one.told == ["read"]
    assert len(poller) == 0


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionResetError(), "close"),
        (BrokenPipeError(), "close"),
        (OSError("disk"), "error"),
        (ValueError(), "error"),
    ],
    ids=repr,
)
def test_what_one_raises_costs_no_other(
    poller: Poller, peer: MakePeer, error: Exception, told: str
) -> None:
    def fail() -> None:
        raise error

    bad, good = peer(), peer()
    bad.on_read = fail
    for one in (bad, good):
        one.far.sendall(b"x")

    poller.turn(0)

    assert bad.told == ["read", told]
    assert good.told == ["read"]


@pytest.mark.parametrize("wants", [{"reads": True}, {"reads": False, "writes": True}])
@pytest.mark.parametrize("when", ["within a turn", "before a turn", "after a turn"])
def test_a_descriptor_that_is_used_again_is_another_ones(
    poller: Poller, peer: MakePeer, wants: dict[str, bool], when: str
) -> None:
    first, second = peer(), peer()
    heirs: list[Peer] = []

    def replace(other: Peer) -> None:
        descriptor = other.socket.fileno()
        other.close()
        heirs.append(peer(**wants))
        assert heirs[0].socket.fileno() == descriptor

    for one, other in ((first, second), (second, first)):
        if when == "within a turn":
            # Whichever is told first; what the other one has is not its heir's.
            one.on_read = lambda other=other: replace(other)  # type: ignore[misc]
        one.far.sendall(b"x")
    if when == "within a turn":
        poller.turn(0)
    else:
        if when == "after a turn":
            poller.turn(0)
        in_thread(first.close)
        heirs.append(peer(**wants))
    told_of_its_own_turn = [heir.told.copy() for heir in heirs]
    heirs[0].far.sendall(b"x")
    poller.turn(0)

    assert told_of_its_own_turn == [[]]
    assert heirs[0].told == ["read" if wants["reads"] else "write"]


def test_one_that_another_thread_closes_is_not_polled_any_more(
    poller: Poller, peer: MakePeer
) -> None:
    closed, kept = peer(), peer()

    def poll() -> None:
        while not kept.told:
            poller.turn(10)

    polling = threading.Thread(target=poll)
    polling.start()

    closed.close()
    kept.far.sendall(b"x")
    polling.join(5)

    assert not polling.is_alive()
    assert (closed.told, kept.told) == ([], ["read"])
    assert list(poller.values()) == [kept]


def test_a_listening_socket_is_not_written_to(poller: Poller, peer: MakePeer) -> None:
    one = peer(reads=False, writes=True)
    one.accepting = True

    poller.turn(0)

    assert one.told == []
