"""Who gets a page and who gets JSON."""

from __future__ import annotations

import pytest

from azmlinfsrv.app.accept import prefers_html

CHROME = (
    b"text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8,"
    b"application/signed-exchange;v=b3;q=0.7"
)


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        (None, False),
        (b"", False),
        (b"*/*", False),
        (b"application/json", False),
        (CHROME, True),
        (b"text/html", True),
        (b"TEXT/HTML; charset=utf-8", True),
        (b"text/*", True),
        (b"text/html, application/json", False),
        (b"text/html;q=0.5, application/json", False),
        (b"text/html, application/json;q=0.5", True),
        (b"text/html;q=0", False),
        (b"text/html;q=nonsense", False),
        (b",;,q=", False),
    ],
)
def test_page_is_for_those_who_would_rather_have_it(accept: bytes | None, html: bool) -> None:
    assert prefers_html(accept) is html
