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


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Like `serve`, but one start serves every test of a module that asks for the same.

    For tests that leave nothing behind in the server which another of them could see: that
    neither end a process of it, nor change its folder, nor count what is in its log.
    """
    with ExitStack() as stack:
        servers: dict[object, Server] = {}

        def start(source: str, *flags: str, environ: dict[str, str] | None = None) -> Server:
            asked_for = (source, flags, *sorted((environ or {}).items()))
            server = servers.get(asked_for)
            if server is None or server.popen.poll() is not None:
                root = tmp_path_factory.mktemp("shared")
                script = root / "score.py"
                script.write_text(source, encoding="utf-8")
                started = serving(script, *flags, root=root, environ=environ)
                servers[asked_for] = server = stack.enter_context(started)
            return server

        yield start
