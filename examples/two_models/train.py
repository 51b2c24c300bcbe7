"""Train both models: `python train.py [FOLDER]`, by default `model/` beside this file."""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LinearRegression, LogisticRegression


def train(folder):
    folder.mkdir(parents=True, exist_ok=True)
    iris = LogisticRegression(max_iter=1000).fit(*load_iris(return_X_y=True))
    diabetes = LinearRegression().fit(*load_diabetes(return_X_y=True, scaled=False))
    joblib.dump(iris, folder / "iris.joblib")
    joblib.dump(diabetes, folder / "diabetes.joblib")


if __name__ == "__main__":
    train(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent / "model")
