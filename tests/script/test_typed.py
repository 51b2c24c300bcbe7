"""``@typed``: what annotations make of a request, what they refuse, and how they are described."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.testing import ScoringClient, ScriptError

HEAD = """
import dataclasses, datetime, decimal, enum, typing, uuid
from typing import Annotated, Any, Literal, NamedTuple, Optional, TypedDict, Union
import msgspec, numpy as np, numpy.typing as npt, pandas as pd, pydantic
from azmlinfsrv import batch, typed

class Colour(enum.Enum):
    RED = "red"

class Point(NamedTuple):
    x: float
    y: float

class Options(TypedDict, total=False):
    top: int

@dataclasses.dataclass
class Flower:
    petal: float
    colour: Colour = Colour.RED

    def __post_init__(self):
        if self.petal < 0:
            raise ValueError("SECRET must not be negative")
        if self.petal > 1000:
            raise RuntimeError("a mistake of the script's")

class Row(msgspec.Struct):
    a: int
    b: str = "b"

class Model(pydantic.BaseModel):
    rate: float = pydantic.Field(ge=0)
    name: str = "none"

    @pydantic.field_validator("name")
    @classmethod
    def known(cls, name):
        if name == "nobody":
            raise ValueError("SECRET is nobody")
        return name

class Nested(pydantic.BaseModel):
    models: list[Model]

def init():
    pass
"""

ONE = """
@typed
def run(x: {kind}):
    return repr(x)
