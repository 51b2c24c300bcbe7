"""What run() was given, told without a value: types, shapes, keys, sizes.

For reports of the development mode. Objects are the user's and may do anything when they
are looked at, so every look is fenced; the result is bounded whatever they hold.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_BYTES = 2048
# Keys shown of one mapping, and levels below an argument; the first that fits is taken.
_MEASURES = ((24, 3), (12, 2), (6, 2), (4, 1), (0, 0))
_MAX_NAME = 60
# Text longer than this is not tried as JSON.
_MAX_JSON_CHARACTERS = 1024 * 1024
_NO_JSON = object()
# Elements of a long list that are looked at.
_SAMPLE = 100


def summarise(values: Mapping[str, Any]) -> dict[str, Any]:
    """Each value by its name, at most 2 KB as JSON; never raises.

    Each is a map with ``type`` and what applies of ``shape``, ``dtype``, ``columns``,
    ``keys``, ``items``, ``length``, ``bytes``, ``json`` (of a text that is JSON),
    ``method`` and ``content_type``.
    """
    for keys, depth in _MEASURES:
        told = {_name(name): _argument(value, keys, depth) for name, value in values.items()}
        if len(json.dumps(told)) <= MAX_BYTES:
            return told
    return {"…": {"type": "dict", "length": len(values)}}


def _argument(value: Any, keys: int, depth: int) -> dict[str, Any]:
    told = _told(value, keys, depth)
    if issubclass(type(value), str) and "json" not in told and depth:
        told["json"] = _parsed(value) is not _NO_JSON  # of an argument it is said that it is none
    return told


def _told(value: Any, keys: int, depth: int) -> dict[str, Any]:
    told: dict[str, Any] = {"type": _type_name(type(value))}
    try:
        told.update(_facts(value, keys, depth))
    except Exception:  # noqa: BLE001  # their objects; what is known so far is told
        pass
    return told


def _facts(value: Any, keys: int, depth: int) -> dict[str, Any]:
    if value is None or isinstance(value, bool | int | float | complex):
        return {}
    if isinstance(value, str):
        return {"length": len(value), **_json_facts(value, keys, depth)}
    if isinstance(value, bytes | bytearray | memoryview):
        return {"bytes": len(value)}
    if isinstance(value, Mapping):
        return {"length": len(value), **_items_by_name(value, "keys", keys, depth)}
    if hasattr(value, "columns") and hasattr(value, "dtypes"):  # pandas, polars
        columns = dict(zip(value.columns, value.dtypes, strict=False))
        shown = {_name(name): str(kind) for name, kind in list(columns.items())[:keys]}
        return {"shape": list(value.shape), "columns": shown}
    if hasattr(value, "shape") and hasattr(value, "dtype"):  # NumPy, torch, and their like
        return {"shape": [int(size) for size in value.shape], "dtype": str(value.dtype)}
    if hasattr(value, "environ") and hasattr(value, "get_data"):  # a request, in raw mode
        return {
            "method": value.method,
            "bytes": value.content_length or 0,
            "content_type": value.content_type or "",
        }
    if isinstance(value, list | tuple | set | frozenset):
        return {"length": len(value), **_element_facts(list(value)[:_SAMPLE], keys, depth)}
    fields = getattr(type(value), "__annotations__", None)
    if fields and depth:
        own = {name: getattr(value, name) for name in list(fields)[:keys] if hasattr(value, name)}
        return _items_by_name(own, "keys", keys, depth)
    return {}


def _items_by_name(value: Mapping[Any, Any], name: str, keys: int, depth: int) -> dict[str, Any]:
    if not depth or not keys:
        return {}
    shown = {_name(key): _told(each, keys, depth - 1) for key, each in list(value.items())[:keys]}
    if len(value) > keys:
        shown["…"] = {"more": len(value) - keys}
    return {name: shown}


def _element_facts(elements: list[Any], keys: int, depth: int) -> dict[str, Any]:
    shape = _shape(elements)
    kinds = {_type_name(type(each)) for each in elements}
    if not depth or not elements:
        return {}
    if len(kinds) == 1:
        first = _told(elements[0], keys, depth - 1)
        if isinstance(elements[0], list | tuple):
            lengths = {len(each) for each in elements}
            first["length"] = lengths.pop() if len(lengths) == 1 else sorted(lengths)[:8]
        return {"items": first} if shape is None else {"shape": shape, "items": first}
    return {"items": {"type": " | ".join(sorted(kinds)[:8])}}


def _shape(elements: list[Any]) -> list[int] | None:
    """Rows and columns of a rectangular list of lists; None if it is none."""
    if not elements or not all(isinstance(each, list | tuple) for each in elements):
        return None
    lengths = {len(each) for each in elements}
    return [len(elements), lengths.pop()] if len(lengths) == 1 and len(elements) < _SAMPLE else None


def _json_facts(text: str, keys: int, depth: int) -> dict[str, Any]:
    """What a text holds, if it is JSON with something in it."""
    value = _parsed(text) if depth else _NO_JSON
    if isinstance(value, dict | list | str):
        return {"json": _told(value, keys, depth - 1)}
    return {}


def _parsed(text: str) -> Any:
    if len(text) > _MAX_JSON_CHARACTERS:
        return _NO_JSON
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return _NO_JSON


def _type_name(kind: type) -> str:
    if kind.__module__ in ("builtins", "entry_module", "__main__"):
        return kind.__qualname__[:_MAX_NAME]
    return f"{kind.__module__.partition('.')[0]}.{kind.__qualname__}"[:_MAX_NAME]


def _name(name: object) -> str:
    text = str(name).encode("utf-8", "backslashreplace").decode()
    return text if len(text) <= _MAX_NAME else text[:_MAX_NAME] + "…"
