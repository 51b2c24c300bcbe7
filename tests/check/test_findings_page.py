from __future__ import annotations

from azmlinfsrv.tools.findings import KINDS, SECTIONS
from tools.tables import FINDINGS


def test_findings_page_is_up_to_date() -> None:
    assert FINDINGS.updated() == FINDINGS.read(), "run `make docs`"


def test_every_kind_is_on_the_page_and_belongs_to_a_section() -> None:
    page = FINDINGS.read()

    for kind in KINDS.values():
        assert f"| `{kind.id}` | {kind.severity.name} |" in page
        assert kind.section in SECTIONS
        assert kind.meaning.endswith(".")
        assert kind.next_step.endswith(".")
