"""Fixtures every test may use."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from tests.harness import Server, serving

# Nothing is drawn by chance. What is tried differs all the same with the modules that are
# loaded, from which constants are taken: a failure may need the whole run.
settings.register_profile("without chance", derandomize=True, deadline=None, database=None)
settings.load_profile("without chance")

Serve = Callable[..., Server]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """``serve(source, *flags, environ={})``: a ready server for a script given as text."""
    with ExitStack() as stack:

        def start(source: str, *flags: str, environ: dict[str, str] | None = None) -> Server:
            script = tmp_path / "score.py"
            script.write_text(source, encoding="utf-8")
            return stack.enter_context(serving(script, *flags, root=tmp_path, environ=environ))

        yield start
