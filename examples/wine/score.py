"""Which of three cultivars a wine is, from thirteen measurements."""

import json
import os
from pathlib import Path

import joblib
import numpy as np

model = None


def init():
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "wine.joblib")


def run(data):
    rows = np.array(json.loads(data)["data"])
    probabilities = model.predict_proba(rows)
    return {
        "cultivar": probabilities.argmax(axis=1).tolist(),
        "probability": probabilities.max(axis=1).round(4).tolist(),
    }
