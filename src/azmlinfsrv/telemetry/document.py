"""A user's ``logging.json`` (R6.9): where it is, and how a process applies it.

It is applied in every scoring process as it is. The front end, which never imports what
a user may name, applies it to the server's own records if all it names comes with Python
or with this server; of any other document it takes the levels.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

NAME = "logging.json"
_OURS = frozenset(("azmlinfsrv", "azureml_inference_server_http"))
# Keys of the schema whose value names something to import.
_NAMING_KEYS = frozenset(("class", "()", "queue", "listener"))


def find_document(app_root: str, script: str) -> str:
    """Path of the ``logging.json`` that counts, empty if there is none.

    Args:
        app_root: Looked into first.
        script: The entry script; the folder of its real path comes second.
    """
    for folder in (app_root, os.path.dirname(os.path.realpath(script))):
        path = os.path.abspath(os.path.join(folder, NAME))
        if os.path.isfile(path):
            return path
    return ""


def read_document(path: str) -> dict[str, Any]:
    """The content of the file.

    Raises:
        OSError: it cannot be read.
        ValueError: it is not a JSON object.
    """
    with open(path, encoding="utf-8-sig") as file:
        document = json.load(file)
    if not isinstance(document, dict):
        raise ValueError(f"{path} is not a JSON object. See logging.config.dictConfig.")
    return document


def apply_document(document: dict[str, Any], stdout: Any = None, stderr: Any = None) -> None:
    """`logging.config.dictConfig`, with other streams for what it calls ``sys.stdout``.

    Loggers of the server's below ``azmlinfsrv`` exist before the document is applied,
    which must not make them forgotten ones: they are left as if they came into being
    after it, as the reference server's do.

    Args:
        stdout: Stands in for ``ext://sys.stdout``; the process's own if None.
        stderr: The same for ``ext://sys.stderr``, which is also a handler's default.
    Raises:
        ValueError: it is not a document of the schema, or names what cannot be imported.
    """
    import logging.config  # 10 ms that a process without a document does not need

    with redirect_stdout(stdout or sys.stdout), redirect_stderr(stderr or sys.stderr):
        logging.config.dictConfig(document)
    named = document.get("loggers", {})
    for name, logger in logging.root.manager.loggerDict.items():
        is_forgotten = name.startswith("azmlinfsrv.") and name not in named
        if is_forgotten and isinstance(logger, logging.Logger):
            logger.disabled = False


def levels_of(document: dict[str, Any]) -> dict[str, Any]:
    """An incremental document of the levels alone."""
    loggers = document.get("loggers", {})
    return {
        "version": 1,
        "incremental": True,
        "loggers": {
            name: {"level": options["level"]}
            for name, options in loggers.items()
            if "level" in options
        },
    }


def foreign_names(document: object) -> Iterator[str]:
    """What a document names that comes neither with Python nor with this server."""
    for name in _names(document):
        root = name.partition(".")[0]
        if root not in sys.stdlib_module_names and root not in _OURS:
            yield name


def _names(part: object, key: str = "") -> Iterator[str]:
    if isinstance(part, dict):
        for inner_key, value in part.items():
            yield from _names(value, str(inner_key))
    elif isinstance(part, list):
        for value in part:
            yield from _names(value)
    elif isinstance(part, str):
        if part.startswith("ext://"):
            yield part.removeprefix("ext://")
        elif key in _NAMING_KEYS and not part.startswith("cfg://"):
            yield part
