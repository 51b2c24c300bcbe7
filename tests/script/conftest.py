"""Runs the broken scripts the way a worker does, and hands back what they raise."""

from __future__ import annotations

import asyncio
import importlib.util
import inspect
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from azmlinfsrv.script.report import Surroundings

BROKEN = Path(__file__).parent.parent / "scripts" / "broken"

Fail = Callable[..., BaseException]


@pytest.fixture
def fail(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fail]:
    """Import a script, call ``init()``, call ``run(body)``; the first exception comes back.

    The script's folder is importable, behind everything else, as in a worker.
    """
    before = set(sys.modules)

    def play(where: Surroundings, body: object = "{}") -> BaseException:
        path = where.script_path
        folder = str(Path(path).parent)
        monkeypatch.setattr(sys, "path", [*sys.path, folder])
        try:
            spec = importlib.util.spec_from_file_location("entry_module", path)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            monkeypatch.setitem(sys.modules, "entry_module", module)
            spec.loader.exec_module(module)
            module.init()
            run = module.run
            name = next(iter(inspect.signature(run).parameters))
            result = run(**{name: body})
            if inspect.iscoroutine(result):
                asyncio.run(result)
        except BaseException as error:
            return error
        raise AssertionError(f"{path} did not fail")

    yield play
    for name in set(sys.modules) - before:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(BROKEN)) or not file:
            del sys.modules[name]
