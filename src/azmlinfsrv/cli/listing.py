"""`azmlinfsrv config`: every effective setting and where it came from."""

from __future__ import annotations

import sys
from typing import Any, NamedTuple

from azmlinfsrv.settings import FIELDS, MASK, Loaded


class Row(NamedTuple):
    """One setting as it is shown; a secret's value is masked already."""

    name: str
    value: object
    source: str
    source_name: str

    @property
    def origin(self) -> str:
        return f"{self.source} {self.source_name}".strip()


def listing_rows(loaded: Loaded) -> list[Row]:
    """A row for every setting, in the order of declaration."""
    rows = []
    for field in FIELDS:
        value: Any = getattr(loaded.settings, field.name)
        if field.is_secret and value is not None:
            value = MASK
        origin = loaded.origins[field.name]
        rows.append(Row(field.name, value, origin.source, origin.name))
    return rows


def listing_json(loaded: Loaded) -> str:
    """One JSON object: the file that was read, and each setting with its origin."""
    import json

    settings = {
        row.name: {"value": row.value, "source": row.source, "name": row.source_name or None}
        for row in listing_rows(loaded)
    }
    document = {"config_file": loaded.config_path or None, "settings": settings}
    return json.dumps(document, indent=2)


def listing_text(loaded: Loaded) -> str:
    """Aligned columns: setting, value, origin."""
    rows = [(row.name, _value_text(row.value), row.origin) for row in listing_rows(loaded)]
    widths = [max(len(row[column]) for row in rows) for column in (0, 1)]
    return "\n".join(
        f"{name:{widths[0]}}  {value:{widths[1]}}  {origin}" for name, value, origin in rows
    )


def print_listing(loaded: Loaded, format_: str) -> None:
    """Print as *format_* says, ``text`` or ``json``; a terminal gets a table."""
    if format_ == "json":
        print(listing_json(loaded))
    elif sys.stdout.isatty():
        _print_table(loaded)
    else:
        print(listing_text(loaded))


def _print_table(loaded: Loaded) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table("Setting", "Value", "From")
    for row in listing_rows(loaded):
        # Text, not markup: a value may hold brackets.
        style = "dim" if row.source == "default" else "bold"
        cells = (row.name, _value_text(row.value), row.origin)
        table.add_row(*(Text(cell, style=style) for cell in cells))
    Console().print(table)


def _value_text(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "-" if value is None else str(value) or "''"
