"""The pytest plugin: the fixture ``scoring_client`` and what says which script it loads.

pytest finds it by the entry point ``pytest11`` of this package. Nothing but pytest imports it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from azmlinfsrv.testing.client import ScoringClient

_INI = "azmlinfsrv_entry_script"
_MARKER = "entry_script"
_NO_SCRIPT = (
    "scoring_client does not know which script to load. Mark the test with "
    '@pytest.mark.entry_script("score.py"), or set azmlinfsrv_entry_script in pytest\'s '
    "configuration file."
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """The script that is loaded unless a marker names another."""
    parser.addini(
        _INI,
        "Entry script of scoring_client, relative to this file; a marker entry_script wins.",
        default="",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(path, **settings): the script that scoring_client loads, relative to the "
        "test's folder or the root folder, and what ScoringClient takes besides.",
    )


class _Open:
    """The client that is open, kept while tests ask for the same script and settings."""

    def __init__(self) -> None:
        self._key: tuple[Path, dict[str, Any]] | None = None
        self._client: ScoringClient | None = None

    def get(self, script: Path, settings: dict[str, Any]) -> ScoringClient:
        from azmlinfsrv.testing.client import ScoringClient

        if self._client is None or self._key != (script, settings):
            self.close()
            self._client = ScoringClient(script, **settings)
            self._key = (script, settings)
        return self._client

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None


@pytest.fixture(scope="module")
def _open_scoring_client() -> Iterator[_Open]:
    kept = _Open()
    yield kept
    kept.close()


@pytest.fixture
def scoring_client(request: pytest.FixtureRequest, _open_scoring_client: _Open) -> ScoringClient:
    """A client of the script that the marker or pytest's configuration names.

    The script is loaded once for the tests of a file that ask for it with the same settings.
    """
    marker = request.node.get_closest_marker(_MARKER)
    if marker is None or not marker.args:
        name, settings = request.config.getini(_INI), dict(marker.kwargs) if marker else {}
        folders = [request.config.inipath.parent if request.config.inipath else Path.cwd()]
    else:
        (name,), settings = marker.args, dict(marker.kwargs)
        folders = [request.path.parent, request.config.rootpath]
    if not name:
        raise pytest.UsageError(_NO_SCRIPT)
    return _open_scoring_client.get(_find(name, folders), settings)


def _find(name: str, folders: list[Path]) -> Path:
    places = [folder / name for folder in folders]
    for place in places:
        if place.exists():
            return place
    listed = " nor ".join(map(str, dict.fromkeys(places)))
    raise pytest.UsageError(f"scoring_client: the script is not at {listed}.")
