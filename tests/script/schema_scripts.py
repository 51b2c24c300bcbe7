"""The scripts of ``tests/scripts/schema`` and what the reference server (1.5.1) did with them.

``observed/<script>.json`` holds its documents, descriptions emptied, and its answers to a
POST of the documented example (unless there is none) and of ``{}``.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

FOLDER = Path(__file__).parents[1] / "scripts" / "schema"
NAMES = sorted(path.stem for path in FOLDER.glob("*.py"))

_numbers = itertools.count()


def load_script(name: str) -> ModuleType:
    """A fresh module every time: inference-schema remembers schemas by module name."""
    spec = importlib.util.spec_from_file_location(
        f"schema_script_{next(_numbers)}", FOLDER / f"{name}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[module.__name__] = module
    spec.loader.exec_module(module)
    return module


def observed(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "observed" / f"{name}.json").read_text())
    return found
