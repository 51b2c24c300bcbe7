"""What is counted for ``GET /metrics`` while the server serves; only with ``--metrics``.

A histogram here is a list of integers: a call is counted in two microseconds. The library
would take four times as long, with its locks for threads that we do not have: all of it
happens in the event loop's thread. The text is its business (`azmlinfsrv.app.metrics`).
"""

from __future__ import annotations

import importlib
from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.messages import Timings

_MISSING = (
    "The library that writes metrics is not installed. "
    'Try: pip install "azureml-inference-server-http[metrics]"'
)

# From a script that does nothing to one that is given minutes.
SECONDS = (
    *(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0),
)
CALLS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0)

# Which of `Timings` are counted, by the names they have in ``Server-Timing``.
PARTS = ("queue", "parse", "run", "encode")


def check_available(setting: str) -> None:
    """Do nothing if the library is there, and works.

    Raises:
        SettingsError: it is not; the message names *setting*.
    """
    try:
        importlib.import_module("prometheus_client")
    except ImportError as error:
        raise SettingsError([(setting, _MISSING)]) from error


class Histogram:
    """How many values were at most so large.

    Attributes:
        bounds: Upper bounds, ascending; the last count is of what is over all of them.
        counts: Of the values in each interval, not added up.
        total: Sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count a value."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


class Batches:
    """The batches that were sent to workers."""

    def __init__(self) -> None:
        self.sizes = Histogram(CALLS)
        self.waits = Histogram(SECONDS)

    def begun(self, waits_s: Sequence[float]) -> None:
        """A batch was sent; each of its calls had waited so long."""
        self.sizes.observe(len(waits_s))
        for wait_s in waits_s:
            self.waits.observe(wait_s)


class Requests:
    """The requests that were answered.

    Attributes:
        answers: By route and status.
        seconds: Of requests to ``/score``, from the head to the answer; of a stream, to its head.
        parts: Where that time went, for calls that the script answered.
    """

    def __init__(self) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.seconds = Histogram(SECONDS)
        self.parts = {part: Histogram(SECONDS) for part in PARTS}
        self._observe = [part.observe for part in self.parts.values()]

    def answered(self, route: str, status: int, seconds: float, timings: Timings | None) -> None:
        """Count one request."""
        self.answers[route, status] += 1
        if route != "/score":
            return
        self.seconds.observe(seconds)
        if timings is not None:
            queue, parse, run, encode = self._observe
            queue(timings.queue_s)
            parse(timings.parse_s)
            run(timings.run_s)
            encode(timings.encode_s)
