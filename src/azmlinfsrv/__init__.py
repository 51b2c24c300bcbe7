"""Serve a ``score.py`` over HTTP: ``init()`` loads a model, ``run(data)`` answers one request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from azmlinfsrv.script.batching import batch

__version__ = "2.0.0"

__all__ = ["__version__", "batch"]


def __getattr__(name: str) -> Any:
    if name == "batch":  # loaded where it is used: every process imports this module
        from azmlinfsrv.script.batching import batch

        return batch
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
