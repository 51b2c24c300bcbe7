"""run() returns the response that the request names."""

import flask

from azureml_inference_server_http.api.aml_response import AMLResponse


def with_type(mimetype):
    response = AMLResponse(b"\x89PNG", 200)
    response.mimetype = mimetype
    return response


RESPONSES = {
    # Flask's own
    "flask": lambda: flask.Response("hi", status=202, headers={"X-A": "b"}),
    "flask_503": lambda: flask.Response("later", status=503),
    "jsonify": lambda: flask.jsonify({"b": 1, "a": [1, 2]}),
    "make_response": lambda: flask.make_response("made", 201),
    "redirect": lambda: flask.redirect("/"),
    "no_content": lambda: flask.Response("dropped", status=204),
    "not_modified": lambda: flask.Response("dropped", status=304),
    "abort_response": lambda: flask.Response("gone", status=410),
    # AMLResponse
    "text": lambda: AMLResponse("é", 200),
    "octets": lambda: AMLResponse(b"\x00\xff", 200),
    "none": lambda: AMLResponse(None, 202),
    "none_with_type": lambda: AMLResponse(None, 200, {"Content-Type": "text/csv"}),
    "json": lambda: AMLResponse({"b": 1, "a": "é"}, 201, json_str=True),
    "json_with_type": lambda: AMLResponse([1], 200, {"Content-Type": "text/csv"}, json_str=True),
    "json_not_serialisable": lambda: AMLResponse({1, 2}, 200, json_str=True),
    "dict": lambda: AMLResponse({"a": 1, "b": 2}, 200),
    "strings": lambda: AMLResponse(["a", "b"], 200),
    "failed": lambda: AMLResponse("x", 200, run_function_failed=True),
    "failed_by_keyword": lambda: AMLResponse(
        message="x", status_code=404, response_headers={}, json_str=False, run_function_failed=False
    ),
    "five_hundred": lambda: AMLResponse("x", 500),
    "reason": lambda: AMLResponse("x", "404 Oops"),
    "headers": lambda: AMLResponse("x", 200, {"b": "A, B", "c": "one"}),
    "type": lambda: AMLResponse("a,b", 200, {"Content-Type": "text/csv"}),
    "type_lower": lambda: AMLResponse("a,b", 200, {"content-type": "text/csv"}),
    "length": lambda: AMLResponse("abc", 200, {"Content-Length": "3"}),
    "expires": lambda: AMLResponse("x", 200, {"Expires": "Wed, 21 Oct 2015 07:28:00 GMT"}),
    "cookie": lambda: AMLResponse(
        "x", 200, {"Set-Cookie": "a=1; Expires=Wed, 21 Oct 2015 07:28:00 GMT; Path=/"}
    ),
    "quoted": lambda: AMLResponse("x", 200, {"X-Q": '"a, b"'}),
    "mimetype": lambda: with_type("image/png"),
    "own_ids": lambda: AMLResponse(
        "x", 200, {"x-request-id": "mine", "x-ms-client-request-id": "mine"}
    ),
    "own_time": lambda: AMLResponse("x", 200, {"x-ms-run-fn-exec-ms": "7"}),
    "own_version": lambda: AMLResponse("x", 200, {"x-ms-server-version": "7"}),
    # Bad ones
    "header_int": lambda: AMLResponse("x", 200, {"a": 5}),
    "header_line_end": lambda: flask.Response("x", headers={"a": "b\r\nc: d"}),
    "header_not_latin_1": lambda: flask.Response("x", headers={"a": "\u2713"}),
    "status_99": lambda: flask.Response("x", status=99),
    "message_int": lambda: AMLResponse(5, 200),
    "message_ints": lambda: AMLResponse([1, 2], 200),
}


def init():
    pass


def run(name):
    return RESPONSES[name]()
