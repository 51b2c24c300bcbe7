"""Log records of the command line itself: written before logging is set up, or without it."""

from __future__ import annotations

import logging
import os
import time

from azmlinfsrv.errors import SettingsError, StartupError
from azmlinfsrv.settings import configuration_error_text

LOGGER = "azmlinfsrv"


def format_record(level: int, logger: str, message: str) -> str:
    """One record in the format every default handler uses (R6.1); the time is UTC."""
    now_s = time.time()
    clock = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(now_s))
    milliseconds = int(now_s * 1000) % 1000
    letter = logging.getLevelName(level)[0]
    return f"{clock},{milliseconds:03d} {letter} [{os.getpid()}] {logger} - {message}"


def startup_records(error: StartupError) -> list[tuple[int, str]]:
    """What is logged about a server that cannot serve: ``(logging level, text)``."""
    if isinstance(error, SettingsError):
        return [
            (logging.CRITICAL, configuration_error_text(name, text))
            for name, text in error.problems
        ]
    return [(logging.CRITICAL, str(error))]


def write_record(level: int, message: str) -> None:
    """Print a record on stdout, where configuration problems belong (R6.10)."""
    print(format_record(level, LOGGER, message), flush=True)
