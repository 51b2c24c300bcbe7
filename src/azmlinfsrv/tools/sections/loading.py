"""Load: what importing the script and ``init()`` cost, and what was warned of meanwhile."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path

from azmlinfsrv.tools.findings import Place, SectionResult
from azmlinfsrv.tools.sections.scene import Scene
from azmlinfsrv.tools.serving import CannotServe, Record

# Its own modules are shown every warning, libraries those meant for users.
ENVIRONMENT = {"PYTHONWARNINGS": "default"}
_WARNING = re.compile(r"^(.+\.py):(\d+): (\w*Warning): (.*)$")
# Literal texts of the log (R6.5).
_IMPORT = "Initializing logger"
_FOUND = "Found user script at"
_INIT = "Invoking user's init function"
_DONE = "Users's init has completed successfully"


def failed_load(error: CannotServe, script: Path) -> SectionResult:
    """The section's result for a script that cannot be served."""
    result = SectionResult("load", checks=1)
    first = error.report.strip().partition("\n")[0] or "the server ended without a word"
    how = "did not become ready" if error.status is None else f"ended with status {error.status}"
    place = error.place or Place(script)
    details = error.report.strip().splitlines()
    result.find("load-failed", f"The server {how}: {first}", place, details=details)
    return result


def check_load(scene: Scene, result: SectionResult) -> None:
    """Figures of the start, and warnings."""
    scene.server.wait_for_log(_DONE)
    records = scene.server.records()
    result.checks = 1
    result.figures["startup_s"] = round(scene.server.start_s, 3)
    for name, begin, end in (("import_s", _IMPORT, _FOUND), ("init_s", _INIT, _DONE)):
        seconds = _between(records, begin, end)
        if seconds is not None:
            result.figures[name] = round(seconds, 3)
    usage = scene.server.worker_usage()
    result.figures["memory_mb"] = round(usage.memory_bytes / 1e6, 1)
    for record in records:
        _find_warning(scene, record, result)


def _find_warning(scene: Scene, record: Record, result: SectionResult) -> None:
    folder = scene.server.folder.resolve()
    if record.logger == "azmlinfsrv.stderr":
        raised = _WARNING.match(record.message)
        if raised is None:
            return
        path = Path(raised[1])
        # Libraries warn of what their authors must change; of a version that does not fit, of
        # what the user must.
        is_own = folder in path.resolve().parents and "site-packages" not in path.parts
        if is_own or raised[3] == "InconsistentVersionWarning":
            place = Place(path, int(raised[2])) if is_own else Place(scene.options.script)
            result.find("load-warning", f"{raised[3]}: {raised[4]}", place)
    elif record.level == "WARNING" and record.logger.startswith("azmlinfsrv"):
        result.find("load-warning", record.message.partition("\n")[0], Place(scene.options.script))


def _between(records: list[Record], begin: str, end: str) -> float | None:
    """Seconds between the first records that start so; None if one is missing."""
    times = [
        next((it.time for it in records if it.message.startswith(words) and it.time), "")
        for words in (begin, end)
    ]
    if not all(times):
        return None
    first, last = (datetime.strptime(it, "%Y-%m-%dT%H:%M:%S.%fZ") for it in times)
    return (last - first).total_seconds()
