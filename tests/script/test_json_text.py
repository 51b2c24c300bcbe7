"""The text is `json.dumps`'s, whichever encoder wrote it; what has none is named and placed."""

from __future__ import annotations

import enum
import json
import math
import struct
import sys
from collections import OrderedDict, defaultdict, namedtuple
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.script import json_text


class Level(enum.IntEnum):
    LOW = 1


class Colour(str, enum.Enum):
    RED = "red"


class Text(str):
    __slots__ = ()


class Count(int):
    pass


class Ratio(float):
    pass


class Rows(list):  # type: ignore[type-arg]
    def __iter__(self) -> Any:
        return reversed(self)  # json iterates a subclass rather than reading what it stores


Point = namedtuple("Point", "x y")

# Neighbourhoods where encoders disagree on the spelling of a float.
_bits = st.integers(0, 2**64 - 1).map(lambda n: struct.unpack("<d", struct.pack("<Q", n))[0])
_scaled = st.builds(
    lambda mantissa, exponent: float(f"{mantissa}e{exponent}"),
    st.integers(-(10**17), 10**17),
    st.integers(-40, 25),
)
_floats = st.floats() | _bits | _scaled
_texts = st.text() | st.text(
    alphabet=st.sampled_from('"\\,:[]{} \n\t\x00\x1f\x7f\x80é\ud800\udc00😀0e1-NaInfityul.')
)
_scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(2**70), 2**70)
    | _floats
    | _texts
    | _texts.map(Text)
    | st.integers().map(Count)
    | _floats.map(Ratio)
    | st.sampled_from([Level.LOW, Colour.RED])
)
_keys = _texts | st.none() | st.booleans() | st.integers() | _floats | st.just(Colour.RED)
_values = st.recursive(
    _scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.lists(inner).map(Rows)
        | st.tuples(inner, inner).map(lambda pair: Point(*pair))
        | st.dictionaries(_texts, inner)
        | st.dictionaries(_keys, inner)
        | st.dictionaries(_texts, inner).map(OrderedDict)
        | st.dictionaries(_texts, inner).map(lambda items: defaultdict(list, items))
    ),
    max_leaves=20,
)
# The same, but only what orjson takes, so that the respelling is what is tried.
_quick_values = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | _scaled
    | st.text(alphabet=st.characters(max_codepoint=126))
    | st.text(alphabet=st.sampled_from('"\\,:[]{}01e-.\n')),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.text(alphabet=st.sampled_from('"\\,:e1-0.')), inner)
    ),
    max_leaves=30,
)
_many = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


@_many
@given(_values)
@example({1: "a", "1": "c", None: 1, math.nan: 2, 1.5: 3})
@example(["NaN", math.nan, '"', {"Infinity": -math.inf}])
def test_the_bytes_are_those_of_json(value: object) -> None:
    assert json_text.dumps(value) == json.dumps(value).encode()


@_many
@given(_quick_values)
@example({"a\\": 1e-6, '"': [1e16, 1e22, 0.00001, -0.000012, 10.00001, 100.000012, 1e-10]})
@example(["3e5", "0.00001", "1e-6", '"1e-6', 1e-6, "\\", 5e-324, 1.7976931348623157e308])
def test_the_quick_way_spells_as_json_does(value: object) -> None:
    assert json_text.dumps(value) == json.dumps(value).encode()


@_many
@given(st.lists(_scaled | _bits.filter(math.isfinite), min_size=1))
def test_lists_of_floats_read_as_their_repr(values: list[float]) -> None:
    assert json_text.dumps(values) == json.dumps(values).encode()


@_many
@given(_values)
def test_null_instead_of_nan_changes_nothing_else(value: object) -> None:
    def without_nan(text: str) -> object:
        return json.loads(text, parse_constant=lambda _: None)

    text = json_text.dumps(value, nan="null").decode()

    assert json.loads(text, parse_constant=lambda _: pytest.fail("a token")) == without_nan(
        json.dumps(value)
    )


def _nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [
        {"message": "Hello, World!"},
        {},
        [],
        [[], {}, ()],
        "",
        "\x7f",
        "".join(map(chr, range(0x180))),
        "\ud800",
        10**400,
        2**63,
        2**64,
        -(2**63) - 1,
        [1e15, 1e16, 1e17, 1e21, 1e22, 1e-4, 1e-5, 9.9e-5, 1e-6, 1e-10, 1e100, 1e-100, -0.0],
        _nested(253),
        _nested(254),
        _nested(255),
        _nested(400),
        [True, False, None, "null", "true"],
        Point(1, Point(2, 3)),
        {"rows": [{"a": 1.5, "b": "x, y: z"}] * 3},
    ],
    ids=lambda _: "",
)
def test_special_values_read_as_json_writes_them(value: object) -> None:
    assert json_text.dumps(value) == json.dumps(value).encode()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ([math.nan, math.inf, -math.inf], b"[null, null, null]"),
        ({"é": math.nan}, b'{"\\u00e9": null}'),
        (["NaN", '\\"Infinity', math.inf, "\\"], b'["NaN", "\\\\\\"Infinity", null, "\\\\"]'),
        ({math.nan: math.nan}, b'{"NaN": null}'),
    ],
)
def test_nan_can_become_null(value: object, text: bytes) -> None:
    assert json_text.dumps(value, nan="null") == text


@pytest.mark.parametrize(
    ("value", "calls"),
    [([math.nan], 1), (["NaN"], 0), ([None, "Infinity"], 0), ([-math.inf, "é"], 1), ([1], 0)],
)
def test_the_hook_hears_of_kept_tokens_only(value: object, calls: int) -> None:
    heard: list[None] = []

    json_text.dumps(value, on_nan=lambda: heard.append(None))

    assert len(heard) == calls


