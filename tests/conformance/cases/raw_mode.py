"""A run() that takes the request itself (R3.12, R3.23 to R3.25)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import (
    MS,
    Answer,
    Case,
    Exit,
    Json,
    ask,
    get,
    like,
    observed_script_error,
    ok,
    post,
    post_json,
    script_error,
    serve,
)

RAW = serve(folder="echo_raw")

HEADER = """
    from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
    from azureml_inference_server_http.api.aml_response import AMLResponse
    import flask

    def init(): pass
"""


def raw(body: str, imports: str = "") -> Any:
    """A raw script whose run(request) is *body*."""
    return serve(f"{HEADER}\n    {imports}\n    @rawhttp\n    def run(request):\n        {body}\n")


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
UPLOAD = (
    '--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nhello\r\n'
    '--b\r\nContent-Disposition: form-data; name="file[]"; filename="a.txt"\r\n\r\nAAA\r\n'
    '--b\r\nContent-Disposition: form-data; name="file[]"; filename="b.txt"\r\n\r\nBBB\r\n--b--\r\n'
)
SEEN = {
    "method": "POST",
    "path": "/score",
    "full_path": "/score?",
    "args": {},
    "form": {},
    "files": {},
    "body": "",
}


def seen(**differs: Any) -> Answer:
    """What the raw echo script says of the request."""
    return ok(Json({**SEEN, **differs}))


CASES = [
    Case(
        "a_body_arrives_untouched",
        RAW,
        post("x\xff".encode("latin-1")),
        seen(body="x\ufffd"),
        "R3.23",
    ),
    Case("get_calls_run", RAW, get(), seen(method="GET"), "R3.24"),
    Case(
        "the_query_is_in_args",
        RAW,
        post("b", target="/score?a=1&a=2&b=x+y"),
        seen(full_path="/score?a=1&a=2&b=x+y", args={"a": ["1", "2"], "b": ["x y"]}, body="b"),
        "R3.23 X5",
    ),
    Case("options_calls_run", RAW, ask("OPTIONS", "/score"), seen(method="OPTIONS"), "R3.24 R4.1"),
    Case(
        "head_calls_run_without_a_body",
        RAW,
        ask("HEAD", "/score"),
        Answer(
            200,
            "",
            {"content-length": like(r"\d+"), "x-ms-run-fn-exec-ms": MS},
            log=("run was called with HEAD",),
        ),
        "R3.24 R4.1",
    ),
    Case("put_is_not_routed", RAW, ask("PUT", "/score", "x"), Answer(405), "R3.24 R4.1"),
    Case(
        "a_form_is_parsed",
        RAW,
        post("a=1&a=2&b=%20", Content_Type=FORM),
        ok(Json({**SEEN, "form": {"a": ["1", "2"], "b": [" "]}})),
        "R3.23",
    ),
    Case(
        "files_are_parsed",
        RAW,
        post(UPLOAD, Content_Type=MULTIPART),
        ok(
            Json(
                {
                    **SEEN,
                    "form": {"note": ["hello"]},
                    "files": {"file[]": [["a.txt", "AAA"], ["b.txt", "BBB"]]},
                }
            )
        ),
        "R3.23 X5",
    ),
    Case(
        "get_data_before_form_keeps_the_body",
        raw("return request.get_data(False).decode()"),
        post("a=1", Content_Type=FORM),
        ok('"a=1"'),
        "R3.23 X5",
    ),
    Case(
        "data_is_the_body",
        raw("return request.data.decode()"),
        post("abc"),
        ok('"abc"'),
        "R3.23 X5",
    ),
    Case(
        "json_is_parsed",
        raw("return request.json['a']"),
        post_json('{"a": [1]}'),
        ok("[1]"),
        "R3.23",
    ),
    Case(
        "json_of_another_type_fails_in_the_script",
        raw("return request.json"),
        post('{"a": 1}', Content_Type="text/plain"),
        script_error(),
        "R3.23 R3.36 0:R3.36",
        reference=observed_script_error(),
    ),
    Case(
        "malformed_json_fails_in_the_script",
        raw("return request.json"),
        post_json("{"),
        script_error(),
        "R3.23 R3.36 0:R3.36",
        reference=observed_script_error(),
    ),
    Case(
        "it_is_a_proxy_of_a_flask_request",
        raw(
            "return [type(request).__name__, isinstance(request, flask.Request), "
            "isinstance(request, AMLRequest)]"
        ),
        post(),
        ok(like(r'\["(LocalProxy|AMLRequest)", true, (true|false)\]')),
        "R3.23 R8.8 D33",
        why="Whether it also is an AMLRequest is open: D33 makes that name useful.",
    ),
    Case(
        "headers_can_be_walked",
        raw("return sorted(name for name, _ in request.headers if name.startswith('X-'))"),
        post("", X_B="1", x_a="2"),
        ok('["X-A", "X-B"]'),
        "R3.23 X5",
    ),
    Case(
        "a_header_is_found_in_any_case",
        raw("return request.headers.get('x-thing')"),
        post("", X_Thing="v"),
        ok('"v"'),
        "R3.23",
    ),
    Case(
        "the_request_can_be_printed",
        raw("print(request); return str(request)"),
        post("", target="/score?a=1", Host="h"),
        ok(
            like(r"\"<\w*Request 'http://h/score\?a=1' \[POST\]>\""),
            log=("Request 'http://h/score",),
        ),
        "X5",
    ),
    Case(
        "an_aml_response_may_be_returned",
        raw("return AMLResponse(request.get_data() + b'!', 201)"),
        post("x"),
        Answer(201, "x!", {"x-ms-run-function-failed": "False", "x-ms-run-fn-exec-ms": MS}),
        "R3.25 X5",
    ),
    Case("none_is_an_empty_object", raw("return None"), post("x"), ok("{}"), "R3.25"),
    Case(
        "the_flask_context_is_there",
        raw(
            "return [flask.request.method, flask.g.request_id, flask.g.client_request_id, "
            "bool(flask.current_app)]"
        ),
        post("", X_Request_Id="A", X_Ms_Client_Request_Id="C"),
        ok('["POST", "A", "C", true]'),
        "R8.8 R3.23",
    ),
    Case(
        "request_headers_is_given_beside_the_request",
        serve(
            HEADER
            + """
    @rawhttp
    def run(request, request_headers):
        return [request.method, type(request_headers) is dict, request_headers["X-Thing"]]
