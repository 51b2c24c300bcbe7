"""The form of a log line (R6.1, R6.6)."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterator

import pytest

from azmlinfsrv.telemetry import logs

# 2026-01-31 08:05:09,125 UTC
CREATED_S = 1769846709.125


def record(text: str = "text", level: int = 20, name: str = "azmlinfsrv") -> logging.LogRecord:
    made = logging.LogRecord(name, level, "", 0, "%s", (text,), None)
    made.created, made.msecs, made.process = CREATED_S, 125.0, 4711
    return made


@pytest.mark.parametrize(
    ("level", "letter"), [(10, "D"), (20, "I"), (30, "W"), (40, "E"), (50, "C")]
)
def test_a_line_has_time_level_process_logger_and_text(level: int, letter: str) -> None:
    line = logs.LineFormatter().format(record(level=level, name="azmlinfsrv.user_script"))

    assert line == f"2026-01-31 08:05:09,125 {letter} [4711] azmlinfsrv.user_script - text"


def test_a_line_of_a_request_ends_with_its_id() -> None:
    made = record()
    made.request_id = "id-1"

    assert logs.LineFormatter().format(made).endswith(" azmlinfsrv - text (request id-1)")


def test_only_the_first_line_of_several_is_prefixed() -> None:
    assert logs.LineFormatter().format(record("a\nb")).endswith(" azmlinfsrv - a\nb")


def test_a_traceback_follows_its_message() -> None:
    try:
        raise KeyError("k")
    except KeyError as error:
        made = record()
        made.exc_info = (KeyError, error, error.__traceback__)

    assert logs.LineFormatter().format(made).splitlines()[-1] == "KeyError: 'k'"


def test_the_second_is_told_anew_when_it_has_passed() -> None:
    formatter = logs.LineFormatter()
    first, second = record(), record()
    second.created += 61

    formatter.format(first)

    assert formatter.format(second).startswith("2026-01-31 08:06:10,125")


def test_a_json_line_is_one_object() -> None:
    made = record("é\nb")
    made.request_id = "id-1"
    line = logs.JsonFormatter().format(made)

    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2026-01-31T08:05:09.125Z",
        "level": "INFO",
        "pid": 4711,
        "logger": "azmlinfsrv",
        "message": "é\nb",
        "request_id": "id-1",
    }


@pytest.fixture
def lines() -> Iterator[list[logging.LogRecord]]:
    found: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found.append(record)

    logger = logging.getLogger("azmlinfsrv")
    before = (logger.handlers, logger.propagate, logger.level)
    logger.handlers, logger.propagate = [Keep()], False
    logger.setLevel(20)
    yield found
    logger.handlers, logger.propagate = before[:2]
    logger.setLevel(before[2])


@pytest.mark.parametrize(
    ("query", "length", "text"),
    [
        (b"", 20, r"POST /score 200 \d+\.\d{3}ms 20"),
        (b"a=1&b=%20", 0, r"POST /score\?a=1&b=%20 200 \d+\.\d{3}ms 0"),
        (b"", None, r"POST /score 200 \d+\.\d{3}ms N/A"),
        (b"%s=%d", 5, r"POST /score\?%s=%d 200 \d+\.\d{3}ms 5"),
    ],
)
def test_the_line_of_a_request(
    lines: list[logging.LogRecord], query: bytes, length: int | None, text: str
) -> None:
    logs.request_line("POST", "/score", query, 200, 0.000867, length)

    (line,) = lines
    assert re.fullmatch(text, line.getMessage())
    assert (line.name, line.levelname) == ("azmlinfsrv", "INFO")


@pytest.mark.parametrize("name", ["azmlinfsrv", "azmlinfsrv.print", "root", "sklearn.base"])
def test_a_record_of_a_scoring_process_keeps_its_name_process_and_time(
    lines: list[logging.LogRecord], name: str
) -> None:
    logs.relay(name, 30, "100 %s", 4711, "id-1", CREATED_S)

    (line,) = lines
    assert logs.LineFormatter().format(line) == (
        f"2026-01-31 08:05:09,125 W [4711] {name} - 100 %s (request id-1)"
    )


def test_the_launchers_lines_go_out_at_once() -> None:
    read, write = os.pipe()
    handler = logs.DirectHandler(write, logs.LineFormatter())

    handler.emit(record())
    text = os.read(read, 1000)
    os.close(read)
    handler.emit(record())
    os.close(write)
    handler.emit(record())

    assert text == b"2026-01-31 08:05:09,125 I [4711] azmlinfsrv - text\n"
