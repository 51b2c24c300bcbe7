"""j2: the everyday script. A scikit-learn model, JSON text in, a list out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

model: Any = None


def train(path: Path) -> None:
    """Fit the model on the wine data that comes with scikit-learn; write it to *path*."""
    import joblib
    from sklearn.datasets import load_wine
    from sklearn.linear_model import LogisticRegression

    rows, classes = load_wine(return_X_y=True)
    joblib.dump(LogisticRegression(max_iter=10_000).fit(rows, classes), path)


def init() -> None:
    global model
    import joblib

    model = joblib.load(Path(__file__).with_name("wine.joblib"))


def predict(value: Any) -> list[int]:
    classes: list[int] = model.predict(value["data"]).tolist()
    return classes


def run(data: str) -> list[int]:
    return predict(json.loads(data))


if __name__ == "__main__":
    train(Path(__file__).with_name("wine.joblib"))
