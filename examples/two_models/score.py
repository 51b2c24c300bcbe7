"""Two models, loaded once; the request says which: {"model": "iris", "rows": [[...]]}."""

import json
import os
from pathlib import Path

import joblib

from azureml_inference_server_http.api.aml_response import AMLResponse

models = {}


def init():
    folder = Path(os.environ["AZUREML_MODEL_DIR"])
    for file in sorted(folder.glob("*.joblib")):
        models[file.stem] = joblib.load(file)


def run(data):
    request = json.loads(data)
    model = models.get(request["model"])
    if model is None:
        return AMLResponse(
            {"unknown model": request["model"], "known": list(models)}, 404, json_str=True
        )
    return model.predict(request["rows"]).tolist()
