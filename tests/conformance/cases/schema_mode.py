"""What a run() with inference-schema decorators receives (R3.17 to R3.22)."""

from __future__ import annotations

from dataclasses import replace

from tests.conformance.case import (
    INTERNAL_ERROR,
    UUID,
    Answer,
    Case,
    Exit,
    Json,
    ask,
    error,
    get,
    like,
    observed_script_error,
    ok,
    post,
    post_json,
    serve,
)

STANDARD = serve(folder="schema_standard")
NUMPY = serve(folder="schema_numpy")
PANDAS = serve(folder="schema_pandas")
NESTED = serve(folder="schema_nested")
OPTIONS = serve(folder="schema_options")
ADD = serve(
    """
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import input_schema

    def init(): pass

    @input_schema("a", Standard(1))
    @input_schema("b", Standard(2))
    def run(a, b, c=10):
        print("run was called")
        return a + b + c
    """
)
# Where nobody ever calls run(), a line of it can only come from the case at hand.
QUIET = replace(ADD, environment=(("QUIET", "1"),))
OUTPUT_ONLY = serve(
    """
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import output_schema

    def init(): pass

    @output_schema(Standard(1))
    def run(data):
        return [type(data).__name__, data]
    """
)
UNKNOWN_NAME = serve(
    """
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import input_schema

    def init(): pass

    @input_schema("elsewhere", Standard(1))
    def run(data=None):
        return data
    """
)
ANY_KEY = serve(
    """
    from inference_schema.parameter_types.standard_py_parameter_type import (
        StandardPythonParameterType as Standard,
    )
    from inference_schema.schema_decorators import input_schema

    def init(): pass

    @input_schema("a", Standard(1))
    def run(a, **others):
        return {"a": a, **others}
    """
)

EMPTY = "POST body is empty. Expecting a JSON dictionary."
NOT_AN_OBJECT = "POST body should be a JSON dictionary."
NOT_JSON = "Expects Content-Type to be application/json"


def missing(name: str) -> Answer:
    return error(400, f"A value is not provided for the '{name}' parameter.")


def accepts(name: str, body: str, shown: str) -> Case:
    """A value of the standard script arrives as its repr()."""
    key = body[2 : body.index('"', 2)]
    return Case(name, STANDARD, post_json(body), ok(Json({key: shown})), "R3.22")


def rejects(name: str, setup: object, body: str, parameter: str, shows: str = "R3.22") -> Case:
    """A value the declared type rejects names the parameter: 400, no longer a script error."""
    return Case(
        name,
        setup,  # type: ignore[arg-type]  # `Setup`, spelt loosely to keep the tables short
        post_json(body),
        error(400, like(rf".*\b{parameter}\b.*")),
        f"{shows} 0:R3.18 D7",
        reference=observed_script_error(),
    )