"""


def script(folder: Path, source: str) -> Path:
    path = folder / "score.py"
    path.write_text(HEAD + source, encoding="utf-8")
    return path


def ask(folder: Path, kind: str, value: object) -> tuple[int, Any]:
    with ScoringClient(script(folder, ONE.format(kind=kind))) as client:
        answer = client.score({"x": value})
    return answer.status, answer.json()


ACCEPTED: dict[str, tuple[str, object, str]] = {
    "a number": ("float", 1.5, "1.5"),
    "an integer as a number": ("float", 1, "1.0"),
    "a large integer": ("int", 2**70, str(2**70)),
    "text": ("str", "ä", "'ä'"),
    "a truth value": ("bool", True, "True"),
    "nothing": ("Optional[int]", None, "None"),
    "one of two": ("Union[int, str]", "a", "'a'"),
    "one of some": ("Literal['a', 'b']", "b", "'b'"),
    "anything": ("Any", {"a": [1]}, "{'a': [1]}"),
    "a list": ("list[float]", [1, 2.5], "[1.0, 2.5]"),
    "a tuple": ("tuple[int, str]", [1, "a"], "(1, 'a')"),
    "a set": ("set[int]", [1, 1], "{1}"),
    "a dict": ("dict[str, list[int]]", {"a": [1]}, "{'a': [1]}"),
    "a moment": (
        "datetime.datetime",
        "2026-01-02T03:04:05",
        "datetime.datetime(2026, 1, 2, 3, 4, 5)",
    ),
    "a day": ("datetime.date", "2026-01-02", "datetime.date(2026, 1, 2)"),
    "a decimal": ("decimal.Decimal", "1.10", "Decimal('1.10')"),
    "bytes": ("bytes", "YQ==", "b'a'"),
    "an enumeration": ("Colour", "red", "<Colour.RED: 'red'>"),
    "a named tuple": ("Point", [1, 2], "Point(x=1.0, y=2.0)"),
    "a typed dict": ("Options", {"top": 3, "other": 1}, "{'top': 3}"),
    "a dataclass": ("Flower", {"petal": 1}, "Flower(petal=1.0, colour=<Colour.RED: 'red'>)"),
    "a struct": ("list[Row]", [{"a": 1}], "[Row(a=1, b='b')]"),
    "a limit kept": ("Annotated[float, msgspec.Meta(ge=0)]", 0, "0.0"),
    "a model": ("Model", {"rate": 1}, "Model(rate=1.0, name='none')"),
    "models in models": (
        "dict[str, Nested]",
        {"a": {"models": [{"rate": 1}]}},
        "{'a': Nested(models=[Model(rate=1.0, name='none')])}",
    ),
    "an array": ("np.ndarray", [[1, 2], [3, 4]], "array([[1, 2],\n       [3, 4]])"),
    "an array of floats": ("npt.NDArray[np.float64]", [1, 2], "array([1., 2.])"),
    "an array of small floats": (
        "npt.NDArray[np.float32]",
        [1.5],
        "array([1.5], dtype=float32)",
    ),
    "an array with a hole": ("npt.NDArray[np.float64]", [1, None], "array([ 1., nan])"),
    "an array of integers": ("npt.NDArray[np.int8]", [1, 2], "array([1, 2], dtype=int8)"),
    "large integers": (
        "npt.NDArray[np.int64]",
        [2**62 + 1],
        "array([4611686018427387905])",
    ),
    "an array of truth": ("npt.NDArray[np.bool_]", [True, False], "array([ True, False])"),
    "an array of text": ("npt.NDArray[np.str_]", ["a", "bc"], "array(['a', 'bc'], dtype='<U2')"),
    "an array of a family": ("npt.NDArray[np.floating]", [1.5], "array([1.5])"),
    "an empty array": ("npt.NDArray[np.float64]", [], "array([], dtype=float64)"),
    "an array or nothing": ("Optional[npt.NDArray[np.float64]]", None, "None"),
    "arrays in a list": ("list[npt.NDArray[np.float64]]", [[1]], "[array([1.])]"),
    "a frame of rows": ("pd.DataFrame", [{"a": 1, "b": 2}], "   a  b\n0  1  2"),
    "a frame of columns and data": (
        "pd.DataFrame",
        {"columns": ["a"], "data": [[1]], "index": ["r"]},
        "   a\nr  1",
    ),
    "an empty frame": (
        "pd.DataFrame",
        [],
        "Empty DataFrame\nColumns: []\nIndex: []",
    ),
}


@pytest.mark.parametrize(("kind", "value", "seen"), ACCEPTED.values(), ids=list(ACCEPTED))
def test_run_gets_what_its_parameter_is_annotated_with(
    tmp_path: Path, kind: str, value: object, seen: str
) -> None:
    assert ask(tmp_path, kind, value) == (200, seen)


LONG = "x" * 1_000_000
NUMBERS = "Expected an array of float64"
TABLE = "Expected a table: a list of objects, or an object of `columns` and `data`"
REFUSED: dict[str, tuple[str, object, str]] = {
    "text for a number": ("float", "1", ": Expected `float`, got `str`."),
    "a fraction for an integer": ("int", 1.5, ": Expected `int`, got `float`."),
    "truth for an integer": ("int", True, ": Expected `int`, got `bool`."),
    "nothing": ("int", None, ": Expected `int`, got `null`."),
    "a number out of range": ("float", 10**400, ": Number out of range."),
    "none of some": ("Literal['a']", "SECRET", ": Expected one of the values that are declared."),
    "no colour": ("Colour", "SECRET", ": Expected one of the values that are declared."),
    "in a list": ("list[int]", [1, "a"], " at x[1]: Expected `int`, got `str`."),
    "in a dict": ("dict[str, int]", {"k": "a"}, " at x[...]: Expected `int`, got `str`."),
    "in a dataclass": (
        "list[Flower]",
        [{"petal": 1}, {"petal": "SECRET"}],
        " at x[1].petal: Expected `float`, got `str`.",
    ),
    "a field missing": ("Flower", {}, ": Object missing required field `petal`."),
    "refused by the class": ("Flower", {"petal": -1}, ": Its class does not accept it."),
    "refused by a class in a list": (
        "list[Flower]",
        [{"petal": -1}],
        " at x[0]: Its class does not accept it.",
    ),
    "refused by a validator": (
        "Model",
        {"rate": 1, "name": "nobody"},
        ": Model does not accept it (name).",
    ),
    "no day": ("datetime.date", "SECRET", ": Invalid RFC3339 encoded date."),
    "no base64": ("bytes", "SECRET!", ": Invalid base64 encoded string."),
    "under the limit": (
        "Annotated[float, msgspec.Meta(ge=0)]",
        -1,
        ": Expected `float` >= 0.0.",
    ),
    "not in the model": (
        "Model",
        {"rate": -1},
        ": Input should be greater than or equal to 0 (rate).",
    ),
    "deep in models": (
        "list[Nested]",
        [{"models": [{"rate": 1}, {}]}],
        " at x[0]: Field required (models.1.rate).",
    ),
    "no list for an array": (
        "npt.NDArray[np.float64]",
        1,
        f": {NUMBERS} (lists in lists), got `int`.",
    ),
    "nothing for an array": (
        "np.ndarray",
        None,
        ": Expected an array (lists in lists), got `null`.",
    ),
    "text in an array": (
        "npt.NDArray[np.float64]",
        ["SECRET"],
        f": {NUMBERS} (lists in lists, as long as each other).",
    ),
    "objects in an array": (
        "npt.NDArray[np.float64]",
        [{}],
        f": {NUMBERS} (lists in lists, as long as each other).",
    ),
    "lists of unequal length": (
        "np.ndarray",
        [[1], [1, 2]],
        ": Expected an array (lists in lists, as long as each other).",
    ),
    "fractions in integers": (
        "npt.NDArray[np.int64]",
        [1, 1.5],
        ": Expected an array of int64, got numbers that are none.",
    ),
    "an integer too large": (
        "npt.NDArray[np.int64]",
        [2**70],
        ": Expected an array of int64 (lists in lists, as long as each other).",
    ),
    "a number for truth": (
        "npt.NDArray[np.bool_]",
        [5],
        ": Expected an array of bool, got numbers that are none.",
    ),
    "too costly text": (
        "np.ndarray",
        [LONG, *["y"] * 1000],
        ": Expected an array, got one with text too long for its number of cells.",
    ),
    "no table": ("pd.DataFrame", "SECRET", f": {TABLE}."),
    "rows that are none": ("pd.DataFrame", [1], f": {TABLE}."),
    "no columns": ("pd.DataFrame", {"data": [[1]]}, f": {TABLE}."),
    "columns that do not fit": (
        "pd.DataFrame",
        {"columns": ["a", "b"], "data": [[1]]},
        f": {TABLE}.",
    ),
    "a costly table": (
        "pd.DataFrame",
        [{f"k{number}": 1} for number in range(20_000)],
        f": {TABLE}; got one in which most cells are missing.",
    ),
}


@pytest.mark.parametrize(("kind", "value", "why"), REFUSED.values(), ids=list(REFUSED))
def test_what_does_not_fit_is_the_clients_error(
    tmp_path: Path, kind: str, value: object, why: str
) -> None:
    status, content = ask(tmp_path, kind, value)

    assert status == 400
    assert content == {"message": f"The value for the 'x' parameter is not accepted{why}"}


@pytest.mark.parametrize(
    ("kind", "value"), [("Flower", {"petal": -1}), ("Model", {"rate": 1, "name": "nobody"})]
)
def test_the_words_of_an_exception_are_for_the_log(
    tmp_path: Path, kind: str, value: object, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "azmlinfsrv"):
        ask(tmp_path, kind, value)

    assert "A value was refused: " in caplog.text
    assert "SECRET" in caplog.text


BAD_BODIES: dict[str, tuple[bytes, dict[str, str], int, str]] = {
    "no JSON": (b"{", {}, 400, "POST body could not be decoded as JSON"),
    "a list": (b"[1]", {}, 400, "POST body should be a JSON dictionary."),
    "empty": (b"", {}, 400, "POST body is empty."),
    "missing": (b"{}", {}, 400, "A value is not provided for the 'x' parameter."),
    "another type": (b"{}", {"Content-Type": "text/plain"}, 415, "Expects Content-Type"),
}


@pytest.mark.parametrize(
    ("body", "headers", "status", "why"), BAD_BODIES.values(), ids=list(BAD_BODIES)
)
def test_a_body_that_is_no_object_of_arguments_is_refused(
    tmp_path: Path, body: bytes, headers: dict[str, str], status: int, why: str
) -> None:
    with ScoringClient(script(tmp_path, ONE.format(kind="int"))) as client:
        answer = client.score(body, headers={"Content-Type": "application/json", **headers})

    assert answer.status == status
    assert answer.json()["message"].startswith(why)


def test_defaults_headers_and_other_keys(tmp_path: Path) -> None:
    source = """
