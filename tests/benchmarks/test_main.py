from __future__ import annotations

import pytest

from benchmarks.__main__ import PAGE, parser
from benchmarks.jobs import JOBS
from benchmarks.peers import PEERS
from benchmarks.report import MARKERS, replace_section


def test_defaults_are_two_jobs_beside_the_reference_server() -> None:
    options = parser().parse_args([])

    assert (options.jobs, options.base, options.peers) == (["j1", "j2"], "ours", ["reference"])
    assert options.rounds >= 3


def test_all_names_everything() -> None:
    options = parser().parse_args(["--jobs", "all", "--peers", "all"])

    assert options.jobs == list(JOBS)
    assert options.peers == list(PEERS)


@pytest.mark.parametrize(
    "arguments", [["--jobs", "j9"], ["--peers", ""], ["--rounds", "0"], ["--seconds", "x"]]
)
def test_wrong_usage_ends_with_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args(arguments)

    assert ended.value.code == 2
    assert arguments[0] in capsys.readouterr().err


@pytest.mark.parametrize("which", list(MARKERS))
def test_the_page_has_its_markers(which: str) -> None:
    page = PAGE.read_text(encoding="utf-8")

    assert "new figures" in replace_section(page, "new figures", which)
