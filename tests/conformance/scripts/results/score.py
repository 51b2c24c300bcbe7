"""run() returns the result that the request names."""

import collections
import dataclasses
import datetime
import decimal
import enum
import uuid

import numpy as np
import pandas as pd

Point = collections.namedtuple("Point", "x y")


class Colour(enum.IntEnum):
    RED = 1


class Shape(enum.Enum):
    ROUND = "round"


class Opaque:
    """No JSON form, and nobody could guess one."""


@dataclasses.dataclass
class Pair:
    a: int
    b: str


NAN = float("nan")
INFINITY = float("inf")

RESULTS = {
    "none": lambda: None,
    "true": lambda: True,
    "integer": lambda: 5,
    "float": lambda: 1.5,
    "whole_float": lambda: 2.0,
    "small_float": lambda: 1e-07,
    "text": lambda: 'é"x\u2028/',
    "empty_text": lambda: "",
    "json_text": lambda: '{"a": 1}',
    "surrogate": lambda: "\ud800",
    "list": lambda: [1, "a", None, [True]],
    "tuple": lambda: ({"a": 1}, 201, {"X-A": "b"}),
    "namedtuple": lambda: Point(1, 2),
    "dict": lambda: {"b": 1, "a": {"c": [1.0]}},
    "odd_keys": lambda: {1: "a", None: "b", 2.5: "c"},
    "colliding_keys": lambda: {True: "a", "true": "b"},
    "nan": lambda: [NAN, INFINITY, -INFINITY],
    "int_enum": lambda: Colour.RED,
    "np_float64": lambda: np.float64(1.5),
    "big_integer": lambda: 10**399,
    "bytes": lambda: b"\x00\xffabc",
    "bytearray": lambda: bytearray(b"abc"),
    "memoryview": lambda: memoryview(b"abc"),
    "np_int64": lambda: np.int64(7),
    "np_float32": lambda: np.float32(0.5),
    "np_bool": lambda: np.bool_(True),
    "array": lambda: np.array([[1, 2], [3, 4]]),
    "array_inside": lambda: {"result": np.array([1.5, 2.5])},
    "frame": lambda: pd.DataFrame({"a": [1, 2], "b": ["x", "y"]}),
    "series": lambda: pd.Series([1.5, 2.5]),
    "timestamp": lambda: pd.Timestamp("2020-01-02T03:04:05"),
    "datetime": lambda: datetime.datetime(2020, 1, 2, 3, 4, 5),
    "date": lambda: datetime.date(2020, 1, 2),
    "decimal": lambda: decimal.Decimal("1.10"),
    "uuid": lambda: uuid.UUID("12345678-1234-5678-1234-567812345678"),
    "enum": lambda: Shape.ROUND,
    "dataclass": lambda: Pair(1, "x"),
    "set": lambda: {3},
    "opaque": lambda: Opaque(),
    "opaque_inside": lambda: {"rows": [1, {"model": Opaque()}]},
    "generator": lambda: (piece for piece in ("one\n", "two\n")),
    "deep": lambda: nested(100_000),
}


def nested(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


def init():
    pass


def run(name):
    return RESULTS[name]()
