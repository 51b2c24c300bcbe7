from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import pytest
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema

from azmlinfsrv.errors import ServerError
from azmlinfsrv.script.schema import read_schema
from tests.script.schema_scripts import load_script

SECRET = "patient 4711"


def message(run: Callable[..., Any], body: dict[str, Any]) -> str | None:
    """The 400 message of a call; None if its error is the script's own."""
    schema = read_schema(run)
    assert schema is not None
    with pytest.raises(Exception) as caught:  # noqa: PT011  # any: it is classified below
        run(**schema.arguments(body))
    rejected = schema.rejection_of(caught.value)
    return None if rejected is None else rejected.message


# (script, value of its parameter "data", the message after the parameter's name)
REJECTED = [
    ("int_value", "x", ": expected an integer, got a string"),
    ("int_value", 5.0, ": expected an integer, got a number"),
    ("int_value", None, ": expected an integer, got null"),
    ("float_value", True, ": expected a number, got a boolean"),
    ("bool_value", 1, ": expected a boolean, got an integer"),
    ("str_value", ["x"], ": expected a string, got a list"),
    ("str_value", {"x": 1}, ": expected a string, got an object"),
    ("bytes_value", 1, ": expected a string of base64, got an integer"),
    ("bytes_value", "a", ": expected a string of base64, got a string that is not one"),
    ("bytearray_value", "a", ": expected a string of base64, got a string that is not one"),
    ("bytearray_value", 1, ": expected a string of base64, got an integer"),
    (
        "date_value",
        SECRET,
        ": expected a date such as 2020-12-31, got a string that is not one",
    ),
    ("date_value", 20200102, ": expected a date such as 2020-12-31, got an integer"),
    (
        "datetime_value",
        SECRET,
        ": expected a date and time such as 2020-12-31 23:59:59, got a string that is not one",
    ),
    ("time_value", [], ": expected a time such as 23:59:59, got a list"),
    ("list_of_int", {"a": 1}, ": expected a list, got an object"),
    ("nested_dict", [1], ": expected an object, got a list"),
    ("nested_date", {"day": 1}, " at data.day: expected a date such as 2020-12-31, got an integer"),
    (
        "wrapped_in_list",
        [{"n": 1}, {"n": 2}, {"n": SECRET}],
        " at data[2].n: expected an integer, got a string",
    ),
    ("wrapped_in_list", [{"n": 1}, SECRET], " at data[1]: expected an object, got a string"),
    ("range_value", [0, 1], ": expected a value of type range, got a list"),
    (
        "numpy_int64",
        [[1, 2, 3]],
        ": expected an array of int64 of shape (n,), got one of shape (1, 3)",
    ),
    (
        "numpy_float32_2d",
        [[1, 2], [3, 4]],
        ": expected an array of float32 of shape (n, 3), got one of shape (2, 2)",
    ),
    (
        "numpy_float32_2d",
        [SECRET],
        ": expected an array of float32 of shape (n, 3), got a list that cannot be converted to it",
    ),
    (
        "numpy_float32_2d",
        [[1, 2, 3], [4]],
        ": expected an array of float32 of shape (n, 3), got a list that cannot be converted to it",
    ),
    ("numpy_free_shape", SECRET, ": expected an array of float64, got a string"),
    (
        "pandas_records",
        [{"b": 1}],
        ": expected a table in the form 'records' with 3 columns, got 1 column",
    ),
    (
        "pandas_records",
        [{"b": SECRET, "a": "x", "c": 1}],
        ": expected a table in the form 'records' with 3 columns, "
        "got a list that cannot be converted to it",
    ),
    (
        "pandas_split",
        [1],
        ": expected a table in the form 'split' with 3 columns, "
        "got a list that cannot be converted to it",
    ),
    (
        "pandas_free_shape",
        SECRET,
        ": expected a table in the form 'records', got a string",
    ),
    (
        "custom_type",
        SECRET,
        ": expected a value that Temperature accepts, got a string that is not one",
    ),
]


@pytest.mark.parametrize(("script", "value", "reason"), REJECTED)
def test_a_rejection_names_parameter_place_and_reason_and_nothing_of_the_value(
    script: str, value: Any, reason: str
) -> None:
    found = message(load_script(script).run, {"data": value})

    assert found == f"The value for the 'data' parameter is not accepted{reason}."
    assert SECRET not in found


def test_the_place_of_nested_inputs_is_named() -> None:
    run = load_script("wrapped_nested").run
    wrong_rows = {"Inputs": {"rows": [[1.0]], "names": ["x"]}}
    wrong_name = {"Inputs": {"names": ["x", "y", 3]}}

    assert message(run, wrong_rows) == (
        "The value for the 'Inputs' parameter is not accepted at Inputs.rows: "
        "expected an array of float64 of shape (n, 2), got one of shape (1, 1)."
    )
    assert message(run, wrong_name) == (
        "The value for the 'Inputs' parameter is not accepted at Inputs.names[2]: "
        "expected a string, got an integer."
    )


@pytest.mark.parametrize("text", ["2020-01-02", "1999-12-31"])
def test_a_date_sample_takes_dates(text: str) -> None:
    @input_schema("data", Standard(datetime.date(2020, 1, 2)))
    def run(data: Any) -> Any:
        return data

    schema = read_schema(run)
    assert schema is not None
    assert run(**schema.arguments({"data": text})) == datetime.date.fromisoformat(text)


class Broken(AbstractParameterType):  # type: ignore[misc]  # the library has no types
    """A declared type with a mistake of its own."""

    def __init__(self, error: BaseException) -> None:
        super().__init__(None)
        self.error = error

    def deserialize_input(self, input_data: Any) -> Any:
        raise self.error

    def input_to_swagger(self) -> dict[str, Any]:
        return {"type": "string", "example": "x"}


class Forgetful(Broken):
    """Does not call the initialiser of the library."""

    def __init__(self) -> None:
        self.error = KeyError()


@pytest.mark.parametrize(
    "declared",
    [
        Broken(NameError("typo")),
        Broken(ImportError("missing")),
        Broken(FileNotFoundError("vocabulary.txt")),
        Broken(MemoryError()),
        Broken(ServerError()),
        Forgetful(),
    ],
)
def test_a_mistake_of_the_declared_type_is_a_script_error(declared: Any) -> None:
    @input_schema("data", declared)
    def run(data: Any) -> Any:
        return data

    assert message(run, {"data": "x"}) is None


@pytest.mark.parametrize(
    "error", [ValueError(), TypeError(), KeyError(), AssertionError(), Exception()]
)
def test_whatever_else_the_declared_type_raises_is_a_rejection(error: Exception) -> None:
    @input_schema("data", Broken(error))
    def run(data: Any) -> Any:
        return data

    assert message(run, {"data": "x"}) is not None


def test_a_subclass_without_the_attributes_of_its_base_still_gets_a_reason() -> None:
    class Bare(NumpyParameterType):  # type: ignore[misc]  # the library has no types
        def __init__(self) -> None:
            self.sample_data_type = type(None)

        def input_to_swagger(self) -> dict[str, Any]:
            return {"type": "array", "items": {}, "example": []}

    @input_schema("data", Bare())
    def run(data: Any) -> Any:
        return data

    assert message(run, {"data": SECRET}) == (
        "The value for the 'data' parameter is not accepted: expected a value that Bare accepts."
    )


def test_an_error_raised_again_and_again_speaks_of_the_last_call() -> None:
    @input_schema("data", Broken(ValueError()))
    def run(data: Any) -> Any:
        return data

    first = message(run, {"data": "x"})

    assert message(run, {"data": "x"}) == first
