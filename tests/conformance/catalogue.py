"""All cases, in the order of their modules."""

from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path

from tests.conformance.case import Case

_FOLDER = Path(__file__).parent / "cases"


def load() -> list[Case]:
    """Every case of ``cases/*.py``, with its id.

    Raises:
        ValueError: two cases of a module have the same name, or a case names a value of the
            reference server without the row of section 0 that decided otherwise.
    """
    cases: list[Case] = []
    for path in sorted(_FOLDER.glob("*.py")):
        module = importlib.import_module(f"tests.conformance.cases.{path.stem}")
        for case in module.CASES:
            cases.append(replace(case, id=f"{path.stem}/{case.name}"))
    _check(cases)
    return cases


def _check(cases: list[Case]) -> None:
    seen: set[str] = set()
    for case in cases:
        if case.id in seen:
            raise ValueError(f"{case.id} is there twice")
        seen.add(case.id)
        decided = case.rows or [item for item in case.items if item in ("X9", "X11")]
        if case.reference is not None and not decided:
            raise ValueError(f"{case.id} differs from the reference server but names no decision")
