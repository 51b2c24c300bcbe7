"""j3: a large body. 1000 rows of 100 floats as JSON, the mean of each row back."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def init() -> None:
    """Nothing to load."""


def predict(value: Any) -> list[float]:
    means: list[float] = np.asarray(value["data"], dtype=np.float64).mean(axis=1).tolist()
    return means


def run(data: str) -> list[float]:
    return predict(json.loads(data))