@typed
def run(x: float, request_headers, *rest, scale: float = 2, note: Optional[str] = None, **more):
    return [x * scale, request_headers["X-A"], note, rest, more]
"""
    with ScoringClient(script(tmp_path, source)) as client:
        assert client.score({"x": 1, "other": 3}, headers={"X-A": "b"}).json() == [
            *(2.0, "b", None, [], {})
        ]
        assert client.score({"x": 1, "scale": 3, "note": "n"}, headers={"X-A": "b"}).json() == [
            *(3.0, "b", "n", [], {})
        ]
        assert client.score({"x": 1, "scale": "3"}, headers={"X-A": "b"}).status == 400


def test_a_query_is_read_as_in_schema_mode(tmp_path: Path) -> None:
    source = "@typed\ndef run(x: list[int], name: str = 'n'):\n    return [x, name]\n"
    with ScoringClient(script(tmp_path, source)) as client:
        assert client.score(method="GET", query="x=1&x=2&name=b").json() == [[1, 2], "b"]
        assert client.score(method="GET", query="x=a").status == 400


def test_an_error_in_a_class_of_the_scripts_is_the_scripts(tmp_path: Path) -> None:
    status, content = ask(tmp_path, "Flower", {"petal": 2000})

    assert status == 500
    assert "unexpected error" in content["message"]


UNUSABLE: dict[str, tuple[str, str]] = {
    "a type of no JSON": ("def run(x: complex): ...", "'x' of run() is annotated with complex"),
    "no type": ("def run(x: init): ...", "is annotated with <function init"),
    "an array among others": (
        "def run(x: Union[int, np.ndarray]): ...",
        "'x' of run() is annotated with",
    ),
    "a name that is not there": ("def run(x: 'Missing'): ...", "NameError: name 'Missing'"),
    "a limit of another package": (
        "def run(x: Annotated[int, pydantic.Field(ge=0)]): ...",
        "counts in a pydantic model only; use msgspec.Meta",
    ),
    "nothing to give": ("def run(): ...", "run() needs to accept an argument for input data."),
}


@pytest.mark.parametrize(("source", "why"), UNUSABLE.values(), ids=list(UNUSABLE))
def test_annotations_that_cannot_be_kept_are_reported_at_the_start(
    tmp_path: Path, source: str, why: str
) -> None:
    with pytest.raises(ScriptError) as caught, ScoringClient(script(tmp_path, f"@typed\n{source}")):
        pass

    assert why in str(caught.value)


@pytest.mark.parametrize(
    ("decorators", "why"),
    [
        ("@typed\n@rawhttp", "both @rawhttp and @typed"),
        ("@typed\n@input_schema('x', StandardPythonParameterType(1))", "both @input_schema and"),
    ],
)
def test_it_cannot_be_combined_with_another_way_to_read_the_input(
    tmp_path: Path, decorators: str, why: str
) -> None:
    source = f"""
