"""``azureml_inference_server_http.server.entry:app``: where hosts look for the Flask app (R8.5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from azmlinfsrv.wsgi import app as app


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from azmlinfsrv import wsgi

    return wsgi.app
