"""Serve a ``score.py`` over HTTP: ``init()`` loads a model, ``run(data)`` answers one request."""

from __future__ import annotations

__version__ = "2.0.0"

__all__ = ["__version__"]
