"""``azmlinfsrv.wsgi:app``: the Flask application for a WSGI server of one's own (R8.5).

``app`` is made when it is first asked for: the settings are read from the environment,
and the script is loaded and initialised. Importing this module does neither.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    app: Flask

_making = threading.Lock()


def __getattr__(name: str) -> object:
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    with _making:
        if "app" not in globals():
            globals()["app"] = _make()
        return globals()["app"]


def _make() -> Flask:
    from azmlinfsrv.adapters.wsgi import flask_app
    from azmlinfsrv.servers.hosted import HostedWsgi

    wsgi = HostedWsgi()
    wsgi.start()
    return flask_app(wsgi)
