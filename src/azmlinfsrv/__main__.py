"""The command line's way in, and the only place that exits."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

from azmlinfsrv.collector import resting
from azmlinfsrv.errors import StartupError


def main(argv: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and leave with its status.

    Args:
        argv: Without the program's name; the process's own by default.
    """
    with resting():
        from azmlinfsrv.cli.commands import run
        from azmlinfsrv.cli.records import startup_records, write_record
        from azmlinfsrv.cli.standard_streams import keep_descriptors

    keep_descriptors()
    try:
        status = run(sys.argv[1:] if argv is None else argv)
    except StartupError as error:
        for level, text in startup_records(error):
            write_record(level, text, error.log_format)
        status = error.exit_status
    sys.exit(status)


if __name__ == "__main__":
    main()
