"""Building blocks for a user's ``logging.json`` (R6.9): a formatter, a filter, a loader.

The server's own logging is configured elsewhere; this module is for files and launchers
that name its parts.
"""

from __future__ import annotations

import logging
import os
import time
from typing import Any, Literal

from azmlinfsrv.telemetry.access import RootAccessFilter
from azmlinfsrv.telemetry.document import NAME as CONFIG_NAME
from azmlinfsrv.telemetry.document import apply_document, read_document

FORMAT = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"

__all__ = ["AMLLogFormatter", "RootAccessFilter", "load_logging_config"]


class AMLLogFormatter(logging.Formatter):
    """Lines as the server writes them: ``time level [pid] logger - message``, in UTC (R6.1)."""

    converter = staticmethod(time.gmtime)

    def __init__(
        self,
        fmt: str | None = None,
        datefmt: str | None = None,
        style: Literal["%", "{", "$"] = "%",
        validate: bool = True,
        **options: Any,
    ) -> None:
        # `dictConfig` passes None for a key its document does not have.
        if fmt is None:
            fmt, style = FORMAT, "%"
        super().__init__(fmt, datefmt, style, validate, **options)


def load_logging_config(root_dir: str | os.PathLike[str], silent: bool = False) -> bool:
    """Apply ``logging.json`` of a folder, if there is one.

    Args:
        root_dir: Where to look.
        silent: Do not log which file was loaded.
    Returns:
        Whether there was a file.
    Raises:
        ValueError: it is not JSON, or not a `logging.config.dictConfig` document.
    """
    path = os.path.join(root_dir, CONFIG_NAME)
    if not os.path.isfile(path):
        return False
    apply_document(read_document(path))
    if not silent:
        logging.getLogger("azmlinfsrv").info("Loaded logging config from %s", path)
    return True
