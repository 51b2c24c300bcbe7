"""Which calls are put together, and whose each part of the result is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from azmlinfsrv.script.batching import Batch, groups_of


def array(*shape: int) -> Any:
    return np.ones(shape)


def frame(*names: str) -> Any:
    return pd.DataFrame({name: [1] for name in names})


GROUPS: dict[str, tuple[list[dict[str, Any]], list[list[int]]]] = {
    "text": ([{"data": "a"}, {"data": "b"}], [[0, 1]]),
    "arrays of one form": ([{"x": array(1, 2)}, {"x": array(3, 2)}], [[0, 1]]),
    "an empty one among them": ([{"x": array(1, 2)}, {"x": array(0)}], [[0], [1]]),
    "arrays of two forms": (
        [{"x": array(1, 2)}, {"x": array(1, 3)}, {"x": array(2, 2)}],
        [[0, 2], [1]],
    ),
    "an array, or none": ([{"x": array(1)}, {"x": None}, {"x": None}], [[0], [1, 2]]),
    "numbers in arrays": ([{"x": np.array(1.0)}, {"x": np.array(2.0)}], [[0, 1]]),
    "frames of one form": ([{"x": frame("a", "b")}, {"x": frame("a", "b")}], [[0, 1]]),
    "frames of two forms": ([{"x": frame("a")}, {"x": frame("b")}], [[0], [1]]),
    "as many rows of both": ([{"x": array(2), "y": array(2, 3)}] * 2, [[0, 1]]),
    "rows that differ": ([{"x": array(2), "y": array(3)}] * 2, [[0], [1]]),
}


@pytest.mark.parametrize(("calls", "groups"), GROUPS.values(), ids=list(GROUPS))
def test_calls_go_together_if_their_arrays_can_be_stacked(
    calls: list[dict[str, Any]], groups: list[list[int]]
) -> None:
    assert list(groups_of(calls)) == groups


def test_every_call_gets_its_rows_back() -> None:
    batch = Batch([{"x": array(1, 2), "n": 1}, {"x": array(3, 2), "n": 2}])

    assert batch.arguments["x"].shape == (4, 2)
    assert batch.arguments["n"] == [1, 2]
    assert batch.split([0, 1, 2, 3]) == [[0], [1, 2, 3]]


def test_a_lone_call_with_arrays_of_two_lengths_gets_all() -> None:
    batch = Batch([{"x": array(2), "y": array(3)}])

    assert batch.arguments["x"].shape == (2,)
    assert batch.split([5, 6]) == [[5, 6]]
