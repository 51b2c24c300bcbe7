"""From a path to a script that is ready for calls, or to the report why it cannot be."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable

import msgspec
from msgspec import Struct

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.messages import Buffer
from azmlinfsrv.script import contract as contracts
from azmlinfsrv.script.batching import BatchPolicy, policy_of
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.script.loader import load_script
from azmlinfsrv.script.location import Surroundings
from azmlinfsrv.script.model_directory import tree
from azmlinfsrv.script.scorer import ScriptScorer
from azmlinfsrv.script.swagger import build_documents
from azmlinfsrv.worker.frames import StartFailed, ToFrontEnd
from azmlinfsrv.worker.options import WorkerOptions

_log = logging.getLogger("azmlinfsrv")
_script_log = logging.getLogger("azmlinfsrv.user_script")


class Unusable(Exception):
    """The script cannot be served; the text is the report.

    Args:
        report: What is shown to the user.
        level: Logging level of the report.
        location: Of the user's line that failed, if it is known.
    Attributes:
        listing: The files of the model directory, to be logged after the report (R3.9).
        files: What had been imported, if changes are looked for.
        told: The report as a struct, msgpack, in development mode.
    """

    def __init__(self, report: str, level: int = logging.ERROR, location: str = "") -> None:
        super().__init__(report)
        self._level = level
        self._location = location
        self.listing: Iterable[str] | None = None
        self.files: list[str] = []
        self.told = b""

    def tell(self, send: Callable[[ToFrontEnd, Buffer], None]) -> None:
        """Send the report to the front end, then log what belongs to it."""
        header = StartFailed(self._level, self._location, self.files, self.told)
        send(header, str(self).encode("utf-8", "backslashreplace"))
        if self.listing is not None:
            for line in ("Model Directory Contents:", *self.listing):
                _log.info("%s", line)


class LoadedScript(Struct, frozen=True):
    """A script whose ``init()`` has returned.

    Attributes:
        scorer: Answers calls with it.
        facts: What the front end is told of it (`ScriptFacts`), msgpack.
        batch: How its calls are put together.
    """

    scorer: ScriptScorer
    facts: bytes
    batch: BatchPolicy = BatchPolicy()


def start_script(
    options: WorkerOptions, where: Surroundings, finish_line: Callable[[], None]
) -> LoadedScript:
    """Import the script, read what it takes, call ``init()``, describe it.

    Args:
        finish_line: Called when ``init()`` is over: what it printed without a line end is a line.
    Raises:
        Unusable: it cannot be served; the text is the report.
    """
    try:
        script = load_script(options.entry_script, options.app_root)
        contract = contracts.read_contract(script)
        _script_log.info("%s", script.found)
        _script_log.info("%s", contract.description)
        for warning in contract.schema.warnings if contract.schema is not None else ():
            _script_log.warning("%s", warning)
        batch = policy_of(
            script.run, contract.mode, options.batch_max_size, options.batch_max_wait_s
        )
        scorer = ScriptScorer(script, contract, where, options.nan, batch)
    except ScriptError as error:
        raise _unusable(str(error), error, where, options) from error
    _script_log.info("Invoking user's init function")
    try:
        scorer.init()
    except BaseException as error:  # their code: anything can come out (R3.9)
        finish_line()
        unusable = _unusable("User's init function failed", error, where, options)
        if os.path.exists(options.model_dir):
            unusable.listing = tree(options.model_dir)
        raise unusable from error
    finish_line()
    _script_log.info("Users's init has completed successfully")
    try:
        documents = build_documents(
            contract.declared,
            service_name=options.service_name,
            service_version=options.service_version,
            service_path_prefix=options.service_path_prefix,
            app_root=options.app_root,
        )
    except ScriptError as error:
        raise _unusable(str(error), error, where, options) from error
    _log.info("Scoring timeout is set to %d", options.scoring_timeout_ms)
    files = _imported_files() if options.reload else []
    facts = ScriptFacts(is_raw=contract.mode == "raw", documents=documents, files=files)
    return LoadedScript(scorer, msgspec.msgpack.encode(facts), batch)


def unusable_document(path: str) -> Unusable:
    """The report on a ``logging.json`` that is wrong; call where its exception is handled."""
    import traceback  # only needed when something is wrong

    # The opening is literal: log queries match it (R6.9).
    return Unusable(
        f"Invalid config file!: {traceback.format_exc()}"
        f"The file is {path}. Its form is that of Python's logging.config.dictConfig.",
        logging.CRITICAL,
    )


def _unusable(
    title: str, error: BaseException, where: Surroundings, options: WorkerOptions
) -> Unusable:
    from azmlinfsrv.script.report import describe, format_report

    report = describe(error, title, where)
    text = format_report(report)
    if options.has_colour:
        from azmlinfsrv.script.painting import painted_report

        text = painted_report(report)
    unusable = Unusable(text, location=report.location)
    if options.reload:
        unusable.files = _imported_files()
    if options.dev:
        unusable.told = msgspec.msgpack.encode(report)
    return unusable


def _imported_files() -> list[str]:
    from azmlinfsrv.script.sources import imported_files  # only needed while it is being written

    return imported_files()
