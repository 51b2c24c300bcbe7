"""Train the pipeline and save it: `python train.py [FOLDER]`, by default `model/` beside this file.

The data is scikit-learn's own copy of the wine data; nothing is downloaded.
"""

import sys
from pathlib import Path

import joblib
from sklearn.datasets import load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def train(folder):
    features, target = load_wine(return_X_y=True)
    pipeline = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    pipeline.fit(features, target)
    folder.mkdir(parents=True, exist_ok=True)
    joblib.dump(pipeline, folder / "wine.joblib")
    return folder / "wine.joblib"


if __name__ == "__main__":
    here = Path(__file__).parent
    print(train(Path(sys.argv[1]) if len(sys.argv) > 1 else here / "model"))