from azureml_inference_server_http.api.aml_request import rawhttp
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema

{decorators}
def run(x: int): ...
"""
    with pytest.raises(ScriptError) as caught, ScoringClient(script(tmp_path, source)):
        pass

    assert why in str(caught.value)


def test_the_document_says_what_the_annotations_say(tmp_path: Path) -> None:
    source = """
@typed
def run(
    rows: npt.NDArray[np.float64],
    flower: Flower,
    model: Nested,
    frame: Optional[pd.DataFrame] = None,
) -> dict[str, Flower]: ...
"""
    with ScoringClient(script(tmp_path, source)) as client:
        document = client.request("GET", "/swagger.json").json()
        assert client.request("GET", "/swagger.json?version=3").status == 404

    schemas = document["components"]["schemas"]
    assert document["openapi"] == "3.1.0"
    assert schemas["ServiceInput"] == {
        "type": "object",
        "properties": {
            "rows": {"type": "array"},
            "flower": {"$ref": "#/components/schemas/Flower"},
            "model": {
                "title": "Nested",
                "type": "object",
                "properties": {
                    "models": {
                        "title": "Models",
                        "type": "array",
                        "items": {"$ref": "#/components/schemas/Model"},
                    }
                },
                "required": ["models"],
            },
            "frame": {"anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "null"}]},
        },
        "required": ["rows", "flower", "model"],
    }
    assert schemas["ServiceOutput"] == {
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/Flower"},
    }
    assert {"Flower", "Colour", "Model"} <= set(schemas)


@pytest.mark.parametrize(
    ("annotation", "fragment"),
    [
        ("", {}),
        (" -> typing.Iterator[str]", {}),
        (" -> complex", {}),
        (" -> None", {"type": "null"}),
        (" -> npt.NDArray[np.float64]", {"type": "array"}),
        (" -> list[int]", {"type": "array", "items": {"type": "integer"}}),
    ],
)
def test_what_is_returned_is_described_if_it_can_be(
    tmp_path: Path, annotation: str, fragment: object
) -> None:
    source = f"@typed\ndef run(x: int){annotation}: ...\n"
    with ScoringClient(script(tmp_path, source)) as client:
        document = client.request("GET", "/swagger.json").json()

    assert document["components"]["schemas"]["ServiceOutput"] == fragment


# --- batches ----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", ["@typed\n@batch", "@batch\n@typed"])
def test_one_call_of_a_batch(tmp_path: Path, order: str) -> None:
    source = f"""
{order}
def run(rows: npt.NDArray[np.float64], names: list[str]) -> npt.NDArray[np.float64]:
    assert isinstance(names, list), names
    return rows * 2
