"""Every row of the table of types with a JSON form, through the encoder that uses it."""

from __future__ import annotations

import dataclasses
import datetime as dt
import enum
import json
import subprocess
import sys
import uuid
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any, ClassVar

import msgspec
import numpy as np
import pandas as pd
import pytest

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.script import json_text


@dataclasses.dataclass
class Box:
    label: str
    score: Any
    shared: ClassVar[int] = 1


class Answer(msgspec.Struct, rename="camel", omit_defaults=True):
    top_label: str
    when: Any = None


class Kind(enum.Enum):
    CAT = "cat"
    PAIR = (1, 2)


class NumpyKind(enum.Enum):
    ONE = np.int64(1)


UTC = dt.timezone.utc
STRUCTURED = np.array([(1, 0.5, b"")], dtype=[("id", "i4"), ("score", "f4"), ("none", "V0")])

CASES: list[tuple[object, object]] = [
    # NumPy
    (np.float64(1.5), 1.5),
    (np.float32(0.1), 0.10000000149011612),
    (np.float16(0.5), 0.5),
    (np.longdouble(2.5), 2.5),
    (np.int8(-3), -3),
    (np.uint64(2**64 - 1), 2**64 - 1),
    (np.bool_(True), True),
    (np.str_("é"), "é"),
    (np.array([[1.5, 1e-7], [1e16, -0.0]]), [[1.5, 1e-7], [1e16, -0.0]]),
    (np.array([0.1, 1e-5], dtype=np.float32), [0.10000000149011612, 9.999999747378752e-06]),
    (np.array([1, 2], dtype=np.uint8), [1, 2]),
    (np.array([True, False]), [True, False]),
    (np.array(["a", "é"]), ["a", "é"]),
    (np.array([1, "a", None, np.float32(0.5)], dtype=object), [1, "a", None, 0.5]),
    (np.array(5), 5),
    (np.array([], dtype=float), []),
    (np.zeros((2, 0)), [[], []]),
    (np.asfortranarray([[1, 2], [3, 4]]).T, [[1, 3], [2, 4]]),
    (np.ma.masked_array([1, 2], mask=[False, True]), [1, None]),
    (np.longdouble([1.5]), [1.5]),
    (np.datetime64("2024-02-03"), "2024-02-03"),
    (np.datetime64("2024-02-03T04:05:06.000000000"), "2024-02-03T04:05:06"),
    (np.datetime64("2024-02-03T04:05:06.120000000"), "2024-02-03T04:05:06.120000"),
    (np.datetime64("2024-02-03T04:05:06.000000001"), "2024-02-03T04:05:06.000000001"),
    (np.datetime64("NaT", "s"), None),
    (np.array(["2024-02-03", "NaT"], dtype="M8[D]"), ["2024-02-03", None]),
    (np.array([["2024-02-03T01"]], dtype="M8[s]"), [["2024-02-03T01:00:00"]]),
    (np.array("2024-02-03", dtype="M8[D]"), "2024-02-03"),
    (np.timedelta64(1500, "ms"), 1.5),
    (np.array([1, "NaT"], dtype="m8[h]"), [3600.0, None]),
    (STRUCTURED[["id", "score"]], [{"id": 1, "score": 0.5}]),
    (STRUCTURED[["id"]][0], {"id": 1}),
    (STRUCTURED[["id"]].reshape(1, 1), [[{"id": 1}]]),
    (STRUCTURED[["id"]].reshape(()), {"id": 1}),
    # pandas
    (
        pd.DataFrame({"a": [1, 2], "b": [0.5, 1.5], "c": ["x", None]}, dtype=object),
        [{"a": 1, "b": 0.5, "c": "x"}, {"a": 2, "b": 1.5, "c": None}],
    ),
    (pd.DataFrame({0: [1]}), [{"0": 1}]),
    (pd.DataFrame(), []),
    (
        pd.DataFrame({"t": pd.to_datetime(["2024-01-02", None])}),
        [{"t": "2024-01-02T00:00:00"}, {"t": None}],
    ),
    (pd.Series([1, 2]), [1, 2]),
    (pd.Series(["a", "b"], dtype="category"), ["a", "b"]),
    (pd.Index([1.5]), [1.5]),
    (pd.MultiIndex.from_tuples([(1, "a")]), [[1, "a"]]),
    (pd.Categorical(["a"]), ["a"]),
    (pd.array([1, None], dtype="Int64"), [1, None]),
    (pd.Timestamp("2024-01-02 03:04:05", tz="UTC"), "2024-01-02T03:04:05+00:00"),
    (pd.Timedelta("1min"), 60.0),
    (pd.Period("2024-01"), "2024-01"),
    (pd.NaT, None),
    (pd.NA, None),
    # The standard library
    (dt.datetime(2024, 1, 2, 3, 4, 5, tzinfo=UTC), "2024-01-02T03:04:05+00:00"),
    (dt.date(2024, 1, 2), "2024-01-02"),
    (dt.time(3, 4), "03:04:00"),
    (dt.timedelta(minutes=1, milliseconds=5), 60.005),
    (Decimal("1.10"), "1.10"),
    (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
    (Kind.CAT, "cat"),
    (Kind.PAIR, [1, 2]),
    (NumpyKind.ONE, 1),
    (Box("a", np.float32(0.5)), {"label": "a", "score": 0.5}),
    (Box("a", [Box("b", {3})]), {"label": "a", "score": [{"label": "b", "score": [3]}]}),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset("ba"), ["a", "b"]),
    ({1j}.difference({1j}), []),
    (PurePosixPath("a/b"), "a/b"),
    (Answer("x"), {"topLabel": "x"}),
    (Answer("x", np.int64(1)), {"topLabel": "x", "when": 1}),
    (Answer("x", [dt.timedelta(1), Decimal(1)]), {"topLabel": "x", "when": [86400.0, "1"]}),
    # Keys
    ({np.int64(1): 2, np.bool_(True): 3, np.str_("s"): 4}, {"1": 3, "s": 4}),
    ({dt.date(2024, 1, 2): 1}, {"2024-01-02": 1}),
    ({Kind.CAT: {NumpyKind.ONE: np.array([1])}}, {"cat": {"1": [1]}}),
]


