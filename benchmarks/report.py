"""The tables: the same rows for the terminal and, as Markdown, for ``docs/benchmarks.md``."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from benchmarks.jobs import Job
from benchmarks.results import BUDGETS, Measure, Results, judge

if TYPE_CHECKING:
    from rich.table import Table as RichTable

# Between these lines of the page stands what `--write` writes.
MARKERS = {
    "servers": (
        "<!-- benchmarks: begin (written by `make bench ARGS=--write`) -->",
        "<!-- benchmarks: end -->",
    ),
    "growth": (
        "<!-- growth: begin (written by `make bench ARGS='--growth --write'`) -->",
        "<!-- growth: end -->",
    ),
}
NOTHING = "-"
# Servers beside the base in one table: more would not fit 80 columns.
OTHERS_A_TABLE = 2


@dataclass(frozen=True, slots=True)
class Table:
    """A title and text cells. The first column is words, the others are figures."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    is_text: bool = False


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What a reader needs to judge the figures."""

    date: str
    cpu: str
    cores: int
    system: str
    python: str
    generator: str
    workers: int  # 0 where it differs from row to row
    rounds: int
    seconds: int

    @property
    def sentence(self) -> str:
        workers = f"{_count(self.workers, 'worker')}; " if self.workers else ""
        return (
            f"{self.date}, {self.cpu}, {self.cores} cores, {self.system}, Python {self.python}; "
            f"load from {self.generator} on the same machine; {workers}"
            f"medians of {_count(self.rounds, 'round')} of {self.seconds} s a load."
        )


def cpu_model(cpuinfo: str) -> str:
    """The first ``model name`` of ``/proc/cpuinfo``; the machine type where there is none."""
    for line in cpuinfo.splitlines():
        name, _, value = line.partition(":")
        if name.strip().lower() == "model name":
            return " ".join(value.split())
    return platform.processor() or platform.machine()


def read_cpu_model() -> str:
    try:
        return cpu_model(Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    except OSError:
        return cpu_model("")


def usable_cores() -> int:
    """Cores this process may use: a container is often given fewer than the machine has."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1


def tables(
    results: Results, jobs: Sequence[Job], base: str, others: Sequence[str], *, budgets: bool
) -> list[Table]:
    """Servers, one table (or more, with many servers) a job, budgets."""
    found = [_servers(results, [base, *others])]
    for job in jobs:
        if not results.measures(job.name):
            continue
        for start in range(0, max(1, len(others)), OTHERS_A_TABLE):
            found.append(_job(results, job, base, others[start : start + OTHERS_A_TABLE]))
    if budgets:
        found.append(_budgets(results, base))
    return found


def _servers(results: Results, names: Sequence[str]) -> Table:
    rows = []
    for name in names:
        reasons = [
            f"{failure.job}: {failure.reason}" if failure.job else failure.reason
            for failure in results.failures
            if failure.peer == name
        ]
        alive = {True: "yes", False: "no", None: NOTHING}[results.keeps_alive.get(name)]
        version = results.versions.get(name, NOTHING)
        known = any(peer == name for peer, _ in results.samples)
        outcome = "; ".join(reasons) or ("measured" if known else "not measured")
        rows.append((name, version, alive, outcome))
    header = ("server", "version", "keeps connections open", "outcome")
    return Table("Servers", header, tuple(rows), is_text=True)


def _job(results: Results, job: Job, base: str, others: Sequence[str]) -> Table:
    header = ["", base]
    for other in others:
        header += [other, f"{base} / {other}"]
    rows = []
    for measure in results.measures(job.name):
        cells = [measure.title, figure(results.value(base, job.name, measure.key), measure)]
        for other in others:
            cells.append(figure(results.value(other, job.name, measure.key), measure))
            ratio = results.ratio(base, other, job.name, measure.key)
            cells.append(times(ratio) if measure.has_ratio else "")
        rows.append(tuple(cells))
    return Table(job.heading, tuple(header), tuple(rows))


def _budgets(results: Results, base: str) -> Table:
    rows = []
    for budget in BUDGETS:
        value, verdict = judge(budget, results, base, "reference")
        shown = times(value) if budget.is_ratio else number(value)
        rows.append((budget.what, budget.limit, shown, verdict))
    header = ("budget", "limit", "measured", "verdict")
    return Table("Budgets (a ratio is ours / reference)", header, tuple(rows), is_text=True)


def figure(value: float | None, measure: Measure) -> str:
    return NOTHING if value is None else f"{value:,.{measure.digits}f}".replace(",", " ")


def number(value: float | None) -> str:
    return NOTHING if value is None else f"{value:.3g}"


def times(ratio: float | None) -> str:
    """A ratio to two or three significant digits: ``12.3x``, ``0.15x``."""
    if ratio is None:
        return NOTHING
    digits = 4 if ratio < 0.01 else 0 if ratio >= 100 else 1 if ratio >= 10 else 2
    return f"{ratio:.{digits}f}x"


def markdown(table: Table) -> str:
    """One table with its title as a heading of the third level."""
    rule = ["---"] * len(table.header) if table.is_text else ["---", *["---:"] * _figures(table)]
    lines = [_line(table.header), _line(rule), *map(_line, table.rows)]
    return "\n".join([f"### {table.title}", "", *lines])


def _figures(table: Table) -> int:
    return len(table.header) - 1


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def page_section(
    found: Sequence[Table], circumstances: Circumstances, charts: dict[str, str]
) -> str:
    """What goes between the markers. *charts* gives a table's title to a picture's path.

    A picture stands behind the first table of its title: with many servers there are several.
    """
    parts = [circumstances.sentence]
    left = dict(charts)
    for table in found:
        parts.append(markdown(table))
        if table.title in left:
            parts.append(f"![{table.title}]({left.pop(table.title)})")
    return "\n\n".join(parts)


def replace_section(page: str, section: str, which: str = "servers") -> str:
    """*page* with everything between the markers *which* (of `MARKERS`) replaced by *section*.

    Raises:
        ValueError: the markers are not there, once each, in order.
    """
    first, last = MARKERS[which]
    head, begin, rest = page.partition(first)
    _, end, tail = rest.partition(last)
    if not begin or not end or first in rest or last in tail:
        raise ValueError(f"the page must hold the lines {first!r} and {last!r} once each")
    return f"{head}{first}\n\n{section}\n\n{last}{tail}"


def rich_table(table: Table) -> RichTable:
    from rich.table import Table as RichTable
    from rich.text import Text

    drawn = RichTable(title=table.title, title_justify="left", title_style="bold")
    for number, name in enumerate(table.header):
        is_label = number == 0
        justify: Literal["left", "right"] = "left" if is_label or table.is_text else "right"
        # In a narrow terminal words are wrapped, and figures stay whole.
        cells = [row[number] for row in table.rows]
        width = None if is_label or table.is_text else max(map(len, cells), default=0)
        drawn.add_column(name, justify=justify, min_width=width)
    # Text, not markup: a reason or a version may hold square brackets.
    for row in table.rows:
        drawn.add_row(*(Text(cell, style=_style(cell)) for cell in row))
    return drawn


def _style(cell: str) -> str:
    return {"met": "green", "not met": "red", "not measured": "yellow"}.get(cell, "")


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")
