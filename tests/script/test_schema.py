from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema, output_schema

from azmlinfsrv.errors import BadInput, ScriptError
from azmlinfsrv.script.schema import Schema, forget_script, read_schema
from tests.script.schema_scripts import NAMES, load_script, observed

# A closure would mislead inference-schema while it decorates, so scripts find these here.
HELPERS: dict[str, Callable[..., Any]] = {}
DECORATED = [name for name in NAMES if name != "undecorated"]


def schema_of(run: Callable[..., Any]) -> Schema:
    schema = read_schema(run)
    assert schema is not None
    return schema


def call(run: Callable[..., Any], body: dict[str, Any]) -> tuple[int, Any]:
    """What a client would see: status, and the result or the message."""
    schema = schema_of(run)
    try:
        arguments = schema.arguments(body)
    except BadInput as error:
        return 400, error.message
    if schema.wants_headers:
        arguments["request_headers"] = {}
    try:
        return 200, json.loads(json.dumps(run(**arguments)))
    except Exception as error:
        rejected = schema.rejection_of(error)
        return (500, type(error).__name__) if rejected is None else (400, rejected.message)


# The reference server fails at each of these, by a mistake of its own or of the library.
BETTER = {
    "bytearray_value": (200, ["bytearray", "bytearray(b'ab')"]),
    "date_value": (200, ["date", "2020-01-02"]),
    "nested_date": (200, ["dict", "{'day': datetime.date(2020, 1, 2)}"]),
    "default_none": (200, [None, None]),
}
# There it is a script error; a value its declared type rejects is 400 here.
REJECTED = {"numpy_datetime", "range_value"}


@pytest.mark.parametrize("name", DECORATED)
def test_calls_end_as_with_the_reference_server(name: str) -> None:
    for seen in observed(name)["calls"]:
        status, answer = call(load_script(name).run, seen["body"])

        if seen["status"] == 500 and name in BETTER:
            assert (status, answer) == BETTER[name]
        elif seen["status"] == 500 and name in REJECTED:
            assert status == 400
        elif seen["status"] == 500:
            assert status == 500
        elif seen["status"] == 400:
            assert (status, answer) == (400, seen["answer"]["message"])
        else:
            assert repr((status, answer)) == repr((200, seen["answer"]))  # NaN equals nothing


def test_a_run_without_decorators_has_no_schema() -> None:
    assert read_schema(load_script("undecorated").run) is None
    assert read_schema(print) is None
    assert read_schema(functools.partial(print)) is None


def test_inference_schema_is_not_imported_for_scripts_that_do_not_use_it() -> None:
    code = (
        "import sys\n"
        "from azmlinfsrv.script.schema import read_schema, forget_script\n"
        "assert read_schema(lambda data: data) is None\n"
        "forget_script('entry_module')\n"
        "heavy = {'inference_schema', 'numpy', 'pandas', 'wrapt', 'dateutil', 'asyncio'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
    )

    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_are_those_of_the_signature_without_the_headers() -> None:
    schema = schema_of(load_script("headers_first").run)

    assert schema.names == ("a", "b")
    assert schema.wants_headers
    assert [parameter.is_required for parameter in schema.parameters] == [True, False]
    assert schema.parameters[1].default == 2


def test_what_the_decorators_were_given_is_known() -> None:
    schema = schema_of(load_script("no_conversion").run)

    assert [(one.name, one.converts, one.is_optional) for one in schema.declared] == [
        ("data", False, False)
    ]
    assert schema.output_fragment == {"type": "string", "example": "x"}


def test_keys_that_are_no_parameters_are_dropped() -> None:
    schema = schema_of(load_script("headers").run)

    assert schema.arguments({"A": 0, "a": 1, "request_headers": "forged"}) == {"a": 1}


def test_the_first_missing_parameter_is_named() -> None:
    schema = schema_of(load_script("several").run)

    with pytest.raises(BadInput) as caught:
        schema.arguments({"c": "x"})

    assert caught.value.message == "A value is not provided for the 'a' parameter."


def test_a_name_that_run_lacks_is_warned_of_and_fails_every_call() -> None:
    run = load_script("unknown_name").run

    (warning,) = schema_of(run).warnings

    assert "'other'" in warning
    assert call(run, {"data": "x"}) == (500, "Exception")


def test_an_optional_name_that_run_lacks_is_harmless() -> None:
    assert schema_of(load_script("unknown_optional_name").run).warnings == ()


def test_null_is_welcome_where_it_is_the_default() -> None:
    run = load_script("default_none").run

    assert call(run, {"a": None, "b": None}) == (200, [None, None])
    assert call(run, {"a": "x"})[0] == 400


def test_a_default_is_converted_like_a_value() -> None:
    @input_schema("data", Standard(b"ab"))
    def run(data: Any = "YWI=") -> Any:
        return data.decode()

    assert call(run, {}) == (200, "ab")


def test_keyword_arguments_get_every_key() -> None:
    @input_schema("b", Standard(b"ab"))
    @input_schema("c", Standard(1), optional=True)
    def run(a: Any, *rest: Any, **others: Any) -> Any:
        return [a, len(rest), {name: str(value) for name, value in others.items()}]

    assert call(run, {"a": 1, "b": "YWI=", "x": 2, "request_headers": 3}) == (
        200,
        [1, 0, {"b": "b'ab'", "x": "2"}],
    )
    assert call(run, {"a": 1}) == (400, "A value is not provided for the 'b' parameter.")
    assert call(run, {"b": "YWI="}) == (400, "A value is not provided for the 'a' parameter.")


