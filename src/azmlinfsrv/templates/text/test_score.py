"""The sample request has the answer it should have: `pytest`."""

from pathlib import Path

import pytest
import score

SAMPLES = Path(__file__).parent / "samples"


def test_marathon_in_kilometres():
    score.init()

    answer = score.run((SAMPLES / "marathon.json").read_text())

    assert answer["km"] == pytest.approx(42.1648128)
