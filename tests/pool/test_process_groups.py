"""Groups of processes, as the process sees them that outlives the front end."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from azmlinfsrv.pool.process_groups import ProcessGroups

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="nobody adopts elsewhere")


@pytest.fixture
def child() -> Iterator[subprocess.Popen[bytes]]:
    """Leads a group, and is ours."""
    with subprocess.Popen(["sleep", "600"], start_new_session=True) as child:
        yield child
        child.kill()


@pytest.fixture
def stranger() -> Iterator[psutil.Process]:
    """Leads a group, and is the child of another process."""
    code = "import subprocess; c = subprocess.Popen(['sleep', '600'], start_new_session=True)"
    code += "; print(c.pid, flush=True); c.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        stranger = psutil.Process(int(parent.stdout.readline()))
        yield stranger
        if stranger.is_running():
            stranger.kill()


def test_what_was_not_ended_is_inherited_and_ended(child: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(child.pid)

    groups.inherit()
    groups.end_inherited()

    assert child.wait(10) == -signal.SIGKILL
    assert not groups.has_inherited


def test_what_was_ended_is_not_inherited(child: subprocess.Popen[bytes]) -> None:
    groups = ProcessGroups()
    groups.add(child.pid)
    groups.end(child.pid)

    groups.inherit()

    assert child.wait(10) == -signal.SIGKILL
    assert not groups.has_inherited


def test_a_group_without_a_child_of_ours_is_left_alone(stranger: psutil.Process) -> None:
    groups = ProcessGroups()
    groups.add(stranger.pid)

    groups.inherit()
    groups.end_inherited()

    assert stranger.is_running()
    assert groups.has_inherited  # it may become ours: a fork whose template is ending
    stranger.kill()
    stranger.wait(10)
    groups.end_inherited()
    assert not groups.has_inherited
