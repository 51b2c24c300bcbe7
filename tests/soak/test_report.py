from __future__ import annotations

import json
import math

import pytest

from soak.report import Figure, as_data


@pytest.mark.parametrize(
    ("value", "relation", "limit", "is_met"),
    [
        (1.0, "<=", 1, True),
        (1.1, "<=", 1, False),
        (90.0, ">=", 90, True),
        (89.0, ">=", 90, False),
        (0.0, "==", 0, True),
        (1.0, "==", 0, False),
        (math.inf, "<=", 1, False),
        (math.nan, "<=", 1, False),
        (math.nan, "==", 0, False),
        (7.0, "<=", None, True),
    ],
)
def test_a_figure_meets_its_target_or_not(
    value: float, relation: str, limit: float | None, is_met: bool
) -> None:
    assert Figure("what", value, "s", relation, limit).is_met is is_met  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_what_was_never_reached_is_null_in_json(value: float) -> None:
    data = json.dumps(as_data(Figure("what", value)), allow_nan=False)

    assert json.loads(data)["value"] is None
