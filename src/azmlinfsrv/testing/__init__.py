"""For tests of an entry script: `ScoringClient`, and a pytest plugin around it.

May import everything but the command line. Importing it is light: pytest loads the plugin
in every run, whether a test of this server is in it or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from azmlinfsrv.errors import ScriptError, SettingsError

if TYPE_CHECKING:
    from azmlinfsrv.testing.answer import Answer, IncompleteAnswer, StreamedAnswer
    from azmlinfsrv.testing.client import ScoringClient

__all__ = [
    "Answer",
    "IncompleteAnswer",
    "ScoringClient",
    "ScriptError",
    "SettingsError",
    "StreamedAnswer",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "ScoringClient":
        from azmlinfsrv.testing import client

        return client.ScoringClient
    from azmlinfsrv.testing import answer

    return getattr(answer, name)