def _circular() -> object:
    value: dict[str, Any] = {"a": [1]}
    value["a"].append(value)
    return value


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"rows": [0, 1, 2, {"z": 1j}]}, 'complex at ["rows"][3]["z"]'),
        (1j, "complex"),
        (object(), "object"),
        ({"x": b"secret"}, 'bytes at ["x"]'),
        ([bytearray(b"secret")], "bytearray at [0]"),
        ({(1, 2): 3}, "a dictionary key of type tuple"),
        ({"a": {b"k": 3}}, 'a dictionary key of type bytes at ["a"]'),
        (_circular(), 'a circular reference at ["a"][1]'),
        (_nested(100_000), "a value nested too deeply"),
        ({"n": 10**5000}, 'an integer of more than 4300 digits at ["n"]'),
        ([range(3)], "range at [0]"),
        ([int], "type at [0]"),
        ({"k" * 100: [1j]}, f'complex at ["{"k" * 39}…"][0]'),
        ({"é": {3: iter([])}}, 'list_iterator at ["é"][3]'),
    ],
    ids=lambda _: "",
)
def test_what_cannot_be_written_is_named_with_its_place(value: object, what: str) -> None:
    with pytest.raises(EncodingFailed) as caught:
        json_text.dumps(value)

    start = "run() returned a value that cannot be written as JSON: "
    assert caught.value.message.startswith(f"{start}{what}. ")
    assert "secret" not in caught.value.message
    assert len(caught.value.message) < 400


def test_bytes_inside_a_structure_come_with_advice() -> None:
    with pytest.raises(EncodingFailed, match="base64"):
        json_text.dumps({"image": b"\x89PNG"})


@pytest.mark.parametrize(
    "value", [[1, {"a": math.nan}], [1, {"a": math.inf, "é": None}], [0, {"a": Ratio("nan")}]]
)
def test_nan_can_be_an_error(value: object) -> None:
    with pytest.raises(EncodingFailed, match=r'NaN or Infinity at \[1\]\["a"\]'):
        json_text.dumps(value, nan="error")


def test_a_nan_key_can_be_an_error() -> None:
    with pytest.raises(EncodingFailed, match="NaN or Infinity"):
        json_text.dumps({math.nan: 1}, nan="error")


@pytest.mark.parametrize("number", [math.nan, -math.nan, math.inf, -math.inf, 1e308, -1e300])
@pytest.mark.parametrize("wrap", [lambda x: x, Ratio, lambda x: {"a": (x,)}], ids=lambda _: "")
def test_a_number_among_nones_keeps_its_spelling(
    wrap: Callable[[float], object], number: float
) -> None:
    value = [None, wrap(number), "x"]

    assert json_text.dumps(value) == json.dumps(value).encode()


def test_none_is_no_nan() -> None:
    assert json_text.dumps([None, 1.0], nan="error") == b"[null, 1.0]"


def test_an_exception_of_the_users_own_conversion_comes_through() -> None:
    class Late(str):
        __slots__ = ()

    class Lazy(dict):  # type: ignore[type-arg]
        def items(self) -> Any:
            raise TimeoutError("the deadline")

    with pytest.raises(TimeoutError):
        json_text.dumps([Lazy(a=Late("x"))])


@pytest.mark.parametrize(
    "text",
    [
        b'{"a": [1, 2.5, "x", null, true]}',
        b'{"a": 18446744073709551616}',
        b'{"a": -9223372036854775809}',
        b'{"a": [9223372036854775807, 1700000000000000000, -9223372036854775808]}',
        b"[\n1700000000000000000000]",
        b'{"a": 0.000104900122710000001, "b": 123456789012345678901.5}',
        b'{"a": NaN, "b": [Infinity, -Infinity, 1e999, -0, -0.0]}',
        b'{"a": "\\ud800", "b": "\xed\xa0\x80"}',
        b'{"a": 1, "a": 2}',
        b"\xef\xbb\xbf{}",
        '{"é": 1}'.encode("utf-16"),
        '{"é": 1}'.encode("utf-32-le"),
        b" 5",
        b"12345678901234567890123",
    ],
    ids=lambda _: "",
)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_loads_reads_what_json_reads(kind: Callable[[bytes], Any], text: bytes) -> None:
    assert repr(json_text.loads(kind(text))) == repr(json.loads(text))


@_many
@given(_values)
def test_loads_reads_back_what_was_written(value: object) -> None:
    text = json.dumps(value).encode()

    assert repr(json_text.loads(text)) == repr(json.loads(text))


@_many
@given(st.text(alphabet=st.sampled_from('[]{}",:0123456789.-+eE\\u dNaInfty\n')))
def test_loads_refuses_what_json_refuses(text: str) -> None:
    def outcome(read: Callable[[bytes], object]) -> str:
        try:
            return repr(read(text.encode()))
        except json.JSONDecodeError as error:
            return str(error)

    assert outcome(json_text.loads) == outcome(json.loads)


@pytest.mark.parametrize("tail", [b"", b"]" * 5000, b'{"a":"' * 10])
def test_deep_json_is_refused_before_a_recursive_parser_sees_it(tail: bytes) -> None:
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(10**6)
    try:
        with pytest.raises(RecursionError):
            json_text.loads(b"[" * 5000 + tail)
    finally:
        sys.setrecursionlimit(limit)


def test_brackets_in_strings_are_not_depth() -> None:
    text = json.dumps(["[" * 3000 + '\\"' + "{" * 3000, math.nan]).encode()

    assert json_text.loads(text)[0].startswith("[[[")  # type: ignore[index]


def test_wide_json_is_not_deep() -> None:
    assert len(json_text.loads(b"[" + b"[NaN]," * 3000 + b"[]]")) == 3001  # type: ignore[arg-type]
