"""`json.loads` for large texts, in the time of orjson and with the meaning of json.

Two scripts in three parse the text of the request themselves, and for a large body that is
most of what they do. So in a worker ``json.loads`` is a function that reads large texts with
orjson where that gives the same value (`azmlinfsrv.script.json_text.quick_loads`), and
leaves everything else to the real one: small texts, texts with errors, calls with options.
``--quick_json false`` leaves ``json`` alone.
"""

from __future__ import annotations

import functools
import json
from typing import Any

from azmlinfsrv.script.json_text import NOT_QUICK, quick_loads

# Below this the real one takes some microseconds, and looking twice is not worth it.
LARGE_CHARACTERS = 16 * 1024

_TEXTS = (str, bytes, bytearray)

_json_loads = json.loads


@functools.wraps(_json_loads)
def loads(s: Any, **options: Any) -> Any:
    """See `json.loads`."""
    # `json.load` passes its options on, all of them None.
    is_plain = type(s) in _TEXTS and all(option is None for option in options.values())
    if is_plain and len(s) >= LARGE_CHARACTERS:
        value = _quickly(s)
        if value is not NOT_QUICK:
            return value
    return _json_loads(s, **options)


def install() -> None:
    """Put it in the place of `json.loads` in this process."""
    json.loads = loads


def _quickly(s: str | bytes | bytearray) -> object:
    if isinstance(s, str):
        try:
            return quick_loads(s.encode())
        except UnicodeEncodeError:  # a lone surrogate, which json lets pass
            return NOT_QUICK
    return quick_loads(s)
