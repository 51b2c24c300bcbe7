"""Forked workers, with no server: the spawner, a template, and frames over their sockets."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from azmlinfsrv.pool.preloaded import Preloaded
from azmlinfsrv.pool.spawn import Child
from azmlinfsrv.settings import Settings
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import (
    FrameReader,
    Ready,
    Start,
    StartFailed,
    ToFrontEnd,
    pack,
)
from azmlinfsrv.worker.options import WorkerOptions

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")

GOOD = "def init(): pass\ndef run(data): pass\n"
BAD = "def init(): raise ValueError('no model')\ndef run(data): pass\n"

Preload = Callable[[str], "Spawned"]


class Spawned:
    """A spawner, and the children it has made."""

    def __init__(self, start: Start, folder: Path) -> None:
        self.start = start
        self.folder = folder
        self.spawner = Preloaded(start)
        self.children: list[Child] = []

    def child(self) -> Child:
        """A new one, started as the pool does it."""
        child = self.spawner.spawn()
        child.socket.settimeout(20)
        for buffer in pack(self.start):
            child.socket.sendall(buffer)
        self.children.append(child)
        return child

    def ready(self) -> Child:
        """A new one that is ready."""
        child = self.child()
        message, _ = first_frame(child)
        assert isinstance(message, Ready)
        child.started(message.pid)
        return child

    def close(self) -> None:
        """End everything."""
        for child in self.children:
            child.socket.close()
            for descriptor in child.output:
                os.close(descriptor)
        self.spawner.close()


def first_frame(child: Child) -> tuple[ToFrontEnd, bytes]:
    reader: FrameReader[ToFrontEnd] = FrameReader(frames.to_front_end)
    while True:
        count = child.socket.recv_into(reader.buffer())
        assert count, "closed without a frame"
        for message, body in reader.received(count):
            return message, bytes(body)


@pytest.fixture
def preload(tmp_path: Path) -> Iterator[Preload]:
    spawned: list[Spawned] = []

    def of(source: str) -> Spawned:
        (tmp_path / "score.py").write_text(source)
        settings = Settings(entry_script="score.py", app_root=str(tmp_path))
        options = WorkerOptions.of(settings, parent_pid=os.getpid())
        start = Start({}, [], "", msgspec.msgpack.encode(options))
        spawned.append(Spawned(start, tmp_path))
        return spawned[-1]

    yield of
    for one in spawned:
        one.close()


def test_children_are_forks_of_one_process_and_lead_groups_of_their_own(
    preload: Preload,
) -> None:
    spawned = preload(GOOD)

    first, second = spawned.ready(), spawned.ready()

    assert first.loader_pid == second.loader_pid
    assert len({first.pid, second.pid, first.loader_pid}) == 3
    assert os.getsid(first.pid) == os.getpgid(first.pid) == first.pid


def test_a_child_whose_socket_closes_ends_with_status_0(preload: Preload) -> None:
    child = preload(GOOD).ready()

    child.socket.shutdown(socket.SHUT_RDWR)

    assert child.wait() == 0


def test_a_killed_child_ends_by_the_signal_and_its_siblings_live(preload: Preload) -> None:
    spawned = preload(GOOD)
    first, second = spawned.ready(), spawned.ready()

    first.kill()

    assert first.wait() == -signal.SIGKILL
    os.kill(second.pid, 0)
    first.kill()  # nothing is left to be killed


def test_a_script_that_fails_is_reported_to_every_child_that_waits(preload: Preload) -> None:
    spawned = preload(BAD)
    children = [spawned.child(), spawned.child()]

    found = [first_frame(child) for child in children]

    assert all(isinstance(message, StartFailed) for message, _ in found)
    assert all(b"no model" in report for _, report in found)
    assert [child.wait() for child in children] == [3, 3]
    assert all(child.pid == child.loader_pid for child in children)


def test_the_next_child_after_a_failure_has_a_new_parent(preload: Preload) -> None:
    spawned = preload(BAD)
    failed = spawned.child()
    failed.wait()
    (spawned.folder / "score.py").write_text(GOOD)

    child = spawned.ready()

    assert child.loader_pid != failed.loader_pid


def test_children_end_with_the_process_they_were_forked_from(preload: Preload) -> None:
    spawned = preload(GOOD)
    children = [spawned.ready(), spawned.ready()]

    os.kill(children[0].loader_pid, signal.SIGKILL)

    assert [child.wait() for child in children] == [-signal.SIGKILL] * 2
    assert spawned.ready().loader_pid != children[0].loader_pid


def test_killing_a_child_that_is_not_there_yet_ends_the_loading(preload: Preload) -> None:
    spawned = preload("import time\ntime.sleep(600)\n")
    children = [spawned.child(), spawned.child()]

    children[0].kill()

    assert [child.wait() for child in children] == [-signal.SIGKILL] * 2


def test_closing_leaves_no_process(preload: Preload) -> None:
    spawned = preload(GOOD)
    child = spawned.ready()

    spawned.spawner.close()

    assert child.wait() in (0, -signal.SIGKILL)
    with pytest.raises(ProcessLookupError):
        os.kill(child.loader_pid, 0)


def test_a_child_ends_while_the_script_waits_for_children_of_its_own(preload: Preload) -> None:
    child = preload(
        "import signal\nimport subprocess\n"
        "def init():\n    signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "    subprocess.Popen(['true'])\ndef run(data): pass\n"
    ).ready()

    child.socket.shutdown(socket.SHUT_RDWR)

    assert child.wait() == 0