CASES = [
    # --- content type
    Case(
        "no_content_type_is_415", ADD, post('{"a": 1, "b": 2}'), error(415, NOT_JSON), "R3.17 R4.7"
    ),
    Case(
        "text_json_is_415",
        ADD,
        post("{}", Content_Type="text/json"),
        error(415, NOT_JSON),
        "R3.17",
    ),
    Case(
        "the_type_is_checked_before_the_body",
        QUIET,
        post(b"", Content_Type="text/plain"),
        error(415, NOT_JSON, {"x-request-id": UUID}, unlogged=("run was called",)),
        "R3.17 R4.7",
    ),
    Case(
        "any_case_and_parameters_are_json",
        ADD,
        post('{"a": 1, "b": 2}', Content_Type="Application/JSON; charset=latin-1"),
        ok("13"),
        "R3.17",
    ),
    Case(
        "a_json_suffix_is_json",
        ADD,
        post('{"a": 1, "b": 2}', Content_Type="application/vnd.api+json"),
        ok("13"),
        "R3.17",
    ),
    # --- the body
    Case("an_empty_body_is_400", ADD, post_json(b""), error(400, EMPTY), "R3.18 R4.7"),
    Case(
        "a_body_that_is_not_json_is_400",
        ADD,
        post_json("{nope"),
        error(
            400,
            "POST body could not be decoded as JSON: Expecting property name enclosed in double "
            "quotes: line 1 column 2 (char 1)",
        ),
        "R3.18",
    ),
    Case(
        "text_after_the_json_is_400",
        ADD,
        post_json('{"a": 1} x'),
        error(400, "POST body could not be decoded as JSON: Extra data: line 1 column 10 (char 9)"),
        "R3.18",
    ),
    *(
        Case(f"a_json_{kind}_is_400", ADD, post_json(body), error(400, NOT_AN_OBJECT), "R3.18")
        for kind, body in (("list", "[1]"), ("number", "1"), ("string", '"a"'), ("null", "null"))
    ),
    Case("the_first_missing_parameter_is_named", ADD, post_json("{}"), missing("a"), "R3.18"),
    Case("the_next_missing_parameter_is_named", ADD, post_json('{"a": 1}'), missing("b"), "R3.18"),
    Case("names_are_case_sensitive", ADD, post_json('{"A": 1, "b": 1}'), missing("a"), "R3.18"),
    Case("a_default_is_honoured", ADD, post_json('{"a": 1, "b": 2}'), ok("13"), "R3.21"),
    Case(
        "an_undecorated_parameter_gets_the_raw_value",
        ADD,
        post_json('{"a": 1, "b": 2, "c": 0.5}'),
        ok("3.5"),
        "R3.21",
    ),
    Case("extra_keys_are_dropped", ADD, post_json('{"a": 1, "b": 2, "d": 5}'), ok("13"), "R3.18"),
    Case("the_last_duplicate_wins", ADD, post_json('{"a": 1, "b": 2, "a": 5}'), ok("17"), "R3.18"),
    Case(
        "the_query_is_ignored_on_post",
        ADD,
        post_json('{"a": 1, "b": 2}', target="/score?a=100&c=100"),
        ok("13"),
        "R3.18",
    ),
    Case(
        "a_byte_order_mark_is_accepted",
        ADD,
        post_json(b'\xef\xbb\xbf{"a": 1, "b": 2}'),
        ok("13"),
        "R3.18",
    ),
    Case(
        "utf_16_is_accepted", ADD, post_json('{"a": 1, "b": 2}'.encode("utf-16")), ok("13"), "R3.18"
    ),
    Case(
        "utf_32_is_accepted", ADD, post_json('{"a": 1, "b": 2}'.encode("utf-32")), ok("13"), "R3.18"
    ),
    *(
        Case(
            name,
            ADD,
            post_json(body),
            error(400, like(r"POST body .*")),
            "R3.18 0:R3.18 D7",
            reference=error(500, INTERNAL_ERROR),
        )
        for name, body in (
            ("undecodable_bytes_are_400", b'{"a": "\xff"}'),
            ("deep_nesting_is_400", b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
            ("a_number_of_5000_digits_is_400", b'{"a": ' + b"9" * 5000 + b"}"),
        )
    ),
    # --- GET, OPTIONS, HEAD
    Case("get_takes_the_query", ADD, get("/score?a=1&b=2&c=3"), ok("6"), "R3.19"),
    Case("get_misses_a_parameter", ADD, get("/score?b=2"), missing("a"), "R3.19"),
    Case("get_without_query_misses_a_parameter", ADD, get(), missing("a"), "R3.19"),
    Case(
        "get_gives_a_number_to_a_string_parameter",
        STANDARD,
        get("/score?s=5"),
        error(400, like(r".*\bs\b.*")),
        "R3.19 R3.22 D24 0:R3.18",
        reference=observed_script_error(),
    ),
    Case(
        "get_with_a_quoted_string",
        STANDARD,
        get("/score?s=%225%22"),
        ok(Json({"s": "'5'"})),
        "R3.19",
    ),
    Case(
        "options_is_empty",
        QUIET,
        ask("OPTIONS", "/score"),
        Answer(200, "", {"x-ms-run-function-failed": "False"}, unlogged=("run was called",)),
        "R3.20",
    ),
    Case("head_is_405", ADD, ask("HEAD", "/score"), Answer(405, ""), "R3.20 R4.1"),
    # --- standard types
    accepts("int_takes_an_integer", '{"i": 5}', "5"),
    accepts("int_takes_true", '{"i": true}', "True"),
    rejects("int_rejects_a_fraction", STANDARD, '{"i": 5.0}', "i"),
    rejects("int_rejects_a_string", STANDARD, '{"i": "5"}', "i"),
    rejects("int_rejects_null", ADD, '{"a": null, "b": 1}', "a"),
    accepts("float_takes_an_integer", '{"f": 2}', "2"),
    accepts("float_takes_a_fraction", '{"f": 2.5}', "2.5"),
    accepts("float_takes_nan", '{"f": NaN}', "nan"),
    rejects("float_rejects_a_string", STANDARD, '{"f": "2.5"}', "f"),
    accepts("str_takes_a_string", '{"s": "é"}', "'é'"),
    rejects("str_rejects_a_number", STANDARD, '{"s": 1}', "s"),
    accepts("bool_takes_false", '{"b": false}', "False"),
    rejects("bool_rejects_a_number", STANDARD, '{"b": 1}', "b"),
    accepts("list_takes_a_list", '{"items": [1, "a"]}', "[1, 'a']"),
    rejects("list_rejects_an_object", STANDARD, '{"items": {"a": 1}}', "items"),
    accepts("dict_takes_an_object", '{"table": {"z": [1]}}', "{'z': [1]}"),
    rejects("dict_rejects_a_list", STANDARD, '{"table": [1]}', "table"),
    accepts("bytes_are_base64", '{"octets": "YWI="}', "b'ab'"),
    rejects("bytes_reject_a_number", STANDARD, '{"octets": 5}', "octets"),
    accepts(
        "datetime_is_parsed",
        '{"moment": "2020-05-06 07:08:09"}',
        "datetime.datetime(2020, 5, 6, 7, 8, 9)",
    ),
    rejects("datetime_rejects_a_word", STANDARD, '{"moment": "soon"}', "moment"),
    accepts("time_is_parsed", '{"clock": "07:08"}', "datetime.time(7, 8)"),
    Case(
        "date_is_parsed",
        STANDARD,
        post_json('{"day": "2020-05-06"}'),
        ok(Json({"day": "datetime.date(2020, 5, 6)"})),
        "R3.22 0:R3.18 D33",
        reference=observed_script_error(),
        why="A valid value must not be refused; inference-schema alone never accepts one.",
    ),
    Case(
        "an_undecorated_parameter_takes_anything",
        STANDARD,
        post_json('{"anything": [null, {"a": 1}]}'),
        ok(Json({"anything": "[None, {'a': 1}]"})),
        "R3.21",
    ),
    # --- NumPy and pandas
    Case(
        "numpy_takes_a_list_of_its_dtype",
        NUMPY,
        post_json('{"whole": [[1, 2, 3], [4, 5, 6]]}'),
        ok(Json({"dtype": "int64", "shape": [2, 3], "values": [[1, 2, 3], [4, 5, 6]]})),
        "R3.22",
    ),
    Case(
        "numpy_truncates_to_its_dtype",
        NUMPY,
        post_json('{"whole": [[1.7, 2, 3]]}'),
        ok(Json({"dtype": "int64", "shape": [1, 3], "values": [[1, 2, 3]]})),
        "R3.22",
    ),
    rejects("numpy_rejects_another_width", NUMPY, '{"whole": [[1, 2]]}', "whole"),
    rejects("numpy_rejects_words", NUMPY, '{"whole": [["a", "b", "c"]]}', "whole"),
    rejects("numpy_rejects_a_ragged_list", NUMPY, '{"whole": [[1, 2, 3], [4]]}', "whole"),
    Case(
        "numpy_takes_any_shape_when_not_enforced",
        NUMPY,
        post_json('{"free": [[1, 2], [3, 4]]}'),
        ok(Json({"dtype": "float64", "shape": [2, 2], "values": [[1.0, 2.0], [3.0, 4.0]]})),
        "R3.22 X6",
    ),
    Case(
        "pandas_takes_records",
        PANDAS,
        post_json('{"rows": [{"n": 2, "x": 1, "name": "b"}]}'),
        ok(Json({"dtypes": ["int64", "float64", like("object|str")], "values": [[2, 1.0, "b"]]})),
        "R3.22",
    ),
    rejects("pandas_rejects_a_missing_column", PANDAS, '{"rows": [{"n": 2}]}', "rows"),
    rejects(
        "pandas_rejects_a_word_for_a_number",
        PANDAS,
        '{"rows": [{"n": "a", "x": 1, "name": "b"}]}',
        "rows",
    ),
    Case(
        "pandas_takes_split",
        PANDAS,
        post_json('{"split": {"columns": ["a", "b"], "index": [0], "data": [[5, 6]]}}'),
        ok(Json({"dtypes": ["int64", "int64"], "values": [[5, 6]]})),
        "R3.22 X6",
    ),
    # --- nested
    Case(
        "nested_types_are_converted",
        NESTED,
        post_json('{"Inputs": {"data": [[1, 2]], "note": "x"}, "GlobalParameters": 3.5}'),
        ok(Json({"kinds": {"data": "ndarray", "note": "str"}, "parameters": 3.5})),
        "R3.22 X6",
    ),
    Case(
        "a_missing_inner_key_is_tolerated",
        NESTED,
        post_json('{"Inputs": {"data": [[1, 2]]}}'),
        ok(Json({"kinds": {"data": "ndarray"}, "parameters": 2.0})),
        "R3.22 X6",
    ),
    rejects("a_nested_value_is_checked", NESTED, '{"Inputs": {"data": [[1]]}}', "Inputs"),
    Case(
        "an_outer_key_is_needed",
        NESTED,
        post_json('{"GlobalParameters": 1.0}'),
        missing("Inputs"),
        "R3.18 X6",
    ),
    # --- options
    Case(
        "optional_is_skipped_when_absent",
        OPTIONS,
        post_json('{"needed": 1}', Host="h"),
        ok(
            Json(
                {
                    "needed": 1,
                    "undecorated": "default",
                    "maybe": 7,
                    "as_sent": "unset",
                    "warmth": "20 °C",
                    "host": "h",
                }
            )
        ),
        "R3.22 R3.11 X6",
    ),
    Case(
        "options_and_a_users_own_type",
        OPTIONS,
        post_json(
            '{"needed": 1, "maybe": null, "as_sent": "raw", "warmth": 3, "undecorated": [1]}',
            Host="h",
        ),
        ok(
            Json(
                {
                    "needed": 1,
                    "undecorated": [1],
                    "maybe": None,
                    "as_sent": "raw",
                    "warmth": "3 °C",
                    "host": "h",
                }
            )
        ),
        "R3.22 X6",
    ),
    Case(
        "request_headers_is_never_an_input",
        OPTIONS,
        post_json('{"needed": 1, "request_headers": {"Host": "forged"}}', Host="h"),
        Answer(200, like(r'.*"host": "h"\}')),
        "R3.11 R3.21",
    ),
    rejects("an_optional_value_is_checked", OPTIONS, '{"needed": 1, "maybe": "x"}', "maybe"),
    # --- decorators
    Case(
        "an_output_schema_alone_is_schema_mode",
        OUTPUT_ONLY,
        post_json('{"data": [1]}'),
        ok('["list", [1]]'),
        "R3.21 R3.12",
    ),
    Case(
        "an_output_schema_alone_needs_json",
        OUTPUT_ONLY,
        post("[1]"),
        error(415, NOT_JSON),
        "R3.21 R3.17",
    ),
    Case(
        "a_decorator_for_no_parameter_fails_every_request",
        UNKNOWN_NAME,
        post_json('{"data": 1}'),
        Answer(
            500,
            like(r'\{"message": "An unexpected error occurred in scoring script\..*'),
            {"x-ms-run-function-failed": "True"},
        ),
        "R3.22 X6 0:R3.36",
        reference=observed_script_error(),
    ),
    Case(
        "keyword_arguments_take_every_key",
        ANY_KEY,
        post_json('{"a": 1, "b": [2], "c": null}'),
        ok(Json({"a": 1, "b": [2], "c": None})),
        "R3.10 0:R3.10 D27",
        reference=Exit(
            3,
            log=(r"run\(\) cannot accept positional-only arguments, \*args, or \*\*kwargs\.",),
        ),
    ),
]
