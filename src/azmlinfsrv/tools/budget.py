"""What a script may cost: limits from ``budget.toml`` and flags, and figures held against them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
from msgspec import Struct


class BudgetError(ValueError):
    """A budget cannot be read; the text says where and why."""


class Budget(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Limits, each None if there is none; and the load they are measured under.

    Attributes:
        rate: Requests a second of the open load.
        duration_s: How long it lasts.
        connections: How many connections the highest throughput is measured with.
    """

    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    requests_per_second: float | None = None
    cpu_ms_per_request: float | None = None
    startup_s: float | None = None
    init_s: float | None = None
    memory_mb: float | None = None
    growth_mb_per_1000_requests: float | None = None

    rate: float = 20.0
    duration_s: float = 5.0
    connections: int = 4

    @property
    def limits(self) -> dict[str, float]:
        """The limits that are set, by name."""
        named = {name: getattr(self, name) for name in LIMITS}
        return {name: value for name, value in named.items() if value is not None}


@dataclass(frozen=True, slots=True)
class Limit:
    """How a figure is held against its limit."""

    words: str
    unit: str
    is_minimum: bool = False

    def is_kept(self, found: float, limit: float) -> bool:
        return found >= limit if self.is_minimum else found <= limit


LIMITS: dict[str, Limit] = {
    "p50_ms": Limit("the median latency", "ms"),
    "p95_ms": Limit("the 95th percentile of latency", "ms"),
    "p99_ms": Limit("the 99th percentile of latency", "ms"),
    "requests_per_second": Limit("the highest throughput", "requests a second", is_minimum=True),
    "cpu_ms_per_request": Limit("the CPU time of a request", "ms"),
    "startup_s": Limit("the start of the server", "s"),
    "init_s": Limit("init()", "s"),
    "memory_mb": Limit("the memory at rest", "MB"),
    "growth_mb_per_1000_requests": Limit("the growth of memory in 1,000 requests", "MB"),
}


@dataclass(frozen=True, slots=True)
class Excess:
    """A figure beyond its limit."""

    name: str
    found: float
    limit: float

    def __str__(self) -> str:
        rule = LIMITS[self.name]
        side = "under" if rule.is_minimum else "over"
        return f"{rule.words} is {self.found:.4g} {rule.unit}, {side} its budget of {self.limit:g}"


def read_budget(path: Path | None, given: Sequence[str] = ()) -> Budget:
    """The budget of a file with what flags say over it.

    Args:
        given: ``name=number`` each.
    Raises:
        BudgetError: the file or a flag is malformed.
    """
    document: dict[str, Any] = {} if path is None else _read_toml(path)
    for text in given:
        name, equals, number = text.partition("=")
        try:
            document[name.strip()] = float(number)
        except ValueError:
            equals = ""
        if not equals:
            raise BudgetError(f"{text!r}: write NAME=NUMBER, such as p99_ms=50.")
    try:
        budget = msgspec.convert(document, Budget, strict=False)
    except msgspec.ValidationError as error:
        known = ", ".join(Budget.__struct_fields__)
        raise BudgetError(f"{path or 'budget'}: {error}. Known names: {known}.") from error
    for name in ("rate", "duration_s", "connections"):
        if getattr(budget, name) <= 0:
            raise BudgetError(f"{path or 'budget'}: {name} must be more than 0.")
    return budget


def excesses(figures: Mapping[str, float], budget: Budget) -> list[Excess]:
    """The figures that are beyond their limits; a figure that is not there is not."""
    return [
        Excess(name, figures[name], limit)
        for name, limit in budget.limits.items()
        if name in figures and not LIMITS[name].is_kept(figures[name], limit)
    ]


def _read_toml(path: Path) -> dict[str, Any]:
    try:
        # Python 3.11 reads TOML itself; before, the extra `check` brings tomli.
        document = msgspec.toml.decode(path.read_bytes(), type=dict[str, Any])
    except ImportError as error:
        raise BudgetError(
            f"{path} needs tomli on this Python: "
            "python -m pip install 'azureml-inference-server-http[check]'"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BudgetError(f"{path} is not TOML: {error}.") from error
    except OSError as error:
        raise BudgetError(f"{path} cannot be read: {error.strerror}.") from error
    return document
