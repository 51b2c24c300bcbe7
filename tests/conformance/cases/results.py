"""What run() returns and what the client gets (R3.26)."""

from __future__ import annotations

from tests.conformance.case import (
    ABSENT,
    INTERNAL_ERROR,
    MS,
    Answer,
    Case,
    Expected,
    Json,
    Value,
    error,
    get,
    like,
    ok,
    post,
    serve,
)

RESULTS = serve(folder="results")
UNENCODED = error(500, INTERNAL_ERROR, errors=())


def returns(name: str, body: Value) -> Case:
    """A result of ``scripts/results`` in its JSON text."""
    return Case(f"{name}_is_json", RESULTS, post(name), ok(body), "R3.26")


def now_encoded(name: str, expected: Expected) -> Case:
    """A result the reference server could not encode."""
    return Case(
        f"{name}_is_encoded", RESULTS, post(name), expected, "R3.26 0:R3.26", reference=UNENCODED
    )


def octets(body: bytes) -> Answer:
    return Answer(
        200,
        body,
        {
            "content-type": "application/octet-stream",
            "content-length": str(len(body)),
            "x-ms-run-fn-exec-ms": MS,
        },
    )


def not_encodable(name: str, message: str) -> Case:
    """Still no JSON form: our message says which type, and where."""
    return Case(
        f"{name}_is_refused_with_its_place",
        RESULTS,
        post(name),
        Answer(
            500,
            like(rf'\{{"message": ".*{message}.*'),
            {"x-ms-run-function-failed": "True", "content-type": "application/json"},
        ),
        "R3.26 R4.7 0:R3.26 D7",
        reference=UNENCODED,
    )


