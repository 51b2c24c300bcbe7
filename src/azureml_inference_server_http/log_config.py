"""Building blocks for a user's ``logging.json`` (R6.9): a formatter, a filter, a loader.

The server's own logging is configured elsewhere; this module is for files and launchers
that name its parts.
"""

from __future__ import annotations

import json
import logging
import logging.config
import os
import re
import time
from collections.abc import Mapping
from typing import Any, Literal

FORMAT = "%(asctime)s %(levelname).1s [%(process)d] %(name)s - %(message)s"
CONFIG_NAME = "logging.json"

_HEALTH_PATHS = frozenset({"/", "/health/live", "/health/ready"})
# The request line is the first thing in quotes; what the client chose comes later (D46).
_REQUEST_LINE = re.compile(r'[^"]*"(\S+) (\S+)(?: HTTP/[\d.]+)?"')

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


class RootAccessFilter(logging.Filter):
    """Drops the access records of health probes, told by method and path alone (R6.7).

    Knows the records of Gunicorn (a mapping), of uvicorn (a tuple), and any line whose
    first quoted part is the request line.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        method, path = _method_and_path(record)
        return method not in ("GET", "HEAD") or path.partition("?")[0] not in _HEALTH_PATHS


def _method_and_path(record: logging.LogRecord) -> tuple[str, str]:
    arguments: Any = record.args
    if isinstance(arguments, Mapping) and "m" in arguments and "U" in arguments:
        return str(arguments["m"]), str(arguments["U"])
    if isinstance(arguments, tuple) and len(arguments) == 5:
        return str(arguments[1]), str(arguments[2])
    match = _REQUEST_LINE.match(record.getMessage())
    return (match.group(1), match.group(2)) if match else ("", "")


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
    with open(path, encoding="utf-8-sig") as file:
        document = json.load(file)
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a JSON object. See logging.config.dictConfig.")
    logging.config.dictConfig(document)
    if not silent:
        logging.getLogger("azmlinfsrv").info("Loaded logging config from %s", path)
    return True
