"""Where the time of a call went, as its caller sees it."""

from __future__ import annotations

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.conftest import Serve
from tests.harness import Answer

HOLDS = """
import os, time

def init():
    pass

def run(data):
    if data == "hold":
        open("held", "w").close()
        while not os.path.exists("let go"):
            time.sleep(0.005)
    return data
"""

STREAMS = """
def init():
    pass

def run(data):
    yield b"one"
    yield b"two"
"""

_FORM = re.compile(
    r"queue;dur=(\d+\.\d{3}), parse;dur=(\d+\.\d{3}), run;dur=(\d+\.\d{3}), encode;dur=(\d+\.\d{3})"
)


def timing(answer: Answer) -> dict[str, float]:
    """The parts of ``Server-Timing``, in milliseconds."""
    found = _FORM.fullmatch(answer.headers["server-timing"])
    assert found, answer.headers["server-timing"]
    return dict(zip(("queue", "parse", "run", "encode"), map(float, found.groups()), strict=True))


def test_time_in_the_queue_is_told_from_time_in_run(serve: Serve) -> None:
    server = serve(HOLDS)
    root = server.root

    with ThreadPoolExecutor(2) as clients:
        held = clients.submit(server.score, b"hold")
        while not (root / "held").exists():
            time.sleep(0.005)
        sent = threading.Event()

        def wait_behind() -> Answer:
            sent.set()
            return server.score(b"behind")

        behind = clients.submit(wait_behind)
        sent.wait(10)
        time.sleep(0.3)  # what is measured, not a wait for something
        (root / "let go").touch()
        first, second = timing(held.result()), timing(behind.result())

    assert first["run"] >= 300 > first["queue"]
    assert second["queue"] > 100 > second["run"]


@pytest.mark.parametrize("flags", [(), ("--in_process",), ("--server", "waitress")])
def test_every_server_says_where_the_time_went(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(HOLDS, *flags)

    parts = timing(server.score(b"x"))

    assert sum(parts.values()) < 10_000
    assert parts["queue"] > 0


def test_a_stream_says_it_in_its_head(serve: Serve) -> None:
    server = serve(STREAMS)

    answer = server.score(b"x")

    assert answer.body == b"onetwo"
    assert timing(answer)["queue"] > 0
