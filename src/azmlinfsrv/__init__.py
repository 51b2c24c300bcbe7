"""Serve a ``score.py`` over HTTP: ``init()`` loads a model, ``run(data)`` answers one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azmlinfsrv.script.batching import batch
    from azmlinfsrv.script.typed import typed

__version__ = "2.0.0"

__all__ = ["__version__", "batch", "typed"]


def __getattr__(name: str) -> Any:
    # Loaded where they are used: every process imports this module.
    if name == "batch":
        from azmlinfsrv.script.batching import batch

        return batch
    if name == "typed":
        from azmlinfsrv.script.typed import typed

        return typed
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
