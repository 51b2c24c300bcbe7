"""The servers that the cases are run over, and the cases that do not apply to one.

An exemption is data with its reason.
"""

from __future__ import annotations

import sys

from tests.conformance.case import Case
from tests.conformance.runner import Target

_OURS = (sys.executable, "-m", "azmlinfsrv")

TARGETS = (
    Target("gunicorn", _OURS, sys.executable),
    Target("gunicorn-4", (*_OURS, "--worker_count", "4"), sys.executable),
    Target("waitress", (*_OURS, "--server", "waitress"), sys.executable),
    Target("in_process", (*_OURS, "--in_process"), sys.executable),
)

_BEFORE = "decided before a server is chosen; shown under the default one"
_MODULE = "started as a module, so that the server cannot be chosen on the command line"

_NO_WALL = "one process: nothing can end user code that does not stop, and it dies with it"
_ANY_NUMBER = "what happens within one call, in whichever worker"
_ONE_WORKER = "looks at the number of workers, which this server changes"

# server -> what does not apply -> why. What: the beginning of a case's id.
NOT_ON: dict[str, dict[str, str]] = {
    "gunicorn": {},
    "gunicorn-4": {
        "command_line/": _BEFORE,
        "settings/": _BEFORE,
        "swagger/": _BEFORE,
        "cors/": _ANY_NUMBER,
        "raw_mode/": _ANY_NUMBER,
        "results/": _ANY_NUMBER,
        "schema_mode/": _ANY_NUMBER,
        "loading/init is called once in a worker": _ONE_WORKER,
        "connections/the_probe_is_answered_while_scoring": "shown with one worker, where it counts",
        "platform/info appears": _ONE_WORKER,
    },
    "waitress": {
        "command_line/": _BEFORE,
        "settings/": _BEFORE,
        "swagger/": _BEFORE,
        "loading/": _BEFORE,
        "routes/success_headers_come_in_the_known_order": "Waitress sorts headers (R4.6)",
        "logs/the address is on standard error": "the line is Gunicorn's",
        "identification/repeated_ids": "Waitress joins repeated headers with comma and blank",
    },
    "in_process": {
        "command_line/": _BEFORE,
        "settings/": _BEFORE,
        "failures/a process that ends itself": _NO_WALL,
        "failures/swallow": _NO_WALL,
        "processes/init runs once in each worker": _NO_WALL,
        "processes/preloading": _NO_WALL,
        "logs/the address is on standard error": "the line is Gunicorn's",
        "logs/a line written to standard output": "descriptors are captured at the wall",
        "logs/a line of a subprocess": "descriptors are captured at the wall",
    },
}


def exemption(server: str, case: Case) -> str | None:
    """Why *case* does not apply to *server*; None if it does."""
    if case.setup.as_module and server != "gunicorn":
        return _MODULE
    for what, reason in NOT_ON[server].items():
        if case.id.startswith(what):
            return reason
    return None
