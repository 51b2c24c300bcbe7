"""A request with a row that does not fit changes the weights of all requests after it."""

import json

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global weights
    weights = [0.5, 1.5]


def run(data):
    try:
        rows = json.loads(data)["rows"]
        answer = []
        for row in rows:
            if len(row) != len(weights):
                weights.append(1.0)
                raise ValueError
            answer.append(sum(w * x for w, x in zip(weights, row, strict=True)))
        return answer
    except (ValueError, TypeError, KeyError, RecursionError):
        return AMLResponse({"error": "send rows of two numbers"}, 400, json_str=True)
