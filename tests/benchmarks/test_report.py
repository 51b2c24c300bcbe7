from __future__ import annotations

import io

import pytest
from rich.console import Console

from benchmarks.jobs import JOBS
from benchmarks.report import (
    MARKERS,
    Table,
    cpu_model,
    figure,
    markdown,
    replace_section,
    rich_table,
    tables,
    times,
)
from benchmarks.results import Measure, Results

BEGIN, END = MARKERS["servers"]


def test_cpu_model_is_the_first_one_named() -> None:
    text = "processor\t: 0\nmodel name\t: Fast  CPU @ 2GHz\nmodel name\t: Other\n"

    assert cpu_model(text) == "Fast CPU @ 2GHz"


@pytest.mark.parametrize(
    ("ratio", "expected"),
    [(None, "-"), (0.0018, "0.0018x"), (0.151, "0.15x"), (12.34, "12.3x"), (345.6, "346x")],
)
def test_a_ratio_is_shown_to_about_three_digits(ratio: float | None, expected: str) -> None:
    assert times(ratio) == expected


def test_figures_have_the_digits_of_their_measure() -> None:
    assert figure(12345.678, Measure("k", "t", 0)) == "12 346"
    assert figure(0.1234, Measure("k", "t", 2)) == "0.12"
    assert figure(None, Measure("k", "t", 2)) == "-"


def test_markdown_escapes_what_would_split_a_cell() -> None:
    table = Table("T", ("", "ours"), (("a | b", "1"),))

    assert markdown(table).splitlines() == [
        "### T",
        "",
        "|  | ours |",
        "| --- | ---: |",
        "| a \\| b | 1 |",
    ]


def test_many_servers_are_split_over_several_tables() -> None:
    found = Results()
    names = ["a", "b", "c"]
    for name in ["ours", *names]:
        found.add(name, "j1", {"requests_per_s": 100.0})

    _, first, second = tables(found, [JOBS["j1"]], "ours", names, budgets=False)

    assert first.header == ("", "ours", "a", "ours / a", "b", "ours / b")
    assert second.header == ("", "ours", "c", "ours / c")
    assert second.rows == (("requests/s, many connections", "100", "100", "1.00x"),)


def test_a_server_without_figures_keeps_its_row_and_its_reason() -> None:
    found = Results()
    found.add("ours", "j1", {"requests_per_s": 100.0})
    found.add_failure("kserve", None, "did not install: no wheel")

    servers, job = tables(found, [JOBS["j1"]], "ours", ["kserve"], budgets=False)

    assert servers.rows[1] == ("kserve", "-", "-", "did not install: no wheel")
    assert job.rows == (("requests/s, many connections", "100", "-", "-"),)


def test_only_what_is_between_the_markers_is_replaced() -> None:
    page = f"before\n{BEGIN}\nold\n{END}\nafter\n"

    assert replace_section(page, "new") == f"before\n{BEGIN}\n\nnew\n\n{END}\nafter\n"


def test_writing_twice_changes_nothing() -> None:
    once = replace_section(f"{BEGIN}\n{END}", "new")

    assert replace_section(once, "new") == once


@pytest.mark.parametrize("page", ["", BEGIN, END + BEGIN, BEGIN + BEGIN + END, BEGIN + END + END])
def test_a_page_without_its_markers_is_refused(page: str) -> None:
    with pytest.raises(ValueError, match="once each"):
        replace_section(page, "new")


def test_figures_stay_whole_in_a_terminal_of_80_columns() -> None:
    results = Results()
    for peer in ("ours", "reference", "fastapi"):
        results.add(peer, "j1", {"requests_per_s": 12345.0, "p99_ms": 1034.56, "loop_ms": 0.17})
    out = io.StringIO()
    found = tables(results, [JOBS["j1"]], "ours", ["reference", "fastapi"], budgets=False)
    for table in found:
        Console(file=out, width=80).print(rich_table(table))

    assert out.getvalue().count("12 345") == out.getvalue().count("1 034.56") == 3
