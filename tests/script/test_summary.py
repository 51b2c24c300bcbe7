"""Arguments are told by type and size; a value is never told, and 2 KB are never passed."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pytest

from azmlinfsrv.script.summary import MAX_BYTES, summarise


@dataclass
class Row:
    """A type of a script's own."""

    name: str
    size: int


class Hostile:
    """Fails whatever it is asked."""

    def __getattribute__(self, name: str) -> Any:
        raise ZeroDivisionError(name)


CASES = [
    (None, {"type": "NoneType"}),
    (4711, {"type": "int"}),
    (True, {"type": "bool"}),
    ("secret", {"type": "str", "length": 6, "json": False}),
    ("4711", {"type": "str", "length": 4, "json": True}),
    (b"secret", {"type": "bytes", "bytes": 6}),
    ('{"a": [1, 2]}', {
        "type": "str",
        "length": 13,
        "json": {
            "type": "dict",
            "length": 1,
            "keys": {"a": {"type": "list", "length": 2, "items": {"type": "int"}}},
        },
    }),
    ('"{}"', {
        "type": "str",
        "length": 4,
        "json": {"type": "str", "length": 2, "json": {"type": "dict", "length": 0, "keys": {}}},
    }),
    ([[1, 2, 3], [4, 5, 6]], {
        "type": "list",
        "length": 2,
        "shape": [2, 3],
        "items": {"type": "list", "length": 3, "items": {"type": "int"}},
    }),
    ([[1], [2, 3]], {
        "type": "list",
        "length": 2,
        "items": {"type": "list", "length": [1, 2], "items": {"type": "int"}},
    }),
    ([1, "a"], {"type": "list", "length": 2, "items": {"type": "int | str"}}),
    (np.zeros((2, 3)), {"type": "numpy.ndarray", "shape": [2, 3], "dtype": "float64"}),
    (np.array([object()]), {"type": "numpy.ndarray", "shape": [1], "dtype": "object"}),
    (pd.DataFrame({"age": [1], "name": ["x"]}, dtype=object), {
        "type": "pandas.DataFrame",
        "shape": [1, 2],
        "columns": {"age": "object", "name": "object"},
    }),
    (Row("secret", 4711), {
        "type": "tests.Row",
        "keys": {"name": {"type": "str", "length": 6}, "size": {"type": "int"}},
    }),
    (Hostile(), {"type": "tests.Hostile"}),
]  # fmt: skip


@pytest.mark.parametrize(("value", "expected"), CASES, ids=[type(row[0]).__name__ for row in CASES])
def test_value_is_told_by_type_and_size(value: object, expected: dict[str, Any]) -> None:
    assert summarise({"data": value}) == {"data": expected}


@pytest.mark.parametrize(
    "value",
    [
        {f"key {number}": {"inner": [number] * 9} for number in range(5000)},
        {"k" * 100_000: {"k" * 100_000: 1}},
        [[{"a": {"b": {"c": [1]}}}] * 50] * 50,
        pd.DataFrame({f"column {number}": [number] for number in range(500)}),
        json.dumps({"ключ" * 40 + str(number): number for number in range(300)}),
    ],
    ids=["many keys", "long keys", "deep", "many columns", "text"],
)
def test_summary_is_never_over_its_bound(value: object) -> None:
    told = summarise({"data": value, "more": value})

    assert set(told) == {"data", "more"}
    assert len(json.dumps(told)) <= MAX_BYTES


def test_many_arguments_are_counted() -> None:
    assert summarise({f"argument {number}" * 9: number for number in range(200)}) == {
        "…": {"type": "dict", "length": 200}
    }
