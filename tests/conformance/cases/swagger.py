"""Documents, their versions and errors (R5)."""

from __future__ import annotations

from typing import Any

from tests.conformance.case import (
    ABSENT,
    Answer,
    Case,
    Document,
    Exit,
    Setup,
    Started,
    error,
    get,
    like,
    serve,
)
from tests.conformance.documents import NOTHING, UNKNOWN, openapi3, swagger2

TEXT = serve(folder="echo_text")
RAW = serve(folder="echo_raw")

IMPORTS = """
    import datetime
    import numpy as np
    import pandas as pd
    from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
    from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import input_schema, output_schema

    def init(): pass
"""

INTEGER = {"type": "integer", "format": "int64"}
NUMBER = {"type": "number", "format": "double"}
STRING = {"type": "string"}
ARRAY = "numpy.ndarray"


def decorated(decorators: str, signature: str = "data") -> Setup:
    """A script whose run() carries *decorators*, one a line."""
    lines = "".join(f"    {line.strip()}\n" for line in decorators.strip().split("\n"))
    return serve(f"{IMPORTS}\n{lines}    def run({signature}): return 1\n")


def document(body: Any) -> Answer:
    return Answer(
        200,
        Document(body),
        {
            "content-type": "application/json",
            "x-ms-run-function-failed": "False",
            "x-ms-run-fn-exec-ms": ABSENT,
        },
    )


def served(name: str, setup: Setup, version: str, body: Any, shows: str) -> Case:
    query = f"?version={version}" if version else ""
    return Case(name, setup, get(f"/swagger.json{query}"), document(body), shows)


def three(
    name: str, setup: Setup, service_input: Any, service_output: Any, shows: str
) -> list[Case]:
    """The same two schemas in each of the three versions."""
    both = (service_input, service_output)
    return [
        served(f"{name}, version 2", setup, "2", swagger2(*both), shows),
        served(f"{name}, version 3", setup, "3", openapi3(*both), shows),
        served(f"{name}, version 3.1", setup, "3.1", openapi3(*both, openapi="3.1.0"), shows),
    ]


def sample(
    name: str, expression: str, schema: dict[str, Any], example: Any, mixed: bool = False
) -> Case:
    """The fragment of one sample, as the input ``data`` (appendix B)."""
    body = {"type": "object", "properties": {"data": schema}, "example": {"data": example}}
    setup = decorated(f'@input_schema("data", {expression})')
    if mixed:
        return served(f"sample {name}", setup, "3", openapi3(body, NOTHING), "R5.8 R5.6 R5.7")
    return served(f"sample {name}", setup, "2", swagger2(body, NOTHING), "R5.8 R5.6")


NUMPY = decorated(
    """
    @input_schema("data", NumpyParameterType(np.arange(10, 0, -1, dtype="int64")))
    @output_schema(NumpyParameterType(np.array([3726.995])))
    """
)
NUMPY_INPUT = {
    "type": "object",
    "properties": {"data": {"type": "array", "items": INTEGER, "format": ARRAY}},
    "example": {"data": [10, 9, 8, 7, 6, 5, 4, 3, 2, 1]},
}
NUMPY_OUTPUT = {"type": "array", "items": NUMBER, "example": [3726.995], "format": ARRAY}
MIXED = decorated('@input_schema("data", Standard([1, "a"]))')
MIXED_INPUT = {
    "type": "object",
    "properties": {"data": {"type": "array", "items": STRING}},
    "example": {"data": [1, "a"]},
}

NOT_VALID = "Swagger version [{}] is not valid. Supported versions: [2, 3, 3.1]."
NOT_HERE = (
    "Swagger version [{}] is not supported for the scoring script. "
    "Supported swagger versions: [3, 3.1]."
)


def named(environment: dict[str, str]) -> Setup:
    return serve(folder="echo_text", environment=environment)


