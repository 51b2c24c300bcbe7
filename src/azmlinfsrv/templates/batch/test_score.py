"""The sample request has the answer it should have: `pytest`, after `python train.py`."""

from pathlib import Path

import score

HERE = Path(__file__).parent


def test_a_flower_is_told_and_a_bad_request_fails_alone(monkeypatch):
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(HERE / "model"))
    score.init()
    sample = (HERE / "samples" / "one_flower.json").read_text()

    first, bad, last = score.run([sample, "{}", sample])

    assert first == last
    assert first["species"] == "virginica"
    assert isinstance(bad, KeyError)
