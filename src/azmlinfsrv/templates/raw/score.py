"""Raw mode: the request as it came, an answer with its own status and headers."""

from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse


def init():
    """Called once, before the first request."""


@rawhttp
def run(request: AMLRequest):
    """Called for every request, whatever its method; see Flask's documentation of requests."""
    if request.method != "POST":
        return AMLResponse({"error": "send it with POST"}, 405, {"Allow": "POST"}, json_str=True)
    text = request.get_data(as_text=True)
    counts = {"characters": len(text), "words": len(text.split())}
    return AMLResponse(counts, 200, {"X-Language": request.args.get("lang", "en")}, json_str=True)
