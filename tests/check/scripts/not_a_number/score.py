"""It divides zero by zero, in floating point."""

import json

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global weights
    weights = [0.5, 1.5]


def run(data):
    try:
        rows = json.loads(data)["rows"]
        return {"share": [float("nan") if not row[1] else row[0] / row[1] for row in rows]}
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return AMLResponse({"error": "send rows of two numbers"}, 400, json_str=True)
