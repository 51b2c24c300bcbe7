"""The servers that the cases are run over, and the cases that do not apply to one.

An exemption is data with its reason: a prefix of case ids, or a contract item.
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

# server -> what does not apply -> why. "case/..." and "case" are prefixes of ids.
NOT_ON: dict[str, dict[str, str]] = {
    "gunicorn": {},
    "gunicorn-4": {},
    "waitress": {},
    "in_process": {},
}


def exemption(server: str, case: Case) -> str | None:
    """Why *case* does not apply to *server*; None if it does."""
    if case.setup.as_module and server != "gunicorn":
        return _MODULE
    for what, reason in NOT_ON[server].items():
        if case.id.startswith(what) or what in case.items:
            return reason
    return None
