"""The same client over the real server, and that both answer the same."""

from __future__ import annotations

import gzip
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any

import psutil
import pytest

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.testing import Answer, IncompleteAnswer, ScoringClient
from tests.harness import until

SCRIPT = """
import decimal
import logging

from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

def run(data, request_headers):
    if data == "stream":
        return (word for word in ("one ", "two"))
    if data == "cut":
        return cut()
    if data == "headers":
        names = ("host", "content-length", "content-type", "accept-encoding", "x-a")
        return {name: request_headers.get(name) for name in names}
    if data == "response":
        return AMLResponse("gone", 410, {"Content-Type": "text/x-gone", "X-B": "c"})
    if data == "set":
        return object()
    if data == "nan":
        return [float("nan"), decimal.Decimal("1.50"), "\\u00e4"]
    if data == "raise":
        raise ValueError(data)
    return data

def cut():
    yield "one "
    raise ValueError
"""
RAW = """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    if request.path != "/score":
        return 1
    return AMLResponse(request.method + request.query_string.decode(), 200)
"""
# What the connection adds or measures, and what is new with every request.
VARYING = {
    "date",
    "transfer-encoding",
    "connection",
    "x-ms-run-fn-exec-ms",
    "server-timing",
    "x-request-id",
    "x-ms-request-id",
}

Ask = Callable[[ScoringClient], Answer]
CASES: dict[str, Ask] = {
    "text": lambda client: client.score("abc"),
    "json": lambda client: client.score({"a": [1, 2.5, None]}),
    "empty": lambda client: client.score(),
    "bytes": lambda client: client.score(b"\xff"),
    "get": lambda client: client.score(method="GET"),
    "stream": lambda client: client.score("stream"),
    "headers": lambda client: client.score("headers", headers={"X-A": "b", "Host": "me"}),
    "response": lambda client: client.score("response"),
    "unknown type": lambda client: client.score("set"),
    "nan": lambda client: client.score("nan"),
    "raise": lambda client: client.score("raise"),
    "ids": lambda client: client.score(headers={"x-ms-client-request-id": "a", "TraceId": "b"}),
    "long id": lambda client: client.score(headers={"x-request-id": "a" * 101}),
    "health": lambda client: client.request("GET", "/"),
    "live": lambda client: client.request("HEAD", "/health/live"),
    "swagger": lambda client: client.request("GET", "/swagger.json?version=2"),
    "no such": lambda client: client.request("GET", "/swagger.json?version=9"),
    "not found": lambda client: client.request("GET", "/a%20b"),
    "not allowed": lambda client: client.request("PATCH", "/score", "x"),
    "options": lambda client: client.score(method="OPTIONS", headers={"Origin": "http://a.b"}),
    "head": lambda client: client.score(method="HEAD"),
    "gzip": lambda client: client.score(
        gzip.compress(Random(1).randbytes(900).hex().encode()), headers={"Content-Encoding": "gzip"}
    ),
    "too large": lambda client: client.score("x" * 3000),
}
SETTINGS: dict[str, Any] = {"cors_origins": "*", "max_body_bytes": 2000, "nan": "null"}


def write(folder: Path, source: str) -> Path:
    path = folder / "score.py"
    path.write_text(textwrap.dedent(source))
    return path


@pytest.fixture(scope="module", params=[SCRIPT, RAW], ids=["text", "raw"])
def script(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("same"), request.param)


@pytest.fixture(scope="module")
def real(script: Path) -> Iterator[ScoringClient]:
    with ScoringClient(script, server=True, **SETTINGS) as client:
        yield client


@pytest.mark.parametrize("name", CASES)
def test_both_ways_answer_the_same(real: ScoringClient, script: Path, name: str) -> None:
    with ScoringClient(script, port=real.port, **SETTINGS) as near:
        here = CASES[name](near)
    there = CASES[name](real)

    assert (here.status, here.reason, here.body) == (there.status, there.reason, there.body)
    assert fixed(here) == fixed(there)
    assert set(here.headers) | {"date", "transfer-encoding", "connection"} >= set(there.headers)


def fixed(answer: Answer) -> list[tuple[str, str]]:
    return [(name, value) for name, value in answer.header_list if name.lower() not in VARYING]


def test_the_report_of_the_development_mode_is_the_same(tmp_path: Path) -> None:
    script = write(tmp_path, SCRIPT)
    headers = {"x-request-id": "same"}
    with ScoringClient(script, dev=True, server=True) as client:
        there = client.score("raise", headers=headers)
    with ScoringClient(script, dev=True, port=client.port) as client:
        here = client.score("raise", headers=headers)

    assert "ValueError" in here.text
    assert here.json() == there.json()


def test_a_stream_that_breaks_off_is_the_same_error(tmp_path: Path) -> None:
    script = write(tmp_path, SCRIPT)
    with ScoringClient(script, server=True) as client:
        with pytest.raises(IncompleteAnswer) as error:
            client.score("cut")
        with client.stream("stream") as answer:
            assert b"".join(answer) == b"one two"

    assert error.value.answer is not None
    assert error.value.answer.body == b"one "


def test_a_script_that_cannot_start_says_why(tmp_path: Path) -> None:
    script = write(tmp_path, "import no_such_module\n")

    with pytest.raises(ScriptError, match="no_such_module"):
        ScoringClient(script, server=True)


def test_nothing_is_left_behind(tmp_path: Path) -> None:
    me = psutil.Process()
    before = me.children(recursive=True)
    with ScoringClient(write(tmp_path, SCRIPT), server=True, worker_count=2) as client:
        assert client.score("x").status == 200
        started = [child for child in me.children(recursive=True) if child not in before]

    assert len(started) == 4  # arbiter, front end, two workers
    psutil.wait_procs(started, 10)
    assert not any(process.is_running() for process in started)


def test_the_log_of_the_server_can_be_read(tmp_path: Path) -> None:
    script = write(tmp_path, SCRIPT)
    # One setting of each kind: with a flag, a switch, and one that is a variable only.
    settings = {"nan": "null", "access_log": True, "app_insights_log_response_enabled": False}
    with ScoringClient(script, server=True, environ={"STAGE": "test"}, **settings) as client:
        client.score("raise")

        until(lambda: "ValueError" in client.log(), 10, client.log)
