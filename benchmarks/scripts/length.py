"""growth: the body counts, not what is done with it."""

from __future__ import annotations


def init() -> None:
    """Nothing to load."""


def predict(value: str) -> dict[str, int]:
    return {"length": len(value)}


def run(data: str) -> dict[str, int]:
    return {"length": len(data) - 2}  # without its quotes: nothing is parsed
