from __future__ import annotations

import json
import logging
import sys
from typing import Any

import pytest

from azmlinfsrv.telemetry.formats import (
    JsonFormatter,
    LineFormatter,
    escape,
    extra_of,
    formatter_for,
)

AT_S = 1769846709.125
PREFIX = "2026-01-31 08:05:09,125 I [4711] azmlinfsrv - "


def record(text: str = "hello", *arguments: object, **attributes: Any) -> logging.LogRecord:
    made = logging.LogRecord("azmlinfsrv", logging.INFO, "a.py", 1, text, arguments, None)
    made.created, made.process = AT_S, 4711
    made.__dict__.update(attributes)
    return made


def failure() -> Any:
    try:
        raise ValueError("row 7")
    except ValueError:
        return sys.exc_info()


LINES = [
    (record(), "hello"),
    (record("%d rows", 5), "5 rows"),
    (record("two\nlines"), "two\nlines"),
    (record(request_id="abc"), "hello (request abc)"),
    # The id is where a search for it finds what happened.
    (record("two\nlines", request_id="abc"), "two (request abc)\nlines"),
    (record("", exc_text="Traceback", request_id="abc"), "Traceback (request abc)"),
    (record(exc_text="Traceback\n…", request_id="abc"), "hello (request abc)\nTraceback\n…"),
    (record(request_id="a\x1b[2Jb\x85c"), "hello (request a\\x1b[2Jb\\x85c)"),
    (record(rows=5), "hello"),
]


@pytest.mark.parametrize(("given", "text"), LINES, ids=[repr(text) for _, text in LINES])
def test_a_line_of_text(given: logging.LogRecord, text: str) -> None:
    assert LineFormatter().format(given) == PREFIX + text


def test_a_level_of_ones_own_has_its_first_letter() -> None:
    logging.addLevelName(25, "NOTICE")

    assert " N [1] own - hello" in LineFormatter().line(AT_S, 25, 1, "own", "hello")


def entry(given: logging.LogRecord) -> dict[str, Any]:
    line = JsonFormatter().format(given)
    assert "\n" not in line
    made: dict[str, Any] = json.loads(line)
    return made


def test_a_json_line_keeps_its_parts_apart() -> None:
    made = entry(record("failed\nbadly", exc_info=failure(), request_id="abc"))

    exception = made.pop("exception")
    assert exception.startswith("Traceback (most recent call last):\n")
    assert exception.endswith("\nValueError: row 7")
    assert list(made.items()) == [
        ("time", "2026-01-31T08:05:09.125Z"),
        ("level", "INFO"),
        ("pid", 4711),
        ("logger", "azmlinfsrv"),
        ("message", "failed\nbadly"),
        ("request_id", "abc"),
    ]


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError


EXTRAS: list[tuple[object, object]] = [
    (5, 5),
    ("text", "text"),
    (None, None),
    ([1, {"a": True}], [1, {"a": True}]),
    (float("nan"), None),
    ({1: "a"}, {"1": "a"}),
    (ValueError("row 7"), "row 7"),
    ({"deep": [ValueError("row 7")]}, {"deep": ["row 7"]}),
    (Unprintable(), "<Unprintable>"),
    ("lone \ud800", "lone \\ud800"),
]


@pytest.mark.parametrize(("value", "shown"), EXTRAS, ids=[str(i) for i in range(len(EXTRAS))])
def test_an_extra_field_is_kept(value: object, shown: object) -> None:
    assert entry(record(field=value))["field"] == shown


def test_an_extra_field_replaces_none_of_the_servers() -> None:
    made = entry(record(level="high", pid=0, time="now", logger="x"))

    assert (made["level"], made["pid"], made["logger"]) == ("INFO", 4711, "azmlinfsrv")


def test_a_plain_record_has_no_extra_fields() -> None:
    assert extra_of(record()) == {}


@pytest.mark.parametrize("text", ["lone \ud800", "nul \0", 'quote " and \\'])
def test_any_text_has_a_json_line(text: str) -> None:
    assert entry(record(text))["message"] == text.replace("\ud800", "\\ud800")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("Grüße", "Grüße"),
        ("a\r\nb", "a\\r\\nb"),
        ("\x1b[2J\x85", "\\x1b[2J\\x85"),
        ("\u2028\u202e", "\\u2028\\u202e"),
    ],
)
def test_what_could_end_a_line_is_escaped(text: str, shown: str) -> None:
    assert escape(text) == shown


@pytest.mark.parametrize(("name", "kind"), [("text", LineFormatter), ("json", JsonFormatter)])
def test_the_setting_names_the_formatter(name: str, kind: type) -> None:
    assert type(formatter_for(name)) is kind