@pytest.mark.parametrize("beside", [[], ["é"], [None, 2**70]], ids=["quick", "text", "slow"])
@pytest.mark.parametrize(("value", "expected"), CASES, ids=lambda _: "")
def test_a_type_of_the_table_has_one_text_on_either_way(
    value: object, expected: object, beside: list[object]
) -> None:
    text = json_text.dumps([value, *beside])

    assert text == json.dumps([expected, *beside]).encode()


def test_a_set_that_cannot_be_sorted_is_still_an_array() -> None:
    assert sorted(json.loads(json_text.dumps({1, "a"})), key=str) == [1, "a"]


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (np.array([1 + 2j]), "complex at ["),
        (np.complex64(1), "numpy.complex64"),
        (np.array([b"x"]), "bytes at [0]. Turn bytes into text"),
        (np.void(b"x"), "numpy.void"),
        (Box, "type"),
        ({"b": Box("a", 1j)}, 'complex at ["b"]["score"]'),
        ({"b": Answer("a", 1j)}, 'test_conversion.Answer at ["b"]'),
        (pd.DataFrame({"a": [1j]}), 'complex at [0]["a"]'),
        (pd.Interval(0, 1), "pandas"),
    ],
    ids=lambda _: "",
)
def test_a_type_without_a_form_is_named(value: object, what: str) -> None:
    with pytest.raises(EncodingFailed) as caught:
        json_text.dumps(value)

    assert what in caught.value.message


def test_a_circle_through_dataclasses_is_named() -> None:
    box = Box("a", None)
    box.score = [box]

    with pytest.raises(EncodingFailed, match=r'a circular reference at \["score"\]\[0\]'):
        json_text.dumps(box)


def test_a_pydantic_model_is_the_object_of_its_fields() -> None:
    import pydantic

    model = pydantic.create_model("Model", label=(str, ...), when=(dt.date, ...))

    text = json_text.dumps([model(label="é", when=dt.date(2024, 1, 2))])

    assert text == b'[{"label": "\\u00e9", "when": "2024-01-02"}]'


def test_a_model_of_the_first_pydantic_is_too() -> None:
    class BaseModel:  # as pydantic 1: dict() and no model_dump()
        def dict(self) -> dict[str, int]:
            return {"a": 1}

    BaseModel.__module__ = "pydantic.main"

    assert json_text.dumps(BaseModel()) == b'{"a": 1}'


def test_nothing_heavy_is_imported_to_encode() -> None:
    code = (
        "import sys\nfrom azmlinfsrv.script import result, arguments\n"
        "result.encode({'a': [1, {2}]})\n"
        "heavy = {'numpy', 'pandas', 'pydantic', 'flask', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(repr(heavy) if heavy else 0)"
    )

    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