"""
        ),
        post("", X_Thing="v"),
        ok('["POST", true, "v"]'),
        "R3.11",
    ),
    Case(
        "the_mark_on_a_helper_of_the_script_counts",
        serve(
            HEADER
            + """
    @rawhttp
    def handle(request): return request.method

    def run(request): return handle(request)
"""
        ),
        post("x"),
        ok('"POST"'),
        "R3.12 0:R3.12 D26",
    ),
    Case(
        "the_mark_in_an_imported_module_does_not_count",
        serve(
            """
            import helper
            def init(): pass
            def run(data): return type(data).__name__
            """,
            files={
                "helper.py": """
                from azureml_inference_server_http.api.aml_request import rawhttp
                @rawhttp
                def other(request): pass
                """
            },
        ),
        post("x"),
        ok('"str"'),
        "R3.12 0:R3.12 D26",
        reference=ok('"LocalProxy"'),
    ),
    Case(
        "a_wrapped_raw_run_is_raw",
        serve(
            HEADER
            + """
    import functools

    def timed(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs): return function(*args, **kwargs)
        return wrapper

    @timed
    @rawhttp
    def run(request): return request.method
"""
        ),
        post("x"),
        ok('"POST"'),
        "0:R3.12 R3.12",
    ),
    Case(
        "raw_and_schema_together_are_refused",
        serve(
            HEADER
            + """
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import input_schema

    @rawhttp
    @input_schema("request", Standard(1))
    def run(request): pass
"""
        ),
        None,
        Exit(3, either=("run\\(\\) cannot be decorated with both @rawhttp and @input_schema",)),
        "R3.12",
    ),
]
