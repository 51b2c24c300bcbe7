"""Every hostile case, by name."""

from __future__ import annotations

from tests.hostile.case import Case
from tests.hostile.connections import OPTIONS, PIPELINES, UNFINISHED
from tests.hostile.fields import FIELDS, HOSTS
from tests.hostile.framing import CHUNKS, CODINGS, LENGTHS
from tests.hostile.request_lines import REQUEST_LINES

TABLES = {
    "request line": REQUEST_LINES,
    "length": LENGTHS,
    "coding": CODINGS,
    "chunk": CHUNKS,
    "host": HOSTS,
    "field": FIELDS,
    "pipeline": PIPELINES,
    "option": OPTIONS,
    "unfinished": UNFINISHED,
}
CASES: dict[str, Case] = {
    f"{group}: {name}": case for group, table in TABLES.items() for name, case in table.items()
}
