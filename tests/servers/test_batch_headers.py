"""What development mode says of batches, over every server."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Serve
from tests.harness import Answer, Server

BATCHED = """
import os, time
from azmlinfsrv import batch

def init():
    pass

@batch(max_size=3, max_wait_ms=30000)
def run(data):
    if "fail" in data:
        raise ValueError("4711")
    if "exit" in data:
        os._exit(7)
    if "sleep" in data:
        time.sleep(60)
    return [len(text) for text in data]
"""
SINGLE = """
def init():
    pass

def run(data):
    return len(data)
"""
EACH = [("--worker_count", "1"), ("--server", "waitress"), ("--in_process",)]
SIZE, WAIT = "x-ms-batch-size", "x-ms-batch-wait-ms"


def score_all(server: Server, *bodies: bytes) -> list[Answer]:
    with ThreadPoolExecutor(len(bodies)) as clients:
        return list(clients.map(server.score, bodies))


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_each_answer_says_how_large_its_batch_was_and_how_long_it_waited(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(BATCHED, "--dev", "--no_reload", *flags)

    answers = score_all(server, b"a", b"b", b"c")

    for answer in answers:
        assert answer.headers[SIZE] == "3"
        queue_ms = float(answer.headers["server-timing"].split(",")[0].split("=")[1])
        assert 0 <= float(answer.headers[WAIT]) <= queue_ms


def test_a_batch_of_one_is_a_batch_and_waited_for_more(serve: Serve) -> None:
    script = BATCHED.replace("max_wait_ms=30000", "max_wait_ms=200")
    server = serve(script, "--dev", "--no_reload")

    answer = server.score(b"a")

    assert answer.headers[SIZE] == "1"
    assert float(answer.headers[WAIT]) >= 150


@pytest.mark.parametrize(
    ("body", "environ"),
    [(b"fail", {}), (b"exit", {}), (b"sleep", {"SCORING_TIMEOUT_MS": "1500"})],
    ids=["raises", "ends its worker", "takes too long"],
)
def test_a_batch_that_failed_says_it_too(
    serve: Serve, body: bytes, environ: dict[str, str]
) -> None:
    server = serve(BATCHED, "--dev", "--no_reload", environ=environ)

    answers = score_all(server, body, b"b", b"c")

    assert [(answer.status, answer.headers[SIZE]) for answer in answers] == [(500, "3")] * 3
    assert all(float(answer.headers[WAIT]) >= 0 for answer in answers)


def test_flags_that_batch_count_as_well(serve: Serve) -> None:
    script = BATCHED.replace("@batch(max_size=3, max_wait_ms=30000)\n", "")
    flags = ("--batch_max_size", "2", "--batch_max_wait_ms", "30000")
    server = serve(script, "--dev", "--no_reload", *flags)

    answers = score_all(server, b"a", b"b")

    assert [answer.headers[SIZE] for answer in answers] == ["2", "2"]


def test_outside_of_development_mode_nothing_is_said(serve: Serve) -> None:
    server = serve(BATCHED)

    answers = score_all(server, b"a", b"b", b"c") + score_all(server, b"fail", b"b", b"c")

    assert not any({SIZE, WAIT} & set(answer.headers) for answer in answers)


def test_a_call_that_is_computed_by_itself_has_no_batch(serve: Serve) -> None:
    server = serve(SINGLE, "--dev", "--no_reload")

    assert not {SIZE, WAIT} & set(server.score(b"a").headers)
