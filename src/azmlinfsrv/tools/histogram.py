"""Durations counted in buckets, so that a long run needs no more memory than a short one.

The buckets are those of HdrHistogram (G. Tene): every power of two is divided into equal
parts, so a percentile is wrong by no more than one part, 0.8 %, whatever its size.
"""

from __future__ import annotations

import math
from collections import Counter

# Parts of each power of two.
_PARTS = 128
# The smallest duration that is told from 0, in seconds.
_UNIT_S = 1e-6
SHOWN_PERCENTILES = (50.0, 75.0, 90.0, 95.0, 99.0, 99.9)


class Histogram:
    """How often durations of each length were seen."""

    def __init__(self) -> None:
        self.count = 0
        self.max_s = 0.0
        self.min_s = math.inf
        self._sum_s = 0.0
        self._counts: Counter[int] = Counter()

    def record(self, duration_s: float) -> None:
        """Count one duration; a negative one is 0."""
        self.count += 1
        self._sum_s += duration_s
        self.max_s = max(self.max_s, duration_s)
        self.min_s = min(self.min_s, duration_s)
        self._counts[_index(duration_s)] += 1

    def add(self, other: Histogram) -> None:
        """Count everything *other* has counted."""
        self.count += other.count
        self._sum_s += other._sum_s
        self.max_s = max(self.max_s, other.max_s)
        self.min_s = min(self.min_s, other.min_s)
        self._counts.update(other._counts)

    @property
    def mean_s(self) -> float:
        """NaN if nothing was counted."""
        return self._sum_s / self.count if self.count else math.nan

    def percentile_s(self, percent: float) -> float:
        """The duration that *percent* per cent do not exceed (nearest rank); NaN without any."""
        if not self.count:
            return math.nan
        rank = max(1, math.ceil(self.count * percent / 100))
        seen = 0
        for index in sorted(self._counts):
            seen += self._counts[index]
            if seen >= rank:
                return max(self.min_s, min(_upper_s(index), self.max_s))
        return self.max_s

    def as_data(self) -> dict[str, float]:
        """For JSON, in milliseconds; empty without any."""
        if not self.count:
            return {}
        percentiles = {
            f"p{percent:g}_ms": round(self.percentile_s(percent) * 1000, 3)
            for percent in SHOWN_PERCENTILES
        }
        return {
            "count": self.count,
            "min_ms": round(self.min_s * 1000, 3),
            "mean_ms": round(self.mean_s * 1000, 3),
            **percentiles,
            "max_ms": round(self.max_s * 1000, 3),
        }


def _index(duration_s: float) -> int:
    units = duration_s / _UNIT_S
    if units < 1:
        return 0
    mantissa, exponent = math.frexp(units)  # mantissa from 0.5 to 1
    return exponent * _PARTS + int((mantissa - 0.5) * 2 * _PARTS)


def _upper_s(index: int) -> float:
    exponent, part = divmod(index, _PARTS)
    return math.ldexp(0.5 + (part + 1) / (2 * _PARTS), exponent) * _UNIT_S if index else _UNIT_S
