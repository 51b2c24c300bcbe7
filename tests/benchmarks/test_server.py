from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benchmarks.environments import Environment
from benchmarks.jobs import JOBS
from benchmarks.peers import PEERS
from benchmarks.server import Task, find_problem, free_ports, same


def task(peer: str, expected: Any) -> Task:
    environment = Environment(Path("bin"), "1.0")
    return Task(PEERS[peer], JOBS["j3"], environment, Path("."), b"{}", expected)


@pytest.mark.parametrize(
    ("answer", "expected", "verdict"),
    [
        ({"a": [1, 2]}, {"a": [1, 2]}, True),
        ([0.1 + 0.2], [0.3], True),
        ([0.3001], [0.3], False),
        ([1], [1.0], True),
        (["1"], [1.0], False),
        ([1, 2], [1], False),
        ({"a": 1, "b": 2}, {"a": 1}, False),
        ("x", "y", False),
        (None, [1], False),
    ],
)
def test_answers_are_compared_by_value(answer: Any, expected: Any, verdict: bool) -> None:
    assert same(answer, expected) is verdict


@pytest.mark.parametrize(
    ("status", "content", "problem"),
    [
        (200, b"[1.0]", ""),
        (500, b"[1.0]", "j3 got status 500"),
        (200, b"[2.0]", "j3 got a wrong answer"),
        (200, b"<html>", "j3 got an answer that cannot be read"),
    ],
)
def test_an_answer_must_have_the_right_status_and_body(
    status: int, content: bytes, problem: str
) -> None:
    assert find_problem(task("ours", [1.0]), status, content) == problem


def test_an_answer_in_a_format_of_its_own_is_unwrapped_first() -> None:
    content = b'{"outputs": [{"data": ["[1.0]"]}]}'

    assert find_problem(task("mlserver", [1.0]), 200, content) == ""
    assert "cannot be read" in find_problem(task("mlserver", [1.0]), 200, b'{"outputs": []}')


def test_ports_differ() -> None:
    assert len(set(free_ports(5))) == 5
