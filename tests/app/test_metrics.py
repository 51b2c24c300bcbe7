"""The text of ``GET /metrics``, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Any

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as open_metrics
from prometheus_client.parser import text_string_to_metric_families

from azmlinfsrv.app.application import Application, Policy
from azmlinfsrv.app.buffers import SMALL_BYTES, BodyShare
from azmlinfsrv.errors import ScoringFailed
from azmlinfsrv.messages import Buffer, Headers, Request, Response, Timings
from azmlinfsrv.pool.call import CallerLeft
from azmlinfsrv.pool.interface import Figures
from azmlinfsrv.telemetry.metrics import Batches

OK = Response(200, [], b"1", Timings(0.001, 0.2, 0.002, 0.03))


class FakePool:
    def __init__(self, *answers: Response | Exception, figures: Figures | None = None) -> None:
        self.answers = list(answers)
        self._figures = figures or Figures()

    async def submit(self, *_args: object, **_kwargs: object) -> Response:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def figures(self) -> Figures:
        return self._figures


class FakeCaller:
    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        return None

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        return b"{}"

    def has_left(self) -> bool:
        return False


def application(pool: FakePool, **policy: Any) -> Application:
    rules = {"max_body_bytes": 1000, "limit_s": 5.0, "server_version": "", "metrics": True}
    return Application(pool, Policy(**{**rules, **policy}))


def ask(
    served: Application, method: str, path: str, headers: Headers | None = None, server: str = ""
) -> Response:
    request = Request(method, path, headers=headers or [], server=server)
    return asyncio.run(served.handle(request, FakeCaller()))


Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def samples_of(families: Iterable[Any]) -> Samples:
    found: Samples = {}
    for family in families:
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            assert key not in found, key
            found[key] = sample.value
    return found


def scrape(served: Application) -> Samples:
    response = ask(served, "GET", "/metrics")
    assert response.status == 200
    return samples_of(text_string_to_metric_families(bytes(response.body).decode()))


def test_requests_are_told_by_route_and_status() -> None:
    served = application(FakePool(OK, OK, ScoringFailed("no"), CallerLeft()))
    for path in ("/score", "//score", "/score", "/nowhere", "/'\"\n{}"):
        ask(served, "POST", path)
    with pytest.raises(CallerLeft):
        ask(served, "POST", "/score")
    ask(served, "PUT", "/score")
    ask(served, "GET", "/metrics")

    found = scrape(served)

    counted = {key[1]: value for key, value in found.items() if key[0].endswith("requests_total")}
    assert counted == {
        (("route", "/score"), ("status", "200")): 2,
        (("route", "/score"), ("status", "500")): 1,
        (("route", "/score"), ("status", "499")): 1,
        (("route", "/score"), ("status", "405")): 1,
        (("route", "other"), ("status", "404")): 2,
        (("route", "/metrics"), ("status", "200")): 1,
    }


def test_where_the_time_went_is_told_in_histograms() -> None:
    served = application(FakePool(OK))
    ask(served, "POST", "/score")

    found = scrape(served)

    name = "azmlinfsrv_request_part_seconds"
    assert found[f"{name}_sum", (("part", "run"),)] == 0.2
    assert found[f"{name}_bucket", (("le", "0.1"), ("part", "run"))] == 0
    assert found[f"{name}_bucket", (("le", "0.25"), ("part", "run"))] == 1
    assert found[f"{name}_bucket", (("le", "+Inf"), ("part", "run"))] == 1
    assert found[f"{name}_sum", (("part", "queue"),)] == 0.03
    assert found["azmlinfsrv_request_seconds_count", ()] == 1


def test_the_figures_of_the_pool_are_told() -> None:
    batches = Batches()
    batches.begun([0.01, 0.02, 0.03])
    batches.begun([0.0])
    figures = Figures(
        waiting=5,
        running=2,
        queue_size=1000,
        workers_ready=1,
        workers_wanted=2,
        workers_replaced={"ended": 3, "worn": 4},
        loads=6,
        unanswered={"refused": 7},
        batches=batches,
    )
    found = scrape(application(FakePool(figures=figures)))

    expected: Samples = {
        ("azmlinfsrv_calls_waiting", ()): 5,
        ("azmlinfsrv_calls_running", ()): 2,
        ("azmlinfsrv_calls_waiting_limit", ()): 1000,
        ("azmlinfsrv_workers_ready", ()): 1,
        ("azmlinfsrv_workers_wanted", ()): 2,
        ("azmlinfsrv_worker_replacements_total", (("reason", "ended"),)): 3,
        ("azmlinfsrv_worker_replacements_total", (("reason", "worn"),)): 4,
        ("azmlinfsrv_script_loads_total", ()): 6,
        ("azmlinfsrv_calls_unanswered_total", (("reason", "refused"),)): 7,
        ("azmlinfsrv_batch_size_sum", ()): 4,
        ("azmlinfsrv_batch_size_count", ()): 2,
        ("azmlinfsrv_batch_size_bucket", (("le", "1.0"),)): 1,
        ("azmlinfsrv_batch_size_bucket", (("le", "4.0"),)): 2,
        ("azmlinfsrv_batch_wait_seconds_count", ()): 4,
    }
    assert {key: found.get(key) for key in expected} == expected


def test_what_large_bodies_take_is_told() -> None:
    served = application(FakePool(), max_buffered_bytes=10 * SMALL_BYTES)
    share = served.bodies.share()
    share.grow_to(2 * SMALL_BYTES)

    found = scrape(served)

    assert found["azmlinfsrv_buffered_body_bytes", ()] == 2 * SMALL_BYTES
    assert found["azmlinfsrv_buffered_body_limit_bytes", ()] == 10 * SMALL_BYTES


def test_every_name_has_its_help_and_its_unit() -> None:
    response = ask(application(FakePool(figures=Figures(batches=Batches()))), "GET", "/metrics")

    for family in text_string_to_metric_families(bytes(response.body).decode()):
        assert family.documentation
        assert not any(word in family.name for word in ("_ms", "milli", "_mb"))
        if family.type == "counter":
            assert f"{family.name}_total" in bytes(response.body).decode()


def test_a_scraper_that_prefers_open_metrics_gets_it() -> None:
    accept = (b"accept", b"application/openmetrics-text;version=1.0.0,text/plain;q=0.5")
    served = application(FakePool(OK))
    ask(served, "POST", "/score")

    response = ask(served, "GET", "/metrics", [accept])

    content_type = dict(response.headers)[b"Content-Type"]
    assert content_type.startswith(b"application/openmetrics-text")
    found = samples_of(open_metrics(bytes(response.body).decode()))
    assert found["azmlinfsrv_requests_total", (("route", "/score"), ("status", "200"))] == 1


def test_without_the_setting_there_is_no_such_page() -> None:
    assert ask(application(FakePool(), metrics=False), "GET", "/metrics").status == 404


def test_other_methods_are_refused_as_on_other_routes() -> None:
    served = application(FakePool())

    refused = ask(served, "POST", "/metrics")

    assert refused.status == 405
    assert dict(refused.headers)[b"Allow"] == b"GET, HEAD, OPTIONS"
    assert ask(served, "HEAD", "/metrics").status == 200


def test_the_port_for_probes_has_no_metrics() -> None:
    served = application(FakePool(), health_port=5000)

    assert ask(served, "GET", "/metrics", server="localhost:5000").status == 404
