"""The species of an iris. Requests that wait while the model computes are computed together."""

import json
import os
from pathlib import Path

import joblib
import numpy as np
from azmlinfsrv import batch

SPECIES = ["setosa", "versicolor", "virginica"]

model = None


def init():
    """Called once, before the first request."""
    global model
    model = joblib.load(Path(os.environ["AZUREML_MODEL_DIR"]) / "iris.joblib")


@batch(max_size=64)
def run(data):
    """Called with the bodies of several requests, a list of str; returns an answer for each.

    An exception in the place of an answer fails that request and no other.
    """
    answers = [None] * len(data)
    rows, places = [], []
    for place, body in enumerate(data):
        try:
            rows.append(np.array(json.loads(body)["data"], dtype=float).reshape(4))
            places.append(place)
        except (ValueError, KeyError, TypeError) as error:
            answers[place] = error
    if rows:
        for place, chances in zip(places, model.predict_proba(np.stack(rows)), strict=True):
            answers[place] = {
                "species": SPECIES[chances.argmax()],
                "probability": round(float(chances.max()), 4),
            }
    return answers
