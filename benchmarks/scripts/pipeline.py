"""j6: a scikit-learn pipeline. The library itself takes most of the time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

model: Any = None


def train(path: Path) -> None:
    """Fit the pipeline on the wine data that comes with scikit-learn; write it to *path*."""
    import joblib
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows, classes = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    joblib.dump(pipeline.fit(rows, classes), path)


def init() -> None:
    global model
    import joblib

    model = joblib.load(Path(__file__).with_name("pipeline.joblib"))


def predict(value: Any) -> list[int]:
    classes: list[int] = model.predict(value["data"]).tolist()
    return classes


def run(data: str) -> list[int]:
    return predict(json.loads(data))


if __name__ == "__main__":
    train(Path(__file__).with_name("pipeline.joblib"))
