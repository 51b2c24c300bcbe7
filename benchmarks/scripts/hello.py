"""j1: the least a script can do, so that what is measured is the server."""

from __future__ import annotations


def init() -> None:
    """Nothing to load."""


def predict(value: object) -> dict[str, str]:
    return {"message": "Hello, World!"}


def run(data: str) -> dict[str, str]:
    return predict(data)
