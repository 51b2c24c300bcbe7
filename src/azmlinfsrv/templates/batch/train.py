"""Train the model and save it: `python train.py` writes model/iris.joblib.

The data is scikit-learn's own copy of the iris data; nothing is downloaded.
"""

from pathlib import Path

import joblib
from sklearn.datasets import load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(folder):
    features, species = load_iris(return_X_y=True)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(features, species)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(model, folder / "iris.joblib")


if __name__ == "__main__":
    train(Path(__file__).parent / "model")
