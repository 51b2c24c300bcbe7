"""What a raw entry script receives: the mark `rawhttp` and the type `AMLRequest`.

Importing this module imports Flask: a script that names it is about to need it. How a
request is built and which script is a raw one is `azmlinfsrv.script.raw`'s business.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import flask

from azmlinfsrv.script.raw import mark_raw

Function = TypeVar("Function", bound=Callable[..., Any])

__all__ = ["AMLRequest", "rawhttp"]


class AMLRequest(flask.Request):
    """The request as ``run`` of a raw script sees it: Flask's, under the promised name.

    Unlike the reference server's (1.5.1), it can be constructed and matched with
    ``isinstance`` (D33).
    """

    # The front end has bounded the body already; Flask 3.1 would refuse forms over 500 kB.
    max_form_memory_size = None

    def __repr__(self) -> str:
        """As Flask prints its own: scripts print requests into logs (X5)."""
        return super().__repr__().replace(type(self).__name__, "Request", 1)

    def _get_current_object(self) -> AMLRequest:
        """This request: what scripts call on the proxy they used to be given."""
        return self


def rawhttp(func: Function) -> Function:
    """Mark *func* as taking the HTTP request itself; it comes back unchanged (R8.8)."""
    mark_raw(func)
    return func
