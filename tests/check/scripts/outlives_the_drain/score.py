"""Its calls take longer than the server waits when it stops."""

import time
import json

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global weights
    weights = [0.5, 1.5]


def run(data):
    try:
        rows = json.loads(data)["rows"]
        time.sleep(0.25)
        return [sum(w * x for w, x in zip(weights, row, strict=True)) for row in rows]
    except (ValueError, TypeError, KeyError, RecursionError):
        return AMLResponse({"error": "send rows of two numbers"}, 400, json_str=True)
