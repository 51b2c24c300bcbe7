"""Figures, what they must be, and the table that puts servers side by side."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from rich.table import Table

Relation = Literal["<=", ">=", "=="]
_SIGNS = {"<=": "≤", ">=": "≥", "==": ""}


@dataclass(frozen=True, slots=True)
class Figure:
    """One measured number; ``limit`` None has no target and is told only."""

    what: str
    value: float
    unit: str = ""
    relation: Relation = "<="
    limit: float | None = None

    @property
    def is_met(self) -> bool:
        """Not a number (it could not be measured) meets nothing."""
        if self.limit is None:
            return True
        if self.relation == "<=":
            return self.value <= self.limit
        if self.relation == ">=":
            return self.value >= self.limit
        return self.value == self.limit

    @property
    def text(self) -> str:
        return _number(self.value) + (f" {self.unit}" if self.unit else "")

    @property
    def target(self) -> str:
        if self.limit is None:
            return ""
        unit = f" {self.unit}" if self.unit else ""
        return f"{_SIGNS[self.relation]} {_number(self.limit)}{unit}".strip()


def as_data(figure: Figure) -> dict[str, object]:
    """For JSON, which has no infinity: None is what was never reached, or not measured."""
    value = figure.value if math.isfinite(figure.value) else None
    return {**dataclasses.asdict(figure), "value": value, "is_met": figure.is_met}


def side_by_side(title: str, columns: Sequence[tuple[str, Sequence[Figure]]]) -> Table:
    """A row for each figure, a column for each server; the first one's targets are judged."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left")
    table.add_column("what", overflow="fold")
    for name, _ in columns:
        table.add_column(name, justify="right")
    table.add_column("must be", justify="right")
    table.add_column("")
    rows = {figure.what: figure for _, figures in reversed(columns) for figure in figures}
    found = [{figure.what: figure for figure in figures} for _, figures in columns]
    order = list(dict.fromkeys(figure.what for _, figures in columns for figure in figures))
    for what in order:
        cells = [column[what].text if what in column else "-" for column in found]
        judged = found[0].get(what)
        verdict = Text("")
        if judged is not None and judged.limit is not None:
            verdict = Text("met", "green") if judged.is_met else Text("NOT MET", "bold red")
        table.add_row(what, *cells, rows[what].target, verdict)
    return table


def _number(value: float) -> str:
    if math.isnan(value):
        return "none"
    if math.isinf(value):
        return "never"
    if value == int(value):
        return f"{value:.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.2f}"
