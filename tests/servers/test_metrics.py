"""``GET /metrics`` of real servers: what a scraper sees."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.conftest import Serve
from tests.harness import Server, until

EACH = [("--worker_count", "1"), ("--server", "waitress"), ("--in_process",)]
BATCHED = """
import time
from azmlinfsrv import batch

def init():
    pass

@batch(max_size=8)
def run(data):
    time.sleep(0.02)
    return [len(text) for text in data]
"""
HOLDS = """
import os, time

def init():
    while os.path.exists("loading"):
        time.sleep(0.005)

def run(data):
    if data == "exit":
        os._exit(7)
    if data == "hold":
        while not os.path.exists("let go"):
            time.sleep(0.005)
    return data
"""
KEY = {"api-key": "key-4711"}


def scrape(server: Server, headers: dict[str, str] | None = None) -> dict[str, float]:
    """Every sample by its name and labels, as they are written."""
    answer = server.get("/metrics", headers)
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("text/plain; version=")
    found = {}
    for family in text_string_to_metric_families(answer.body.decode()):
        for name, labels, value, *_ in family.samples:
            inside = ",".join(f'{key}="{text}"' for key, text in sorted(labels.items()))
            found[f"{name}{{{inside}}}" if inside else name] = value
    return found


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_the_sizes_of_batches_add_up_to_the_calls_sent(
    serve: Serve, flags: tuple[str, ...]
) -> None:
    server = serve(BATCHED, "--metrics", *flags)

    with ThreadPoolExecutor(20) as clients:
        answers = list(clients.map(server.score, [b"text"] * 60))

    assert {answer.status for answer in answers} == {200}
    found = scrape(server)
    assert found["azmlinfsrv_batch_size_sum"] == 60
    assert 60 / 8 <= found["azmlinfsrv_batch_size_count"] < 60
    assert found['azmlinfsrv_batch_size_bucket{le="8.0"}'] == found["azmlinfsrv_batch_size_count"]
    assert found["azmlinfsrv_batch_wait_seconds_count"] == 60
    assert found['azmlinfsrv_requests_total{route="/score",status="200"}'] == 60
    assert found["azmlinfsrv_request_seconds_count"] == 60
    assert found['azmlinfsrv_request_part_seconds_count{part="run"}'] == 60
    assert found['azmlinfsrv_request_part_seconds_sum{part="run"}'] >= 60 * 0.02


def test_it_is_answered_while_the_worker_computes_and_others_wait(serve: Serve) -> None:
    server = serve(HOLDS, "--metrics", "--queue_size", "2")

    with ThreadPoolExecutor(4) as clients:
        calls = [clients.submit(server.score, b"hold") for _ in range(4)]
        until(
            lambda: scrape(server)['azmlinfsrv_calls_unanswered_total{reason="refused"}'] == 1,
            10,
            lambda: scrape(server),
        )
        found = scrape(server)
        (server.root / "let go").touch()
        statuses = sorted(call.result().status for call in calls)

    assert statuses == [200, 200, 200, 429]
    assert found["azmlinfsrv_calls_running"] == 1
    assert found["azmlinfsrv_calls_waiting"] == 2
    assert found["azmlinfsrv_calls_waiting_limit"] == 2
    after = scrape(server)
    assert after["azmlinfsrv_calls_running"] == after["azmlinfsrv_calls_waiting"] == 0


def test_it_is_answered_before_the_script_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(HOLDS)
    (tmp_path / "loading").touch()
    server = Server(tmp_path / "score.py", "--metrics", root=tmp_path)
    try:
        server.wait_for_log("Listening at")
        found = scrape(server)
        assert found["azmlinfsrv_workers_ready"] == 0
        assert found["azmlinfsrv_workers_wanted"] == 1
        (tmp_path / "loading").unlink()
        server.wait_until_ready()
        assert scrape(server)["azmlinfsrv_workers_ready"] == 1
    finally:
        server.close()


def test_a_worker_that_ended_and_its_call_are_counted(serve: Serve) -> None:
    server = serve(HOLDS, "--metrics")

    assert server.score(b"exit").status == 500

    server.wait_until_ready()
    found = scrape(server)
    assert found['azmlinfsrv_worker_replacements_total{reason="ended"}'] == 1
    assert found['azmlinfsrv_calls_unanswered_total{reason="lost"}'] == 1
    assert found['azmlinfsrv_requests_total{route="/score",status="500"}'] == 1


def test_a_worker_that_is_worn_is_counted(serve: Serve) -> None:
    server = serve(HOLDS, "--metrics", "--max_requests", "1", "--max_requests_jitter", "0")
    name = 'azmlinfsrv_worker_replacements_total{reason="worn"}'

    assert server.score(b"a").status == 200

    until(lambda: scrape(server)[name] == 1, 10, server.log)
    assert scrape(server)['azmlinfsrv_worker_replacements_total{reason="ended"}'] == 0


def test_it_says_who_it_is_and_since_when(serve: Serve) -> None:
    before = time.time()
    server = serve(HOLDS, "--metrics")

    found = scrape(server)

    assert before - 5 < found["azmlinfsrv_start_time_seconds"] < time.time()
    (build,) = (name for name in found if name.startswith("azmlinfsrv_build_info"))
    assert f'python_version="{".".join(map(str, sys.version_info[:3]))}' in build


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_where_keys_are_set_it_needs_one(serve: Serve, flags: tuple[str, ...]) -> None:
    environ = {"AZMLINFSRV_AUTH_KEYS": KEY["api-key"], "AZMLINFSRV_METRICS": "true"}
    server = serve(HOLDS, *flags, environ=environ)

    assert server.get("/metrics").status == 401
    assert scrape(server, KEY)["azmlinfsrv_workers_ready"] == 1


@pytest.mark.parametrize("flags", EACH, ids=" ".join)
def test_it_is_off_unless_it_is_asked_for(serve: Serve, flags: tuple[str, ...]) -> None:
    server = serve(HOLDS, *flags)

    assert server.get("/metrics").status == 404


def test_scrapes_leave_no_lines_in_the_log(serve: Serve) -> None:
    server = serve(HOLDS, "--metrics")

    scrape(server)
    server.score(b"a")

    assert "/metrics" not in server.wait_for_log("POST /score")


def test_asked_for_without_the_library_it_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text(HOLDS)
    missing = tmp_path / "path" / "prometheus_client"
    missing.mkdir(parents=True)
    (missing / "__init__.py").write_text("raise ModuleNotFoundError('prometheus_client')\n")
    environ = {"PYTHONPATH": str(missing.parent)}
    server = Server(tmp_path / "score.py", "--metrics", root=tmp_path, environ=environ)
    try:
        assert server.exit_status() == 3
        assert 'pip install "azureml-inference-server-http[metrics]"' in server.log()
        assert "--metrics" in server.log()
        assert "Server Settings" not in server.log()
    finally:
        server.close()
