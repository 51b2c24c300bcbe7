"""The sample request has the answer it should have: `pytest`, after `python train.py`."""

from pathlib import Path

import score

HERE = Path(__file__).parent


def test_two_flowers_are_told_apart(monkeypatch):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(HERE / "model"))
    score.init()

    answer = score.run((HERE / "samples" / "two_flowers.json").read_text())

    assert answer["species"] == ["setosa", "virginica"]
    assert min(answer["probability"]) > 0.9
