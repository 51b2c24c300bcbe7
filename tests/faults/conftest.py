"""Every fault is tried over both servers."""

from __future__ import annotations

import pytest


@pytest.fixture(params=["gunicorn", "waitress"])
def flags(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """Flags that choose the server."""
    return (f"--server={request.param}",)
