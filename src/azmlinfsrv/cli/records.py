"""Log records of the command line itself: written before logging is set up, or without it."""

from __future__ import annotations

import logging
import os
import time

from azmlinfsrv.cli.standard_streams import say
from azmlinfsrv.errors import SettingsError, StartupError
from azmlinfsrv.settings import configuration_error_text
from azmlinfsrv.telemetry.formats import formatter_for

LOGGER = "azmlinfsrv"


def format_record(level: int, message: str, log_format: str = "text") -> str:
    """One record in the format every default handler uses (R6.1), or in JSON."""
    return formatter_for(log_format).line(time.time(), level, os.getpid(), LOGGER, message)


def startup_records(error: StartupError) -> list[tuple[int, str]]:
    """What is logged about a server that cannot serve: ``(logging level, text)``."""
    if isinstance(error, SettingsError):
        return [
            (logging.CRITICAL, configuration_error_text(name, text))
            for name, text in error.problems
        ]
    return [(logging.CRITICAL, str(error))]


def write_record(level: int, message: str, log_format: str = "text") -> None:
    """Write a record to stdout, where configuration problems belong (R6.10)."""
    say(format_record(level, message, log_format) + "\n")