"""
    with ScoringClient(script(tmp_path, source)) as client:
        assert client.score({"rows": [[1, 2], [3, 4]], "names": "a"}).json() == [[2, 4], [6, 8]]
        refused = client.score({"rows": [[1, 2]], "names": 5})
        schemas = client.request("GET", "/swagger.json").json()["components"]["schemas"]

    assert refused.status == 400
    assert "Expected `str`, got `int`" in refused.json()["message"]
    assert schemas["ServiceInput"]["properties"]["names"] == {"type": "string"}
    assert schemas["ServiceOutput"] == {"type": "array"}


BAD_BATCHES = {
    "not a list": ("x: float", "annotate its parameter 'x' with list[...]"),
    "not annotated": ("x", "annotate its parameter 'x' with list[...]"),
    "a default": ("x: list[float] = [1]", "its parameter 'x' cannot have a default"),
    "one result": ("x: list[float]) -> (float", "annotate what it returns with list[...]"),
}


@pytest.mark.parametrize(("signature", "why"), BAD_BATCHES.values(), ids=list(BAD_BATCHES))
def test_annotations_of_a_batch_are_lists(tmp_path: Path, signature: str, why: str) -> None:
    source = f"@typed\n@batch\ndef run({signature}): ...\n"
    with pytest.raises(ScriptError) as caught, ScoringClient(script(tmp_path, source)):
        pass

    assert why in str(caught.value)


def test_it_is_batched_only_by_its_decorator(tmp_path: Path) -> None:
    source = ONE.format(kind="list[int]")
    with (
        pytest.raises(ScriptError) as caught,
        ScoringClient(script(tmp_path, source), batch_max_size=4),
    ):
        pass

    assert "decorated with @typed: to batch it, put @batch" in str(caught.value)


def test_called_by_yourself_it_is_as_it_was_written() -> None:
    from azmlinfsrv import typed

    @typed
    def run(x: int) -> object:
        return x

    assert run("not an integer") == "not an integer"  # type: ignore[arg-type]  # nothing is converted
    assert json.dumps(run(1)) == "1"
