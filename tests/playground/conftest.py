"""A real browser for the playground: Debian's Chromium, driven by Playwright."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from tests.harness import Server, serving

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
NAMES = ("chromium", "chromium-browser", "google-chrome")
# Chromium says this of every answer from 400 on, whatever the page does with it.
ITS_OWN_WORDS = "Failed to load resource: the server responded with a status of"

SCRIPT = """\
import json


def init():
    global factors
    factors = {"km": 1.0, "mile": 1.609344, "league": 4.828032}


def run(data):
    order = json.loads(data)
    value = order["value"]
    factor = factors[order["unit"]]
    return {"km": round(value * factor, 2)}
"""
MARATHON = '{"value": 26.2, "unit": "mile"}'

Open = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, started once a module: while it runs, an event loop runs in this thread, and
    tests of other modules want their own."""
    found = next(filter(None, map(shutil.which, NAMES)), None)
    if found is None:
        pytest.skip("There is no Chromium: apt-get install chromium")
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=FLAGS)
        yield started
        started.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    """``open_page(server, **options)``: the playground in a browser that knows nothing yet.

    Whatever the test does, afterwards the page must have been without an error, and must
    have asked nobody but its own server.
    """
    troubles: list[str] = []
    with ExitStack() as stack:

        def start(server: Server, host: str = "localhost", **options: Any) -> Page:
            origin = f"http://{host}:{server.port}"
            context = browser.new_context(**options)
            stack.callback(context.close)
            context.set_default_timeout(20_000)
            page = context.new_page()
            page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
            page.on(
                "console",
                lambda message: (
                    troubles.append(f"{message.type}: {message.text}")
                    if message.type in ("error", "warning")
                    and not message.text.startswith(ITS_OWN_WORDS)
                    else None
                ),
            )
            page.on(
                "request",
                lambda request: (
                    troubles.append(f"asked {request.url}")
                    if not request.url.startswith((f"{origin}/", f"blob:{origin}/", "data:"))
                    else None
                ),
            )
            page.goto(f"{origin}/playground")
            page.locator("#samples li").first.wait_for(state="attached")
            return page

        yield start
    assert troubles == []


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the script of `server` lives, with two samples."""
    root = tmp_path_factory.mktemp("playground")
    (root / "score.py").write_text(SCRIPT, encoding="utf-8")
    samples = root / "samples"
    samples.mkdir()
    (samples / "marathon.json").write_text(MARATHON, encoding="utf-8")
    (samples / "furlong.json").write_text('{"value": 40, "unit": "furlong"}', encoding="utf-8")
    return root


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[Server]:
    """A server in development mode."""
    with serving(folder / "score.py", "--dev", root=folder) as started:
        yield started
