"""The sample request has the answer it should have: `pytest`."""

from pathlib import Path

import score

SAMPLES = Path(__file__).parent / "samples"


def test_words_come_one_after_another():
    score.init()

    pieces = list(score.run((SAMPLES / "prompt.json").read_text()))

    assert pieces == ["ONE ", "WORD ", "AFTER ", "ANOTHER ", "\n"]
