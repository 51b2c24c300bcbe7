"""Tests that an example brings along pass, as its readers run them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
FILES = sorted(path.relative_to(EXAMPLES).as_posix() for path in EXAMPLES.glob("*/test_*.py"))


@pytest.mark.parametrize("name", FILES)
def test_tests_of_an_example_pass(name: str, tmp_path: Path) -> None:
    path = EXAMPLES / name
    # No configuration of ours: readers have none. Nor have they schemathesis, which takes a
    # second to be imported.
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = -p no:cacheprovider -p no:schemathesis\n"
    )

    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-c", str(tmp_path / "pytest.ini"), path.name],
        cwd=path.parent,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
