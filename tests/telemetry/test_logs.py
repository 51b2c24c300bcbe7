"""The front end's logging, in a process of its own: it is configured once a process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

START = """
import logging, os, sys, threading
from azmlinfsrv.messages import Request
from azmlinfsrv.telemetry import logs
front_end = logs.FrontEndLogs("text", "INFO", os.getcwd(), "score.py")
log = logging.getLogger("azmlinfsrv")
"""


def output_of(code: str, folder: Path) -> str:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{START}\n{code}\nfront_end.close()"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    ).stdout


def write_document(folder: Path, handler: dict[str, object]) -> None:
    loggers = {"azmlinfsrv": {"level": "INFO", "handlers": ["h"], "propagate": False}}
    document = {"version": 1, "handlers": {"h": handler}, "loggers": loggers}
    (folder / "logging.json").write_text(json.dumps(document), encoding="utf-8")


def test_a_handler_that_stands_still_holds_up_nobody(tmp_path: Path) -> None:
    """The other end of a named pipe is open, but nobody reads: neither the callers nor the
    end of the process wait for the handler."""
    write_document(tmp_path, {"class": "logging.FileHandler", "filename": "pipe", "mode": "w"})
    os.mkfifo(tmp_path / "pipe")
    other_end = os.open(tmp_path / "pipe", os.O_RDWR)

    text = output_of('for _ in range(30_000): log.info("x" * 99)\nprint("done")', tmp_path)
    os.close(other_end)

    lines = [line for line in text.splitlines() if "log records were dropped" not in line]
    assert lines == ["done"]


def test_a_document_that_cannot_be_applied_leaves_the_defaults(tmp_path: Path) -> None:
    write_document(tmp_path, {"class": "logging.FileHandler", "filename": "no/such/folder"})

    assert output_of('log.info("hello")', tmp_path).endswith(" azmlinfsrv - hello\n")


def test_every_kind_of_line_arrives_in_order(tmp_path: Path) -> None:
    code = """
log.info("one")
logs.request_line(Request("POST", "/score"), 200, 0.001, 5, "id-1")
logs.relay("mine", 30, "two", 4711, "id-1", 0.0, "Traceback")
logs.captured("azmlinfsrv.stderr", "three", 4711, "id-1")
logs.formatted(1, "four\\n")
logs.error("five", "id-1")
logs.report("six")
"""

    texts = [line.split(" - ")[-1] for line in output_of(code, tmp_path).splitlines()]

    assert texts == [
        "one",
        "POST /score 200 1.000ms 5",
        "two (request id-1)",
        "Traceback",
        "three (request id-1)",
        "four",
        "five (request id-1)",
        "six",
    ]
