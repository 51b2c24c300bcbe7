"""`json.loads` in a worker: the same values and errors as the real one, large or small."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azmlinfsrv.worker import quick_json

# Makes any text a large one, and stays valid JSON.
PAD = " " * quick_json.LARGE_CHARACTERS


def outcome(function: Callable[..., Any], *args: Any, **options: Any) -> object:
    """What comes out, so that it can be compared: types and signs too."""
    try:
        return repr(function(*args, **options))
    except Exception as error:
        return type(error), str(error)


real = quick_json._json_loads


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2.5, true, null, \"x\"]",
        "{\"a\": 1, \"a\": 2}",
        "[-0, -0.0, 0e0, 1e22, 1e23, 5e-324, 1.7976931348623157e308]",
        "[18446744073709551615, 18446744073709551616, -9223372036854775809]",
        "[123456789012345678901234567890]",
        "{\"n\":9999999999999999999}",
        "[0.1234567890123456789012345678901234567890]",
        "[1e400, -1e400]",
        "[NaN, Infinity, -Infinity]",
        "[\"\\ud800\"]",
        "[\"\ud800\"]",
        "[\"\x00\"]",
        "[\"\\u0000 \u2028\"]",
        "[1,]",
        "[1] x",
        "{'a': 1}",
        "[01]",
        "[.5]",
        "[+1]",
        "[1.]",
        "\ufeff[1]",
        "[" * 2000 + "]" * 2000,
        "[" * 100 + "]" * 100,
        "",
        "[",
        "[\"\\",
        "nul",
        "5",
        "\"text\"",
        "[\xa01]",
    ],
)  # fmt: skip
@pytest.mark.parametrize("encode", [str, lambda text: text.encode("utf-8", "surrogatepass")])
@pytest.mark.parametrize("where", ["before", "behind"])
def test_a_large_text_comes_out_as_from_json(
    text: str, encode: Callable[[str], Any], where: str
) -> None:
    large = encode(PAD + text if where == "before" else text + PAD)

    assert outcome(quick_json.loads, large) == outcome(real, large)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-16-le", "utf-8-sig"])
def test_other_encodings_are_left_to_json(encoding: str) -> None:
    large = ('[1, "\xe9"]' + PAD).encode(encoding)

    assert outcome(quick_json.loads, large) == outcome(real, large)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=30,
)


@given(JSON)
def test_any_value_comes_out_as_from_json(value: object) -> None:
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False)):
        assert outcome(quick_json.loads, text + PAD) == outcome(real, text + PAD)


@pytest.mark.parametrize(
    "options",
    [
        {"parse_float": str},
        {"parse_int": float},
        {"object_hook": lambda pairs: sorted(pairs)},
        {"object_pairs_hook": list},
        {"strict": False},
        {"nonsense": 1},
    ],
)
def test_options_are_left_to_json(options: dict[str, Any]) -> None:
    large = '{"a": 1.50, "b": [2]}' + PAD

    assert outcome(quick_json.loads, large, **options) == outcome(real, large, **options)


@pytest.mark.parametrize("value", [None, 5, memoryview(b"[1]"), ["[1]"]])
def test_what_is_no_text_is_left_to_json(value: object) -> None:
    assert outcome(quick_json.loads, value) == outcome(real, value)


def test_load_reads_files_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json, "loads", quick_json.loads)

    assert json.load(io.StringIO("[0.1, 1]" + PAD)) == [0.1, 1]
    assert math.isnan(json.load(io.StringIO("[NaN]" + PAD))[0])
