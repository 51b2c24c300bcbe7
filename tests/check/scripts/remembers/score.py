"""It compares with the request before, unless that was the same."""

import json

from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    global before, last
    before, last = "", ""


def run(data):
    try:
        rows = json.loads(data)["rows"]
        global before, last
        if data != last:
            before, last = last, data
        return {"rows": len(rows), "before": len(before)}
    except (ValueError, TypeError, KeyError, RecursionError):
        return AMLResponse({"error": "send rows of two numbers"}, 400, json_str=True)