def unmarked(function: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator as many write it: without functools.wraps."""
    times = 1  # a second cell in the closure, which hides the first from inference-schema

    def inner(*args: Any, **kwargs: Any) -> Any:
        return [function(*args, **kwargs)] * times

    return inner


def test_a_decorator_that_hides_the_signature_is_seen_through() -> None:
    @input_schema("a", Standard(1))
    def run(a: Any, b: Any = 2) -> Any:
        return [a, b]

    assert call(unmarked(run), {"a": 1, "x": 0}) == (200, [[1, 2]])
    assert call(unmarked(run), {"a": "x"})[0] == 400
    assert call(unmarked(unmarked(run)), {"a": 1}) == (200, [[[1, 2]]])
    assert call(functools.partial(run, b=3), {"a": 1}) == (200, [1, 3])


def test_a_method_and_an_instance_can_be_run() -> None:
    class Model:
        @input_schema("a", Standard(1))
        def score(self, a: Any) -> Any:
            return a

    class Timed:
        def __init__(self, function: Callable[..., Any]) -> None:
            functools.update_wrapper(self, function)

        def __call__(self, *args: Any, **kwargs: Any) -> Any:
            return [self.__wrapped__(*args, **kwargs)]  # type: ignore[attr-defined]  # set above

    assert call(Model().score, {"a": 1}) == (200, 1)
    assert call(Model().score, {"a": "x"})[0] == 400
    assert call(Timed(load_script("int_value").run), {"data": 1}) == (200, [["int", "1"]])


def test_a_helper_in_a_closure_does_not_make_a_schema() -> None:
    model = load_script("int_value").run
    note = "z"

    def run(data: Any) -> Any:
        return model(data=data), note

    assert read_schema(run) is None


def test_a_closure_over_itself_is_read() -> None:
    def make() -> Callable[..., Any]:
        def run(data: Any, again: bool = False) -> Any:
            return run(data, True) if not again else data

        return run

    assert read_schema(make()) is None


def test_an_error_in_the_body_is_not_a_rejection() -> None:
    @input_schema("a", Standard(1))
    def run(a: Any) -> Any:
        raise ValueError("Invalid input data type to parse. Expected: int but got str")

    assert call(run, {"a": 1}) == (500, "ValueError")


def test_a_rejection_for_another_function_is_the_scripts_own_error() -> None:
    HELPERS["other"] = load_script("str_value").run

    @input_schema("data", Standard(1))
    def run(data: Any) -> Any:
        return HELPERS["other"](data=data)

    assert call(run, {"data": 1}) == (500, "ValueError")


def test_a_rejection_of_a_call_to_itself_is_the_scripts_own_error() -> None:
    @input_schema("data", Standard(1))
    def run(data: Any) -> Any:
        return HELPERS["itself"](data="x")

    HELPERS["itself"] = run

    assert call(run, {"data": 1}) == (500, "ValueError")


def test_the_scripts_decorators_see_the_error_as_it_was() -> None:
    def lenient(function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def inner(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except ValueError as error:
                if kwargs["a"] == "raise":
                    raise
                if kwargs["a"] == "change":
                    raise RuntimeError("mine") from error
                return "caught"

        return inner

    @lenient
    @input_schema("a", Standard(1))
    def run(a: Any) -> Any:
        return a

    assert call(run, {"a": "x"}) == (200, "caught")
    assert call(run, {"a": "raise"})[0] == 400
    assert call(run, {"a": "change"}) == (500, "RuntimeError")


def test_a_coroutine_is_made_once_the_arguments_fit() -> None:
    @input_schema("a", Standard(1))
    async def run(a: Any) -> Any:
        return a

    coroutine = run(**schema_of(run).arguments({"a": 1}))
    with pytest.raises(StopIteration) as ended:
        coroutine.send(None)

    assert ended.value.value == 1
    assert call(run, {"a": "x"})[0] == 400


def test_a_module_can_be_loaded_again() -> None:
    def load() -> Callable[..., Any]:
        @output_schema(Standard(1))
        def run(data: Any) -> Any:
            return data

        run.__module__ = "entry_again"
        return run

    forget_script(__name__)
    load()
    with pytest.raises(Exception, match="already defined"):
        load()
    forget_script(__name__)

    assert call(load(), {"data": 1}) == (200, 1)


def test_a_type_that_cannot_describe_itself_stops_the_start() -> None:
    class Odd(AbstractParameterType):  # type: ignore[misc]  # the library has no types
        def deserialize_input(self, input_data: Any) -> Any:
            return input_data

        def input_to_swagger(self) -> dict[str, Any]:
            if len(calls) > 2:
                raise KeyError("late")
            calls.append(1)
            return {"example": 1}

    calls: list[int] = []

    @input_schema("a", Odd(None))
    def run(a: Any) -> Any:
        return a

    calls.extend([1, 1, 1])
    with pytest.raises(
        ScriptError, match=r"@input_schema for 'a': Odd.input_to_swagger\(\) raised"
    ):
        read_schema(run)
