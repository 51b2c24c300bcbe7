"""Texts to values: the spellings of numbers and switches that are accepted (R2.7).

A reader turns the text of a flag or a variable into a plain value and raises ValueError
with what it wanted; ranges and choices are left to the declared type.
"""

from __future__ import annotations

import re
from math import isfinite

_WHOLE_FRACTION = re.compile(r"[+-]?[0-9](_?[0-9])*\.0+")
_SWITCH = {
    **dict.fromkeys(("true", "1", "yes", "on", "t", "y"), True),
    **dict.fromkeys(("false", "0", "no", "off", "f", "n"), False),
}
_LOG_LEVELS = {
    "DEBUG": "DEBUG",
    "INFO": "INFO",
    "WARNING": "WARNING",
    "WARN": "WARNING",
    "ERROR": "ERROR",
    "CRITICAL": "CRITICAL",
    "FATAL": "CRITICAL",
    "10": "DEBUG",
    "20": "INFO",
    "30": "WARNING",
    "40": "ERROR",
    "50": "CRITICAL",
}


def read_int(text: str) -> int:
    """An integer as ``int()`` reads it; ``5.0`` as well (R2.7), ``5.5`` not."""
    trimmed = text.strip()
    if _WHOLE_FRACTION.fullmatch(trimmed):
        trimmed = trimmed.partition(".")[0]
    return int(trimmed)


def read_float(text: str) -> float:
    """A finite number as ``float()`` reads it."""
    value = float(text)
    if not isfinite(value):
        raise ValueError(text)
    return value


def read_switch(text: str) -> bool:
    """True or false in the spellings of R2.7, in any case."""
    return _SWITCH[text.strip().lower()]


def read_true(text: str) -> bool:
    """On if the text is ``true`` in any case; anything else is off (R2.1), never an error."""
    return text.strip().lower() == "true"


def read_exactly_true(text: str) -> bool:
    """On if the text is ``true``, in lower case (R1.7)."""
    return text == "true"


def read_word(text: str) -> str:
    """One of a few words, in any case."""
    return text.strip().lower()


def read_log_level(text: str) -> str:
    """The name of a logging level, in any case or as its number."""
    return _LOG_LEVELS[text.strip().upper()]
