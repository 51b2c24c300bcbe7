"""Hostile bytes over every server: a 4xx or a close, one answer at most, never a run too many."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.harness import Server, serving
from tests.hostile.attack import Outcome, attack
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
# The server waits for the rest of these. Several do so at once, beside the other cases.
AWAITED_GROUP = "unfinished: "
AWAITED_AT_ONCE = 8

_tokens = itertools.count(10_000_000)


class Target:
    """A server, the calls of its script, and the attacks that take their time.

    Attributes:
        awaited: Those that have been begun already, by the name of the case.
    """

    def __init__(self, server: Server, awaited: list[str], pool: ThreadPoolExecutor) -> None:
        self.server = server
        self.awaited: dict[str, tuple[bytes, Future[Outcome]]] = {}
        for name in awaited:
            token = _token()
            future = pool.submit(attack, server.port, CASES[name], token)
            self.awaited[name] = token, future

    def attack(self, name: str) -> tuple[bytes, Outcome]:
        """What came back, and the token that was sent."""
        if name in self.awaited:
            token, future = self.awaited[name]
            return token, future.result()
        token = _token()
        return token, attack(self.server.port, CASES[name], token)

    def runs(self, token: bytes) -> int:
        """How often run() saw *token*."""
        path = self.server.root / "calls.txt"
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        return text.count(token.decode())


def _token() -> bytes:
    return b"%08d" % next(_tokens)


def _is_awaited(name: str) -> bool:
    return name.startswith(AWAITED_GROUP) or 408 in CASES[name].statuses


def _names(server: str) -> list[str]:
    return list(CASES)[:: SAMPLE.get(server, 1)]


def _cases() -> Iterator[object]:
    for server in SERVERS:
        for name in _names(server):
            yield pytest.param(server, name, id=f"{server}: {name}")


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Target]]:
    """The servers, each started when it is first asked for."""
    started: dict[str, Target] = {}
    contexts = []
    pool = ThreadPoolExecutor(AWAITED_AT_ONCE)

    class Lazily(dict[str, Target]):
        def __missing__(self, name: str) -> Target:
            root: Path = tmp_path_factory.mktemp(name)
            (root / "score.py").write_text(SCRIPT, encoding="utf-8")
            context = serving(root / "score.py", *FLAGS, *SERVERS[name], root=root)
            contexts.append(context)
            awaited = [case for case in _names(name) if _is_awaited(case)]
            started[name] = self[name] = Target(context.__enter__(), awaited, pool)
            return self[name]

    yield Lazily()
    pool.shutdown(cancel_futures=True)
    logs = {name: target.server.log() for name, target in started.items()}
    for context in contexts:
        context.__exit__(None, None, None)
    for name, log in logs.items():
        assert "Traceback" not in log, f"{name}:\n{log}"


@pytest.mark.parametrize(("name", "case"), list(_cases()))
def test_hostile_bytes_are_refused_and_cost_nobody_else(
    targets: dict[str, Target], name: str, case: str
) -> None:
    target = targets[name]

    token, outcome = target.attack(case)

    assert outcome.faults(CASES[case]) == [], outcome
    assert target.server.score(b"good").status == 200
    expected = CASES[case].runs
    assert target.runs(token) == (outcome.statuses.count(200) if expected is None else expected)


def test_there_are_enough_of_them() -> None:
    names = Counter(name.partition(":")[0] for name in CASES)

    assert names.total() >= 150
    assert min(names.values()) >= 10
