"""What users' ``logging.json`` files name (R6.1, R6.7, R6.9)."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from azureml_inference_server_http.log_config import (
    AMLLogFormatter,
    RootAccessFilter,
    load_logging_config,
)


def record(message: str = "hello", arguments: Any = (), name: str = "azmlinfsrv") -> Any:
    made = logging.LogRecord(name, logging.INFO, "a.py", 1, message, arguments, None)
    made.created, made.msecs, made.process = 1769846709.123, 123.0, 4711
    return made


FORMATS: list[tuple[dict[str, Any], str]] = [
    ({}, "2026-01-31 08:05:09,123 I [4711] azmlinfsrv - hello"),
    ({"fmt": None, "datefmt": "%H"}, "08 I [4711] azmlinfsrv - hello"),
    ({"fmt": "%(asctime)s|%(message)s", "datefmt": "%Y-%H"}, "2026-08|hello"),
    ({"fmt": "{levelname}-{message}", "style": "{"}, "INFO-hello"),
    ({"fmt": "$message", "style": "$", "validate": False}, "hello"),
]


@pytest.mark.parametrize(("arguments", "line"), FORMATS)
def test_lines_are_formatted_in_utc(arguments: dict[str, Any], line: str) -> None:
    assert AMLLogFormatter(**arguments).format(record()) == line


def gunicorn(method: str, path: str, agent: str = "-") -> Any:
    atoms = {"m": method, "U": path, "r": f"{method} {path} HTTP/1.1", "a": agent}
    return record('"%(r)s" "%(a)s"', (atoms,), "gunicorn.access")


def uvicorn(method: str, path: str) -> Any:
    arguments = ("192.0.2.7:1", method, path, "1.1", 200)
    return record('%s - "%s %s HTTP/%s" %d', arguments, "uvicorn.access")


ACCESS = [
    (gunicorn("GET", "/"), False),
    (gunicorn("HEAD", "/"), False),
    (gunicorn("POST", "/"), True),
    (gunicorn("GET", "/score"), True),
    (gunicorn("GET", "/score", "GET / HTTP/1.1"), True),
    (uvicorn("GET", "/?x=1"), False),
    (uvicorn("GET", "/health/live"), False),
    (uvicorn("GET", "/swagger.json"), True),
    (record('127.0.0.1 - - [x] "GET / HTTP/1.0" 200 7 "-" "-"'), False),
    (record('127.0.0.1 - - [x] "GET /score HTTP/1.1" 200 7 "-" "GET / HTTP/1.1"'), True),
    (record("not an access record"), True),
]


@pytest.mark.parametrize(("given", "kept"), ACCESS, ids=[each.getMessage() for each, _ in ACCESS])
def test_probes_are_told_by_method_and_path(given: logging.LogRecord, kept: bool) -> None:
    assert bool(RootAccessFilter().filter(given)) is kept


def test_a_folder_without_a_file_changes_nothing(tmp_path: Path) -> None:
    assert load_logging_config(str(tmp_path)) is False


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"version": 1, "handlers": {"a": 5}}'])
def test_a_bad_file_raises(text: str, tmp_path: Path) -> None:
    (tmp_path / "logging.json").write_text(text, encoding="utf-8")

    with pytest.raises(ValueError, match=r"."):  # whatever json and dictConfig say
        load_logging_config(tmp_path)


@pytest.mark.parametrize("silent", [False, True])
def test_a_users_file_is_applied(silent: bool, tmp_path: Path) -> None:
    package = "azureml_inference_server_http.log_config"
    document = {
        "version": 1,
        "formatters": {"f": {"()": f"{package}.AMLLogFormatter", "fmt": "%(name)s>%(message)s"}},
        "filters": {"root": {"()": f"{package}.RootAccessFilter"}},
        "handlers": {
            "h": {
                "class": "logging.StreamHandler",
                "formatter": "f",
                "filters": ["root"],
                "stream": "ext://sys.stdout",
            }
        },
        "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["h"]}},
    }
    path = tmp_path / "logging.json"
    path.write_text(json.dumps(document), encoding="utf-8")
    code = (
        f"import {package} as l; print(l.load_logging_config({str(tmp_path)!r}, silent={silent}))"
    )

    printed = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    ).stdout

    loaded = "" if silent else f"azmlinfsrv>Loaded logging config from {path}\n"
    assert printed == f"{loaded}True\n"
