"""What is refused because of its cost, and what is merely large and let through."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType as Array
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType as Table

from azmlinfsrv.script.conversion_cost import TooCostly, check_array, check_date, check_table

FRAME = pd.DataFrame({"a": [1], "b": [2]})
LONG = "x" * 1_000_000

TEXTS = Array(np.array(["a"]), enforce_column_type=False)
WIDE_TEXTS = Array(np.array(["a" * 10_000]))

ARRAYS: dict[str, tuple[Any, Any, bool]] = {
    "one long text among many": (TEXTS, [LONG, *["y"] * 1000], True),
    "one long text among many rows": (TEXTS, [[LONG], *[["y"]] * 1000], True),
    "one long text among many numbers": (TEXTS, [LONG, *[1] * 1000], True),
    "many long texts": (TEXTS, [LONG] * 100, False),
    "one long text": (TEXTS, [LONG], False),
    "many numbers": (TEXTS, [1] * 100_000, False),
    "short texts for a wide sample": (WIDE_TEXTS, ["y"] * 10_000, True),
    "few texts for a wide sample": (WIDE_TEXTS, ["y"] * 100, False),
    "long text for a narrow sample": (Array(np.array(["a"])), [LONG, *["y"] * 1000], False),
    "many numbers for numbers": (Array(np.array([1.5])), [1.5] * 100_000, False),
    "no list": (TEXTS, {"a": LONG}, False),
}


@pytest.mark.parametrize(("declared", "value", "is_refused"), ARRAYS.values(), ids=list(ARRAYS))
def test_an_array_is_refused_only_if_it_asks_for_far_more_than_it_gives(
    declared: Any, value: Any, is_refused: bool
) -> None:
    dtype = declared.sample_input.dtype if declared.enforce_column_type else None
    assert refuses(check_array, value, dtype) == is_refused


def rows_of_their_own(count: int) -> list[dict[str, int]]:
    return [{f"k{number}": 1} for number in range(count)]


def table(orient: str, enforce_shape: bool = False) -> Any:
    return Table(FRAME, enforce_shape=enforce_shape, orient=orient)


JAGGED = [*[[1]] * 20_000, [1] * 20_000]
TABLES: dict[str, tuple[Any, Any, bool]] = {
    "a name for every row": (table("records"), rows_of_their_own(20_000), True),
    "a name for every one of few rows": (table("records"), rows_of_their_own(1000), False),
    "a wide table": (table("records"), [{f"k{n}": 1 for n in range(5000)}] * 1000, False),
    "a long table": (table("records"), [{"a": 1, "b": 2}] * 200_000, False),
    "a column more": (table("records", True), [{"a": 1, "b": 2}, {"c": 3}], True),
    "a column less": (table("records", True), [{"a": 1}], False),
    "values, jagged": (table("values"), JAGGED, True),
    "values, a column more": (table("values", True), [[1, 2, 3]], True),
    "split, jagged": (table("split"), {"columns": ["a"], "data": JAGGED}, True),
    "split, many names": (
        table("split"),
        {"columns": [f"k{n}" for n in range(20_000)], "data": [[]] * 20_000},
        True,
    ),
    "split, as it should be": (
        table("split", True),
        {"columns": ["a", "b"], "index": [0], "data": [[1, 2]]},
        False,
    ),
    "columns, many rows": (table("columns", True), {"a": {str(n): n for n in range(9)}}, False),
    "columns, one more": (table("columns", True), {"a": {}, "b": {}, "c": {}}, True),
    "columns, a row name for every cell": (
        table("columns"),
        {f"c{n}": {f"r{n}": 1} for n in range(20_000)},
        True,
    ),
    "index, many rows": (table("index", True), {str(n): {"a": 1, "b": 2} for n in range(9)}, False),
    "index, a column more": (table("index", True), {"0": {"a": 1, "b": 2, "c": 3}}, True),
    "table, as it should be": (
        table("table", True),
        {"schema": {"fields": [{"name": "index"}, {"name": "a"}, {"name": "b"}]}, "data": []},
        False,
    ),
    "table, jagged": (
        table("table"),
        {"schema": {"fields": [{"name": str(n)} for n in range(20_000)]}, "data": [{}] * 20_000},
        True,
    ),
    "numbers": (table("records", True), [1, 2, 3], False),
    "nothing": (table("split", True), {"columns": 1, "data": None}, False),
    "a list where an object belongs": (table("split", True), [[1, 2, 3]], False),
}


@pytest.mark.parametrize(("declared", "value", "is_refused"), TABLES.values(), ids=list(TABLES))
def test_a_table_is_refused_only_if_it_is_wider_than_it_may_be_or_mostly_empty(
    declared: Any, value: Any, is_refused: bool
) -> None:
    width = declared.sample_input.shape[1] if declared.enforce_shape else math.inf
    assert refuses(check_table, value, declared.orient, width) == is_refused


def test_a_text_longer_than_any_date_is_refused() -> None:
    check_date("Wednesday, the 2nd of January 2020, 03:04:05.678901 +01:00")
    check_date(7)

    with pytest.raises(TooCostly, match="a string of more than 200 characters"):
        check_date("9" * 201)


def refuses(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except TooCostly:
        return True
    return False
