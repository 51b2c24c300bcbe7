"""What the real processes have loaded."""

from __future__ import annotations

import json
from pathlib import Path

from tests.conftest import Serve

EMPTY = """
import json, sys

def init():
    pass

def run(data):
    return sorted({name.split(".")[0] for name in sys.modules})
"""


def mapped(pid: int) -> str:
    """The files a process has mapped: every extension module is one of them."""
    return Path(f"/proc/{pid}/maps").read_text(encoding="utf-8")


def test_processes_load_no_more_than_they_need(serve: Serve) -> None:
    server = serve(EMPTY)

    loaded = set(json.loads(server.score(b"").body))
    front_end = mapped(server.front_end().pid)
    (worker,) = server.workers()

    heavy = {"flask", "werkzeug", "numpy", "pandas", "inference_schema", "asyncio", "rich"}
    servers = {"click", "gunicorn", "uvicorn", "uvloop", "httptools", "waitress"}
    assert loaded & (heavy | servers) == set()
    for name in ("/numpy/", "/pandas/", "/markupsafe/", "/wrapt/"):
        assert name not in front_end
        assert name not in mapped(worker.pid)
    assert "/uvloop/" in front_end
    assert "/uvloop/" not in mapped(worker.pid)
