"""``GET /metrics``: what was counted, as Prometheus reads it.

Nothing is kept here: the figures are read when they are asked for. Labels have few values,
and none that a client or a script chooses, but for a status. Names follow
https://prometheus.io/docs/practices/naming/. Import this module only with ``--metrics``:
the library is an extra.
"""

from __future__ import annotations

import platform
import time
from collections.abc import Iterable, Iterator, Mapping
from itertools import accumulate

from prometheus_client import CollectorRegistry, Metric, ProcessCollector
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from azmlinfsrv import __version__
from azmlinfsrv.app.buffers import BodyBudget
from azmlinfsrv.pool.interface import Figures, Pool
from azmlinfsrv.telemetry.metrics import Batches, Histogram, Requests


class Metrics(Collector):
    """Reads the figures of a server that runs.

    Attributes:
        requests: Told of every request.
    """

    def __init__(self, pool: Pool, bodies: BodyBudget) -> None:
        self._pool = pool
        self._bodies = bodies
        self._started_s = time.time()
        self.requests = Requests()
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)  # of the front end; on Linux

    def text(self, accept: bytes | None) -> tuple[bytes, bytes]:
        """All of it, and its content type, in the form a scraper accepts."""
        encode, content_type = choose_encoder((accept or b"").decode("latin-1"))
        return encode(self._registry), content_type.encode("latin-1")

    def collect(self) -> Iterator[Metric]:
        """Every family with its samples; called by the library."""
        figures = self._pool.figures()
        yield InfoMetricFamily(
            "azmlinfsrv_build",
            "The server's version, and Python's.",
            {"version": __version__, "python_version": platform.python_version()},
        )
        yield GaugeMetricFamily(
            "azmlinfsrv_start_time_seconds",
            "When the front end started, in seconds since 1970.",
            self._started_s,
        )
        yield from self._of_requests()
        yield from _of_calls(figures)
        yield from _of_workers(figures)
        if figures.batches is not None:
            yield from _of_batches(figures.batches)
        yield GaugeMetricFamily(
            "azmlinfsrv_buffered_body_bytes",
            "What request bodies over 1 MiB take now.",
            self._bodies.held_bytes,
        )
        yield GaugeMetricFamily(
            "azmlinfsrv_buffered_body_limit_bytes",
            "What they may take (--max_buffered_bytes).",
            self._bodies.limit_bytes,
        )

    def _of_requests(self) -> Iterator[Metric]:
        requests = self.requests
        answers = CounterMetricFamily(
            "azmlinfsrv_requests",
            "Requests by route and status. 499 is a client that left before its answer.",
            labels=("route", "status"),
        )
        for (route, status), count in requests.answers.items():
            answers.add_metric((route, str(status)), count)
        yield answers
        yield _histogram(
            "azmlinfsrv_request_seconds",
            "Seconds from the head of a request to /score to its answer.",
            {(): requests.seconds},
        )
        yield _histogram(
            "azmlinfsrv_request_part_seconds",
            "Where those went, as in Server-Timing, for calls that run() answered.",
            {(part,): histogram for part, histogram in requests.parts.items()},
            ("part",),
        )


def _of_calls(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "azmlinfsrv_calls_waiting", "Calls that wait for a worker now.", figures.waiting
    )
    yield GaugeMetricFamily(
        "azmlinfsrv_calls_running", "Calls that are computed now.", figures.running
    )
    yield GaugeMetricFamily(
        "azmlinfsrv_calls_waiting_limit", "How many may (--queue_size).", figures.queue_size
    )
    yield _by_reason(
        "azmlinfsrv_calls_unanswered",
        "Calls that got no answer of the script's: refused because the queue was full; "
        "expired or left by their caller, waiting or running; cancelled because of that; lost "
        "with their worker; quarantined.",
        figures.unanswered,
    )


def _of_workers(figures: Figures) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "azmlinfsrv_workers_ready", "Workers that are given calls.", figures.workers_ready
    )
    yield GaugeMetricFamily(
        "azmlinfsrv_workers_wanted", "Workers there should be.", figures.workers_wanted
    )
    yield _by_reason(
        "azmlinfsrv_worker_replacements",
        "Workers that another took the place of: ended by themselves or killed; worn by "
        "--max_requests, memory or a call that did not stop.",
        figures.workers_replaced,
    )
    yield CounterMetricFamily(
        "azmlinfsrv_script_loads",
        "How often the script was loaded, by the start and by reloads, well or not.",
        figures.loads,
    )


def _of_batches(batches: Batches) -> Iterator[Metric]:
    yield _histogram(
        "azmlinfsrv_batch_size",
        "Calls in a batch; the sum is of all calls that were batched.",
        {(): batches.sizes},
    )
    yield _histogram(
        "azmlinfsrv_batch_wait_seconds",
        "Seconds a call waited until its batch was sent to a worker.",
        {(): batches.waits},
    )


def _by_reason(name: str, help_text: str, counts: Mapping[str, int]) -> Metric:
    family = CounterMetricFamily(name, help_text, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason,), count)
    return family


def _histogram(
    name: str,
    help_text: str,
    histograms: Mapping[tuple[str, ...], Histogram],
    labels: Iterable[str] = (),
) -> Metric:
    family = HistogramMetricFamily(name, help_text, labels=tuple(labels))
    for values, histogram in histograms.items():
        bounds = map(floatToGoString, (*histogram.bounds, float("inf")))
        buckets = list(zip(bounds, accumulate(histogram.counts), strict=True))
        family.add_metric(values, buckets, histogram.total)
    return family
