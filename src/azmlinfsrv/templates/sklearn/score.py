"""The species of an iris, from four measurements in centimetres."""

import json
import os
from pathlib import Path

import joblib
import numpy as np

SPECIES = ["setosa", "versicolor", "virginica"]

model = None


def init():
    """Called once, before the first request."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "iris.joblib")


def run(data):
    """Called for every request with its body, a str."""
    rows = np.array(json.loads(data)["data"], dtype=float)
    probabilities = model.predict_proba(rows)
    return {
        "species": [SPECIES[index] for index in probabilities.argmax(axis=1)],
        "probability": probabilities.max(axis=1).round(4),
    }