CASES = [
    # --- documents and versions
    *three("undecorated", TEXT, UNKNOWN, UNKNOWN, "R5.1 R5.6 R5.9"),
    *three("raw", RAW, UNKNOWN, UNKNOWN, "R5.6"),
    *three("numpy in and out", NUMPY, NUMPY_INPUT, NUMPY_OUTPUT, "R5.6 R5.8"),
    served("version 2 is the default", TEXT, "", swagger2(), "R5.1"),
    served("2.0 is 2", TEXT, "2.0", swagger2(), "R5.1"),
    served("3.0 is 3", TEXT, "3.0", openapi3(), "R5.1"),
    served("the first of repeated versions counts", TEXT, "3&version=2", openapi3(), "R5.1"),
    Case(
        "separators and order are those of json.dumps",
        TEXT,
        get("/swagger.json?version=3"),
        Answer(200, like(r'\{"openapi": "3\.0\.3", "info": \{"title": "ML service", .*')),
        "R5.8",
    ),
    *(
        Case(
            f"version {version!r} is not valid",
            TEXT,
            get(f"/swagger.json?version={version}"),
            error(404, NOT_VALID.format(version)),
            "R5.2 R4.7",
        )
        for version in ("3.0a", "", "4", "V2", "1", "3.1.0")
    ),
    Case(
        "an escaped version is decoded",
        TEXT,
        get("/swagger.json?version=%20a"),
        error(404, NOT_VALID.format(" a")),
        "R5.2",
    ),
    # --- versions a script supports
    Case(
        "mixed lists do not fit version 2",
        MIXED,
        get("/swagger.json?version=2"),
        error(404, NOT_HERE.format("2")),
        "R5.2 R5.7",
    ),
    Case(
        "by its alias as well",
        MIXED,
        get("/swagger.json?version=2.0"),
        error(
            404, like(r"Swagger version \[2(\.0)?\] is not supported for the scoring script\. .*")
        ),
        "R5.2 R5.7",
    ),
    Case(
        "the default is the lowest version of the script",
        MIXED,
        get("/swagger.json"),
        document(openapi3(MIXED_INPUT, NOTHING)),
        "R5.2 0:R5.2",
        reference=error(404, NOT_HERE.format("2")),
    ),
    Case(
        "the versions are logged",
        TEXT,
        None,
        Started(
            log=(
                "azmlinfsrv.swagger - Swaggers are prepared for the following versions: "
                "\\[2, 3, 3.1\\]\\.$",
            )
        ),
        "R5.3 R6.5",
    ),
    Case(
        "skipped versions are logged",
        MIXED,
        None,
        Started(
            log=(
                "azmlinfsrv.swagger - Swaggers are prepared for versions \\[3, 3.1\\] "
                "and skipped for versions \\[2\\]\\.$",
            )
        ),
        "R5.3",
    ),
    # --- shapes
    served(
        "request_headers and undecorated parameters are listed",
        decorated('@input_schema("a", Standard(1))', "a, request_headers, b=2"),
        "2",
        swagger2(
            {
                "type": "object",
                "properties": {"a": INTEGER, "request_headers": {}, "b": {}},
                "example": {"a": 1, "request_headers": "", "b": ""},
            },
            NOTHING,
        ),
        "R5.6",
    ),
    served(
        "an output alone",
        decorated("@output_schema(Standard(1))"),
        "3",
        openapi3(NOTHING, {**INTEGER, "example": 1}),
        "R5.6",
    ),
    served(
        "a decorator for no parameter adds the name",
        decorated('@input_schema("other", Standard(1))', "data=None"),
        "2",
        swagger2(
            {
                "type": "object",
                "properties": {"data": {}, "other": INTEGER},
                "example": {"data": "", "other": 1},
            },
            NOTHING,
        ),
        "R5.6 X6",
    ),
    sample("int", "Standard(1)", INTEGER, 1),
    sample("float", "Standard(1.5)", NUMBER, 1.5),
    sample("bool", "Standard(True)", {"type": "boolean"}, True),
    sample("str", 'Standard("s")', STRING, "s"),
    sample("bytes", 'Standard(b"ab")', {"type": "string", "format": "byte"}, "YWI="),
    sample("list", "Standard([1, 2])", {"type": "array", "items": INTEGER}, [1, 2]),
    sample("tuple", "Standard((1, 2))", {"type": "array", "items": INTEGER}, [1, 2]),
    sample("empty list", "Standard([])", {"type": "array", "items": {"type": "object"}}, []),
    sample("mixed list", 'Standard([1, "a"])', {"type": "array", "items": STRING}, [1, "a"], True),
    sample(
        "dict",
        'Standard({"a": 1, "b": [1.5]})',
        {
            "type": "object",
            "required": ["a", "b"],
            "properties": {"a": INTEGER, "b": {"type": "array", "items": NUMBER}},
        },
        {"a": 1, "b": [1.5]},
    ),
    sample(
        "date",
        "Standard(datetime.date(2020, 1, 2))",
        {"type": "string", "format": "date"},
        "2020-01-02",
    ),
    sample(
        "datetime",
        "Standard(datetime.datetime(2020, 1, 2, 3, 0))",
        {"type": "string", "format": "date-time"},
        "2020-01-02 03:00:00.000000 +0000",
    ),
    sample(
        "time",
        "Standard(datetime.time(3, 4))",
        {"type": "string", "format": "time"},
        "03:04:00.000000 +0000",
    ),
    sample(
        "two-dimensional array",
        "NumpyParameterType(np.array([[1.5], [2.5]]))",
        {"type": "array", "items": {"type": "array", "items": NUMBER}, "format": ARRAY},
        [[1.5], [2.5]],
    ),
    sample(
        "frame",
        'PandasParameterType(pd.DataFrame({"b": [1], "a": ["x"]}))',
        {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["b", "a"],
                "properties": {"b": INTEGER, "a": STRING},
            },
            "format": "pandas.DataFrame:records",
        },
        [{"b": 1, "a": "x"}],
    ),
    sample(
        "nested types",
        'Standard({"data": NumpyParameterType(np.array([1]))})',
        {
            "type": "object",
            "required": ["data"],
            "properties": {"data": {"type": "array", "items": INTEGER, "format": ARRAY}},
        },
        {"data": [1]},
    ),
    Case(
        "a sample of None fails at the start",
        decorated('@input_schema("data", Standard(None))'),
        None,
        Exit(3, either=("Sample input cannot be None",)),
        "R5.8 R3.6",
    ),
    Case(
        "a sample without JSON form fails at the start",
        decorated('@input_schema("data", Standard({1, 2}))'),
        None,
        Exit(3, either=("not JSON serializable",)),
        "R5.8 R3.6",
    ),
    # --- the user's own files
    Case(
        "a file of the user replaces version 2 only",
        serve(folder="echo_text", files={"swagger.json": '{"mine":[1,2]}'}),
        get("/swagger.json"),
        Answer(200, '{"mine": [1, 2]}', {"content-type": "application/json"}),
        "R5.4",
    ),
    served(
        "the other versions stay",
        serve(folder="echo_text", files={"swagger.json": '{"mine":[1,2]}'}),
        "3",
        openapi3(),
        "R5.4",
    ),
    Case(
        "its loading is logged",
        serve(folder="echo_text", files={"swagger.json": '{"mine":[1,2]}'}),
        None,
        Started(
            log=(
                "azmlinfsrv.swagger - Loaded user's swagger file for version \\[2\\] "
                "from {root}/swagger.json$",
            )
        ),
        "R5.3 R5.4",
    ),
    *(
        Case(
            f"{file} is version {version}",
            serve(
                folder="echo_text",
                files={"swagger2.json": "2", "swagger3.json": '"é"', "swagger3.1.json": "[3.1]"},
            ),
            get(f"/swagger.json?version={version}"),
            Answer(200, body, {"content-type": "application/json"}),
            "R5.4",
        )
        for file, version, body in (
            ("swagger2.json", "2", "2"),
            ("swagger3.json", "3", '"\\u00e9"'),
            ("swagger3.1.json", "3.1", "[3.1]"),
        )
    ),
    Case(
        "swagger.json comes before swagger2.json",
        serve(folder="echo_text", files={"swagger.json": "1", "swagger2.json": "2"}),
        get("/swagger.json"),
        Answer(200, "1"),
        "R5.4",
    ),
    served(
        "an empty file counts as absent",
        serve(folder="echo_text", files={"swagger.json": "{}"}),
        "2",
        swagger2(),
        "R5.4",
    ),
    Case(
        "init may write the file",
        serve(
            """
            def init():
                with open("swagger3.json", "w") as file: file.write('{"late": true}')
            def run(data): return data
            """
        ),
        get("/swagger.json?version=3"),
        Answer(200, '{"late": true}'),
        "R5.1 R5.4",
    ),
    Case(
        "a file beside the script is not looked at",
        serve(
            files={
                "sub/score.py": "def init(): pass\ndef run(data): return data\n",
                "sub/swagger.json": "1",
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        get("/swagger.json"),
        document(swagger2()),
        "R5.4 R2.2",
    ),
    *(
        Case(
            f"a file that is {what} stops the start",
            serve(folder="echo_text", files={"swagger.json": content}),
            None,
            Exit(3, either=("swagger",)),
            "R5.4 R1.10 0:R3.6 D29",
            reference=Exit(3, errors=("Traceback",)),
        )
        for what, content in (("not JSON", "{nope"), ("not UTF-8", b'"\xff"'))
    ),
    # --- values
    served(
        "name and version of the service",
        named({"SERVICE_NAME": "Iris", "SERVICE_VERSION": "7.1"}),
        "2",
        swagger2(title="Iris", version="7.1"),
        "R5.5 R2.2",
    ),
    Case(
        "the description names the service",
        named({"SERVICE_NAME": "Iris"}),
        get("/swagger.json"),
        Answer(200, like(r'.*"description": "[^"]*Iris[^"]*".*')),
        "R5.5",
    ),
    served("a prefix", named({"SERVICE_PATH_PREFIX": "pfx"}), "3", openapi3(prefix="/pfx"), "R5.5"),
    served(
        "a prefix between slashes",
        named({"SERVICE_PATH_PREFIX": "/pfx/v1/"}),
        "2",
        swagger2(prefix="/pfx/v1"),
        "R5.5",
    ),
    served(
        "a lone slash as prefix",
        named({"SERVICE_PATH_PREFIX": "/"}),
        "2",
        swagger2(prefix="/"),
        "R5.5",
    ),
    Case(
        "any character is data",
        named({"SERVICE_NAME": 'a "quoted" \\ name'}),
        get("/swagger.json"),
        document(swagger2(title='a "quoted" \\ name')),
        "R5.5 0:R5.5 D16",
        reference=Exit(3),
    ),
]
