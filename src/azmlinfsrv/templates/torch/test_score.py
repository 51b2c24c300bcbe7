"""The sample request has the answer it should have: `pytest`, after `python train.py`."""

from pathlib import Path

import pytest
import score

HERE = Path(__file__).parent


def test_two_sums(monkeypatch):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(HERE / "model"))
    score.init()

    answer = score.run((HERE / "samples" / "two_sums.json").read_text())

    assert answer["sum"] == pytest.approx([0.5, 0.9], abs=0.1)
