"""Every code example of every page does what the page says."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.pages import KINDS, commands_in, examples_in, is_within, matches
from tests.docs.session import Session

ROOT = Path(__file__).parents[2]
# Its commands take minutes; tests/benchmarks tries what they call.
NOT_TRIED = {"docs/benchmarks.md"}
PAGES = sorted(
    name
    for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("examples/*.md")]
    if (name := path.relative_to(ROOT).as_posix())
)
# The examples' own pages show commands that tests/examples runs in its own way.
TRIED = [name for name in PAGES if not name.startswith("examples/") and name not in NOT_TRIED]
_LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize("name", TRIED)
def test_examples_of_a_page_do_what_it_says(name: str, tmp_path: Path) -> None:
    session = Session(tmp_path)
    try:
        for example in examples_in((ROOT / name).read_text(encoding="utf-8")):
            assert example.kind in KINDS, f"{name}:{example.line}: the block has no marker"
            session.try_example(example)
    finally:
        session.close()


@pytest.mark.parametrize("name", PAGES)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    page = ROOT / name
    links = _LINK.findall(page.read_text(encoding="utf-8"))

    broken = [link for link in links if not (page.parent / link).exists()]

    assert not broken


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")

    missing = [
        link
        for name in PAGES
        if name.startswith("docs/") and (link := name.removeprefix("docs/")) != "README.md"
        if f"({link})" not in index
    ]

    assert not missing


# --- the reading of pages ----------------------------------------------------------------


def test_blocks_are_found_with_their_markers() -> None:
    page = "a\n\n<!-- example: file a.py -->\n```python\nx = 1\n```\n\n```\ny\n```\n"

    found = examples_in(page)

    assert [(one.kind, one.argument, one.text) for one in found] == [
        ("file", "a.py", "x = 1\n"),
        ("", "", "y\n"),
    ]


def test_commands_are_told_from_what_they_print() -> None:
    assert commands_in("$ a \\\n  b\none\ntwo\n$ c\n") == [("a \\\n  b", "one\ntwo\n"), ("c", "")]


@pytest.mark.parametrize(
    ("promised", "actual", "is_same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\nb\nc\n", True),
        ("...\nc\n", "c\n", True),
        (
            "2026-01-31 08:05:09,123 I [11] x - y 0.867ms\n",
            "2027-02-01 09:06:10,124 I [4711] x - y 12.100ms\n",
            True,
        ),
        ("  x\n  ~^~\n", "  x\n", True),
    ],
)
def test_what_varies_is_not_compared(promised: str, actual: str, is_same: bool) -> None:
    assert matches(promised, actual) is is_same


def test_lines_of_a_log_stand_together() -> None:
    assert is_within("b\nc\n", "a\nb\nc\nd\n")
    assert not is_within("a\nc\n", "a\nb\nc\n")


# --- what pages say of the code ----------------------------------------------------------

_TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
_PATH = re.compile(r"`((?:src|tests|docs|examples)/[\w./-]+|[a-z_]+/[a-z_]+\.py)`")


@pytest.mark.parametrize("name", TRIED)
def test_tests_and_files_that_a_page_names_exist(name: str) -> None:
    page = (ROOT / name).read_text(encoding="utf-8")

    gone = [
        f"{file}::{test}"
        for file, test in _TEST.findall(page)
        if f"def {test}(" not in (ROOT / file).read_text(encoding="utf-8")
    ]
    gone += [
        path
        for path in _PATH.findall(page)
        if not (ROOT / path).exists() and not (ROOT / "src" / "azmlinfsrv" / path).exists()
    ]

    assert not gone
