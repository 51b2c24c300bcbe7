"""What converting a value would cost, before inference-schema tries: few bytes may become many.

NumPy gives every cell of text the room of the longest one; pandas makes a column of every name
it meets, with a cell in every row; dateutil needs time by the square of the digits. So a body
of a megabyte can ask for forty gigabytes, or for a minute. Such values are refused with a
reason, as if the declared type had rejected them. What is merely large is let through.
How a refusal becomes an answer is for `azmlinfsrv.script.schema_conversion`.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from typing import Any

# Longer than any notation of a moment.
_MAX_DATE_CHARACTERS = 200
# A table or array may always be as large as this, and beyond it as many times what was given.
_FREE_BYTES = 256 * 1024 * 1024
_FREE_CELLS = _FREE_BYTES // 64  # pandas needs about that for an object in a cell, all told
_TIMES_GIVEN = 64
# Cells up to here cost no more than the JSON they come from.
_CHEAP_CELL_BYTES = 64


class TooCostly(ValueError):
    """The value is not converted at all.

    Attributes:
        got: What the value is, for the client; nothing of its content.
    """

    def __init__(self, got: str) -> None:
        super().__init__(got)
        self.got = got


def check_date(value: Any) -> None:
    """Refuse a text too long to be a date or a time.

    Raises:
        TooCostly: it is.
    """
    if isinstance(value, str) and len(value) > _MAX_DATE_CHARACTERS:
        raise TooCostly(f"a string of more than {_MAX_DATE_CHARACTERS} characters")


def check_array(value: Any, dtype: Any) -> None:
    """Refuse a list whose cells of text would take far more room than was given.

    Args:
        dtype: What the cells are converted to; None if NumPy is to find out.
    Raises:
        TooCostly: it would.
    """
    if not isinstance(value, list):
        return
    if dtype is not None:
        if dtype.itemsize <= _CHEAP_CELL_BYTES:
            return
        cells, given, _ = _text_in(value)
        cells = len(value) if dtype.names else cells
        needed = cells * dtype.itemsize
    else:
        cells, given, longest = _text_in(value)
        needed = cells * longest * 4  # NumPy keeps text as UTF-32
    if needed > _FREE_BYTES and needed > given * _TIMES_GIVEN:
        raise TooCostly("one with text too long for its number of cells")


def _text_in(value: list[Any]) -> tuple[int, int, int]:
    """Cells of nested lists, the characters they were given in, and the longest text."""
    cells = given = longest = 0
    waiting: list[Any] = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting += item
            continue
        cells += 1
        characters = len(item) if isinstance(item, str) else 0
        given += characters + 3
        longest = max(longest, characters)
    return cells, given, longest


def check_table(value: Any, orient: str, most_columns: float = math.inf) -> None:
    """Refuse a table of more columns than it may have, or of far more cells than were given.

    Args:
        orient: The form it has, in pandas' words.
        most_columns: Not looked at for a "table".
    Raises:
        TooCostly: it is one.
    """
    named = None  # columns as they are given; None if the rows name them
    if orient in ("split", "table"):
        if not isinstance(value, dict):
            return
        head = value.get("columns") if orient == "split" else _fields(value.get("schema"))
        named = len(head) if isinstance(head, list) else None
        value = value.get("data")
    if not isinstance(value, list | dict):
        return
    outer, inner, given = _extent(value)
    if orient == "columns" or (orient == "records" and isinstance(value, dict)):
        columns = outer
    else:
        columns = inner if named is None else max(named, inner)
        inner = columns
    # A field of a "table" may be its index, which is no column.
    if orient != "table" and columns > most_columns:
        raise TooCostly("1 column" if columns == 1 else f"{columns} columns")
    if outer * inner > _FREE_CELLS and outer * inner > (given + outer) * _TIMES_GIVEN:
        raise TooCostly("one in which most cells are missing")


def _extent(value: list[Any] | dict[str, Any]) -> tuple[int, int, int]:
    """How many rows (or columns), the cells that the widest needs, and all that were given."""
    items: Collection[Any] = value.values() if isinstance(value, dict) else value
    names: set[str] = set()
    longest = given = 0
    for item in items:
        if isinstance(item, dict):
            names.update(item)
            given += len(item)
        elif isinstance(item, list):
            longest = max(longest, len(item))
            given += len(item)
    return len(items), max(len(names), longest), given


def _fields(schema: Any) -> Any:
    return schema.get("fields") if isinstance(schema, dict) else None
