"""Hostile bytes over every server: a 4xx or a close, one answer at most, never a run too many."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness import Server, serving
from tests.hostile.attack import attack
from tests.hostile.case import FLAGS
from tests.hostile.catalogue import CASES

# Every call leaves its input behind.
SCRIPT = """
def init():
    pass

def run(data):
    with open("calls.txt", "a") as calls:
        calls.write(str(data).replace("\\n", " ") + "\\n")
    return "done"
"""
SERVERS = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}
# The same protocol as under Gunicorn: a sample shows that it is put together alike.
SAMPLE = {"in_process": 7}

_tokens = itertools.count(10_000_000)


class Target:
    """A server, and the calls of its script."""

    def __init__(self, server: Server) -> None:
        self.server = server

    def runs(self, token: bytes) -> int:
        """How often run() saw *token*."""
        path = self.server.root / "calls.txt"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return text.count(token.decode())


def _cases() -> Iterator[object]:
    for server in SERVERS:
        for name in list(CASES)[:: SAMPLE.get(server, 1)]:
            yield pytest.param(server, name, id=f"{server}: {name}")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """The servers, each started when it is first asked for."""
    started: dict[str, Target] = {}
    contexts = []

    class Lazily(dict[str, Target]):
        def __missing__(self, name: str) -> Target:
            root: Path = tmp_path_factory.mktemp(name)
            (root / "score.py").write_text(SCRIPT, encoding="utf-8")
            context = serving(root / "score.py", *FLAGS, *SERVERS[name], root=root)
            contexts.append(context)
            started[name] = self[name] = Target(context.__enter__())
            return self[name]

    yield Lazily()
    logs = {name: target.server.log() for name, target in started.items()}
    for context in contexts:
        context.__exit__(None, None, None)
    for name, log in logs.items():
        assert "Traceback" not in log, f"{name}:\n{log}"


@pytest.mark.parametrize(("name", "case"), list(_cases()))
def test_hostile_bytes_are_refused_and_cost_nobody_else(
    targets: dict[str, Target], name: str, case: str
) -> None:
    target, token = targets[name], b"%08d" % next(_tokens)

    outcome = attack(target.server.port, CASES[case], token)

    assert outcome.faults(CASES[case]) == [], outcome
    assert target.server.score(b"good").status == 200
    expected = CASES[case].runs
    assert target.runs(token) == (outcome.statuses.count(200) if expected is None else expected)


def test_there_are_enough_of_them() -> None:
    names = Counter(name.partition(":")[0] for name in CASES)

    assert names.total() >= 150
    assert min(names.values()) >= 10
