"""What the script wrote down: which requests it began to run, and where."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_LATEST_BYTES = 8192


@dataclass(frozen=True, slots=True)
class Run:
    """One call of ``run()``: the token of its request, the process, the script's version."""

    token: str
    pid: int
    version: str


def parse_runs(text: str) -> list[Run]:
    """In the order they began; a line still being written is left out."""
    runs = []
    for line in text[: text.rfind("\n") + 1].splitlines():
        token, pid, version = line.split(" ")
        runs.append(Run(token, int(pid), version))
    return runs


def read_runs(path: Path) -> list[Run]:
    """Every run so far; none if the file is not there yet."""
    try:
        return parse_runs(path.read_text(encoding="ascii"))
    except FileNotFoundError:
        return []


def read_latest_runs(path: Path) -> list[Run]:
    """The last few hundred runs; a ledger of an hour is long."""
    with path.open("rb") as file:
        length = file.seek(0, os.SEEK_END)
        file.seek(max(0, length - _LATEST_BYTES))
        text = file.read().decode("ascii")
    return parse_runs(text[text.find("\n") + 1 :] if length > _LATEST_BYTES else text)


def wasted(runs: Iterable[Run], useful_tokens: set[str]) -> int:
    """Runs whose caller did not get their result."""
    return sum(run.token not in useful_tokens for run in runs)