CASES = [
    returns("none", "{}"),
    returns("true", "true"),
    returns("integer", "5"),
    returns("float", "1.5"),
    returns("whole_float", "2.0"),
    returns("small_float", "1e-07"),
    returns("text", '"\\u00e9\\"x\\u2028/"'),
    returns("empty_text", '""'),
    returns("json_text", '"{\\"a\\": 1}"'),
    returns("surrogate", '"\\ud800"'),
    returns("list", '[1, "a", null, [true]]'),
    returns("tuple", '[{"a": 1}, 201, {"X-A": "b"}]'),
    returns("namedtuple", "[1, 2]"),
    returns("dict", '{"b": 1, "a": {"c": [1.0]}}'),
    returns("odd_keys", '{"1": "a", "null": "b", "2.5": "c"}'),
    returns("colliding_keys", '{"true": "a", "true": "b"}'),
    returns("int_enum", "1"),
    returns("np_float64", "1.5"),
    returns("big_integer", "1" + "0" * 399),
    Case(
        "nan_and_infinity_are_written_as_before",
        RESULTS,
        post("nan"),
        ok("[NaN, Infinity, -Infinity]"),
        "R3.26 0:R3.26 D23",
    ),
    Case(
        "nan_can_be_null",
        serve(folder="results", environment={"AZMLINFSRV_NAN": "null"}),
        post("nan"),
        ok(Json([None, None, None])),
        "0:R3.26 D23",
        reference=ok("[NaN, Infinity, -Infinity]"),
    ),
    Case(
        "nan_can_be_an_error",
        serve(folder="results", environment={"AZMLINFSRV_NAN": "error"}),
        post("nan"),
        Answer(500, headers={"x-ms-run-function-failed": "True"}),
        "0:R3.26 D23",
        reference=ok("[NaN, Infinity, -Infinity]"),
    ),
    now_encoded("bytes", octets(b"\x00\xffabc")),
    now_encoded("bytearray", octets(b"abc")),
    now_encoded("memoryview", octets(b"abc")),
    now_encoded("np_int64", ok("7")),
    now_encoded("np_float32", ok("0.5")),
    now_encoded("np_bool", ok("true")),
    now_encoded("array", ok("[[1, 2], [3, 4]]")),
    now_encoded("array_inside", ok('{"result": [1.5, 2.5]}')),
    now_encoded("frame", ok(Json([{"a": 1, "b": "x"}, {"a": 2, "b": "y"}]))),
    now_encoded("series", ok(Json([1.5, 2.5]))),
    now_encoded("timestamp", ok('"2020-01-02T03:04:05"')),
    now_encoded("datetime", ok('"2020-01-02T03:04:05"')),
    now_encoded("date", ok('"2020-01-02"')),
    now_encoded("decimal", ok(like('"1.10"|1.10?'))),
    now_encoded("uuid", ok('"12345678-1234-5678-1234-567812345678"')),
    now_encoded("enum", ok('"round"')),
    now_encoded("dataclass", ok('{"a": 1, "b": "x"}')),
    now_encoded("set", ok("[3]")),
    now_encoded("generator", Answer(200, "one\ntwo\n", {"content-length": ABSENT})),
    not_encodable("opaque", "Opaque"),
    not_encodable("opaque_inside", "(?=.*Opaque)(?=.*rows)(?=.*model)"),
    Case(
        "an_endless_depth_is_refused",
        RESULTS,
        post("deep"),
        Answer(500, headers={"x-ms-run-function-failed": "True"}),
        "R3.26 0:R3.26",
        reference=UNENCODED,
    ),
    Case(
        "a_get_may_return_anything_too",
        serve(
            """
            def init(): pass
            def run(data): return [data]
            """
        ),
        get("/score?a=1"),
        ok('["{\\"a\\": 1}"]'),
        "R3.26 R3.15",
    ),
    Case(
        "other_parameters_need_defaults",
        serve(
            """
            def init(): pass
            def run(data, extra=3): return [data, extra]
            """
        ),
        post("x"),
        ok('["x", 3]'),
        "R3.13",
    ),
    Case(
        "a_second_parameter_without_default_fails_every_request",
        serve(
            """
            def init(): pass
            def run(data, extra): return data
            """
        ),
        post("x"),
        Answer(500, headers={"x-ms-run-function-failed": "True"}),
        "R3.13",
    ),
    Case(
        "run_may_be_keyword_only",
        serve(
            """
            def init(): pass
            def run(*, data): return data
            """
        ),
        post("x"),
        ok('"x"'),
        "R3.10 R3.13",
    ),
    Case(
        "run_may_be_a_callable_object",
        serve(
            """
            class Model:
                def __call__(self, data): return "called with " + data
            def init(): pass
            run = Model()
            """
        ),
        post("x"),
        ok('"called with x"'),
        "R3.10",
    ),
    Case(
        "run_may_be_a_lambda",
        serve(
            """
            init = lambda: None
            run = lambda data: data * 2
            """
        ),
        post("x"),
        ok('"xx"'),
        "R3.10",
    ),
    Case(
        "an_async_run_is_awaited",
        serve(
            """
            import asyncio
            def init(): pass
            async def run(data):
                await asyncio.sleep(0)
                return {"got": data}
            """
        ),
        post("x"),
        ok('{"got": "x"}'),
        "0:R3.8 D25 R3.26",
        reference=error(500, INTERNAL_ERROR),
    ),
    Case(
        "an_async_init_is_awaited",
        serve(
            """
            model = None
            async def init():
                global model
                model = "loaded"
            def run(data): return model
            """
        ),
        post("x"),
        ok('"loaded"'),
        "R3.8 0:R3.8 D25",
        reference=ok("{}"),
    ),
    Case(
        "a_generator_run_streams",
        serve(
            """
            def init(): pass
            def run(data):
                yield "one\\n"
                yield "two\\n"
            """
        ),
        post("x"),
        Answer(200, "one\ntwo\n", {"content-length": ABSENT}),
        "R3.32 0:R3.8 0:R3.26 D25",
        reference=error(500, INTERNAL_ERROR),
    ),
    Case(
        "an_async_generator_run_streams",
        serve(
            """
            def init(): pass
            async def run(data):
                yield "one\\n"
                yield "two\\n"
            """
        ),
        post("x"),
        Answer(200, "one\ntwo\n", {"content-length": ABSENT}),
        "R3.32 0:R3.8 0:R3.26 D25",
        reference=error(500, INTERNAL_ERROR),
    ),
    Case(
        "init_may_return_anything_and_have_defaults",
        serve(
            """
            def init(path="x"): return 5
            def run(data): return data
            """
        ),
        post("x"),
        ok('"x"'),
        "R3.8",
    ),
]
