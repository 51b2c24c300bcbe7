"""probe: half a second of pure Python, holding the interpreter lock, while probes come in."""

from __future__ import annotations

import time

BUSY_S = 0.5


def init() -> None:
    """Nothing to load."""


def predict(value: object) -> dict[str, bool]:
    end = time.perf_counter() + BUSY_S
    while time.perf_counter() < end:
        pass
    return {"done": True}


def run(data: str) -> dict[str, bool]:
    return predict(data)
