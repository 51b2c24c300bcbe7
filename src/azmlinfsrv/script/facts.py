"""What the front end must know of a script it never sees."""

from __future__ import annotations

from msgspec import Struct

from azmlinfsrv.script.swagger import Documents


class ScriptFacts(Struct, frozen=True):
    """Sent by a worker when ``init()`` has returned.

    Attributes:
        is_raw: HEAD and OPTIONS go to run() as well (R3.24).
        documents: The Swagger documents, made once ``init()`` has returned (R5.1).
        files: What the script imported (`azmlinfsrv.script.sources`), if changes are looked for.
    """

    is_raw: bool
    documents: Documents
    files: list[str] = []
