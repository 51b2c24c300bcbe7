"""j5: a script that waits for something else, such as a database or another service."""

from __future__ import annotations

import time


def init() -> None:
    """Nothing to load."""


def predict(value: object) -> dict[str, bool]:
    time.sleep(0.05)
    return {"done": True}


def run(data: str) -> dict[str, bool]:
    return predict(data)
