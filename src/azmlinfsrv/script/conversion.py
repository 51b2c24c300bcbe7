"""One table: which Python values besides JSON's own have a JSON form, and which (R3.26).

Types are recognised by the names of their package and class, most derived first, so
nothing is imported: a value whose package is not loaded cannot arrive. What JSON makes
of the converted value (and of what is inside it) is the encoder's business.

==============================  ====================================================
type                            becomes
==============================  ====================================================
subclass of str, int, float,    what `json.dumps` makes of it: its plain value
list, tuple or dict
Enum                            its value
dataclass, msgspec.Struct,      object
pydantic model
set, frozenset                  array, sorted if its items can be compared
datetime, date, time,           ISO 8601 text
pandas Timestamp, datetime64
timedelta, Timedelta,           number of seconds
timedelta64
Decimal                         text, so that no digit is lost
UUID, pathlib path, Period      text
NumPy number or bool            number or bool, as ``.item()``
NumPy array, Series, Index,     array, as ``.tolist()``; rows of a structured array
pandas array                    are objects
DataFrame                       array of records
NaT, NA                         null
==============================  ====================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeAlias

import msgspec

Conversion: TypeAlias = Callable[[Any], object]


class Unsupported(TypeError):  # named for what it says, caught by the encoder
    """The value's type has no JSON form."""


def convert(value: object) -> object:
    """The JSON-like form of a value that JSON does not know, one level deep.

    Raises:
        Unsupported: the type is not in the table.
    """
    # mypy takes the __hash__ of a class for that of its instances
    return _conversion(type(value))(value)  # type: ignore[arg-type]


def is_json_type(kind: type) -> bool:
    """Is this one of the types `json.dumps` takes, or a subclass of one?"""
    return issubclass(kind, _NATIVE_TYPES)


def qualified_name(kind: type) -> str:
    """A class by its package and name, such as ``numpy.ndarray``, wherever in it it is."""
    return f"{kind.__module__.partition('.')[0]}.{kind.__name__}"


@functools.lru_cache(maxsize=1024)
def _conversion(kind: type) -> Conversion:
    for native, plain in _NATIVE:
        if issubclass(kind, native):
            return plain
    for base in kind.__mro__:
        found = _TABLE.get(qualified_name(base))
        if found is not None:
            return found
    if hasattr(kind, "__dataclass_fields__"):
        return _fields
    return _refuse


def _refuse(value: object) -> object:
    raise Unsupported(type(value).__name__)


def _plain_dict(value: dict[Any, object]) -> object:
    # json asks a subclass for its items() unless it stores none; so do we.
    return dict(value.items()) if dict.__len__(value) else {}


def _fields(value: Any) -> object:
    import dataclasses  # loaded already, by whoever made the value

    return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}


def _struct(value: object) -> object:
    # Renaming, tags and omitted defaults are the struct's; what its fields hold is ours.
    return msgspec.to_builtins(value, builtin_types=_handed_through(), enc_hook=convert)


@functools.cache
def _handed_through() -> tuple[type, ...]:
    """What msgspec must leave alone for our table to decide."""
    from datetime import date, datetime, time, timedelta
    from decimal import Decimal
    from uuid import UUID

    return (bytes, bytearray, datetime, date, time, timedelta, Decimal, UUID)


def _model(value: Any) -> object:
    return value.model_dump() if hasattr(value, "model_dump") else value.dict()


def _members(value: Any) -> object:
    try:
        return sorted(value)
    except TypeError:
        return list(value)


def _seconds(value: Any) -> object:
    return value.total_seconds()


def _iso(value: Any) -> object:
    return value.isoformat()


def _list(value: Any) -> object:
    return value.tolist()


def _array(value: Any) -> object:
    kind = value.dtype.kind
    if value.dtype.names is not None:  # structured: rows become np.void, then objects
        return list(value) if value.ndim else value[()]
    if kind == "M":
        return _nested(value, _iso_text)
    if kind == "m":
        return _nested(value, _numpy_seconds)
    return value.tolist()


def _nested(array: Any, item: Conversion) -> object:
    if array.ndim == 0:
        return item(array[()])
    return [_nested(part, item) if array.ndim > 1 else item(part) for part in array]


def _iso_text(value: Any) -> object:
    """ISO text of a datetime64 as `datetime.isoformat` writes it; null for NaT."""
    text = str(value)
    if text == "NaT":
        return None
    head, dot, fraction = text.partition(".")
    digits = fraction.rstrip("0")
    if not digits:
        return head
    return f"{head}{dot}{digits.ljust(6 if len(digits) <= 6 else len(fraction), '0')}"


def _numpy_seconds(value: Any) -> object:
    import numpy as np  # loaded already: the value is NumPy's

    return None if np.isnat(value) else float(value / np.timedelta64(1, "s"))


def _row(value: Any) -> object:
    if value.dtype.names is None:  # raw bytes
        return _refuse(value)
    return {name: value[name] for name in value.dtype.names}


def _records(value: Any) -> object:
    return value.to_dict(orient="records")


def _null(_: object) -> object:
    return None


# Before the table: for these `json.dumps` looks at the plain value, whatever else they are.
_NATIVE: tuple[tuple[type, Conversion], ...] = (
    (str, str.__str__),
    (int, int.__int__),
    (float, float.__float__),
    (list, list),
    (tuple, list),
    (dict, _plain_dict),
)
_NATIVE_TYPES = tuple(kind for kind, _ in _NATIVE)

# "<top package>.<class>" -> conversion; looked up along the method resolution order.
_TABLE: dict[str, Conversion] = {
    "builtins.set": _members,
    "builtins.frozenset": _members,
    "datetime.date": _iso,
    "datetime.datetime": _iso,
    "datetime.time": _iso,
    "datetime.timedelta": _seconds,
    "decimal.Decimal": str,
    "enum.Enum": lambda value: value.value,
    "msgspec.Struct": _struct,
    "numpy.bool": bool,  # NumPy 2
    "numpy.bool_": bool,  # NumPy 1
    "numpy.datetime64": _iso_text,
    "numpy.floating": float,  # not item(): a longdouble's item is a longdouble
    "numpy.integer": int,
    "numpy.ndarray": _array,
    "numpy.timedelta64": _numpy_seconds,
    "numpy.void": _row,
    "pandas.DataFrame": _records,
    "pandas.ExtensionArray": _list,
    "pandas.Index": _list,
    "pandas.NAType": _null,
    "pandas.NaTType": _null,
    "pandas.Period": str,
    "pandas.Series": _list,
    "pathlib.PurePath": str,
    "pydantic.BaseModel": _model,
    "uuid.UUID": str,
}
