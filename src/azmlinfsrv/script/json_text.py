"""Values to JSON text and back: the bytes of `json`, at the speed of orjson where it can be.

Clients have seen the text of `json.dumps(value)` for years (R3.26), so that text is the
contract: blanks after commas and colons, only ASCII, NaN tokens, odd keys, big integers.
orjson writes most values twenty times faster but spells a few things differently. So:

1. orjson encodes. What it refuses (odd keys, integers over 64 bits, lone surrogates, 254
   levels) goes to `json`.
2. Text with non-ASCII characters or DEL, which `json` escapes, is left to `json`.
3. ``null`` is None, or a NaN that orjson has hidden: if it may be a NaN, `json` again.
4. Exponents and small numbers are respelt (``1e-6`` to ``1e-06``, ``0.00001`` to ``1e-05``).
5. msgspec puts in the blanks.

The one value known to come out differently is a member of an Enum that mixes in int, float
or str *and* sets a ``_value_`` other than that data: orjson writes the value.

Only after a failure is the value walked in Python, to convert keys that JSON does not know
(NumPy integers, dates) and otherwise to name the type and the place that cannot be written.
Which types have a JSON form at all is decided in `azmlinfsrv.script.conversion`.
"""

from __future__ import annotations

import json
import math
import re
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Final, Literal, NoReturn, TypeAlias

import msgspec
import orjson

from azmlinfsrv.errors import EncodingFailed
from azmlinfsrv.messages import Buffer
from azmlinfsrv.script.conversion import Unsupported, convert, is_json_type

NaN: TypeAlias = Literal["keep", "null", "error"]

# Nesting that is read (orjson's own limit; the reference server stops near 1000).
MAX_DEPTH = 1024

_OPTIONS = (
    orjson.OPT_PASSTHROUGH_SUBCLASS
    | orjson.OPT_PASSTHROUGH_DATACLASS
    | orjson.OPT_PASSTHROUGH_DATETIME
)
_ENCODER = json.JSONEncoder(default=convert)
_DECODER = json.JSONDecoder()
_STRICT_ENCODER = json.JSONEncoder(default=convert, allow_nan=False)

# What encoders and conversions raise about a value; anything else is not about JSON.
_ABOUT_JSON = (TypeError, ValueError, OverflowError, RecursionError)

_add_blanks = msgspec.json.format
# On large texts a compiled search for a literal costs half of `bytes.find`.
_find_null = re.compile(rb"null").search
_find_small = re.compile(rb"0\.0000").search
_DIGITS_TO_0 = bytes(48 if 48 <= byte <= 57 else byte for byte in range(256))
_find_exponent = re.compile(rb"0e0").search  # once digits are 0 and signs gone
_SHORT_EXPONENT = re.compile(rb"e-(?=[0-9](?![0-9]))")
_BARE_EXPONENT = re.compile(rb"e(?=[0-9])")
_OLD_ORJSON = orjson.dumps(1e16) == b"1e16"  # newer ones write 1e+16, as json does
_leading_digits = re.compile(rb"[0-9]+").match
_NOT_FINITE = re.compile(rb"NaN|-?Infinity")


def dumps(value: object, nan: NaN = "keep", on_nan: Callable[[], None] | None = None) -> bytes:
    """The text of `json.dumps(value)`, byte for byte, with the types of `conversion` added.

    Args:
        nan: What NaN and the infinities become: ``keep`` the tokens ``NaN``, ``Infinity``
            and ``-Infinity`` of `json` (not valid JSON), ``null``, or an ``error``.
        on_nan: Called when such a token was kept.
    Raises:
        EncodingFailed: names the type that has no JSON form, and its place.
        Exception: whatever the user's own code raises when it is converted.
    """
    try:
        text = orjson.dumps(value, convert, _OPTIONS)
    except orjson.JSONEncodeError as error:
        cause = error.__cause__
        if cause is not None and not isinstance(cause, _ABOUT_JSON):
            raise cause  # noqa: B904  # a deadline, or the user's own
        return _json_dumps(value, nan, on_nan)
    if 0x7F in text or not text.isascii():  # escaping it ourselves gains nothing
        return _json_dumps(value, nan, on_nan)
    if nan != "null" and _find_null(text) and _may_hold_nan(value):
        return _json_dumps(value, nan, on_nan)
    if 0x22 not in text:
        text = _respell_numbers(text)
    elif _find_small(text) or _find_exponent(text.translate(_DIGITS_TO_0, b"+-")):
        text = _respell(text)
    return _add_blanks(text, indent=0)


def loads(text: Buffer) -> object:
    """What `json.loads` makes of the bytes of a JSON text, in UTF-8, -16 or -32.

    Raises:
        json.JSONDecodeError: not JSON; the message says where.
        UnicodeDecodeError: not text.
        RecursionError: nested deeper than `MAX_DEPTH` levels, or Python's own limit.
        ValueError: otherwise, an integer of more digits than Python reads (4300).
    """
    whole = text if isinstance(text, (bytes, bytearray)) else bytes(text)
    value = quick_loads(whole)
    return _json_loads(bytes(whole)) if value is NOT_QUICK else value


def quick_loads(text: bytes | bytearray) -> object:
    """What `json.loads` makes of an object or an array in UTF-8, or `NOT_QUICK`.

    An eighth of the time of json's. `NOT_QUICK` is what has to be left to json: it would
    come out otherwise (integers over 64 bits are floats to orjson; digits in a string may
    look like one), or not at all (NaN, a surrogate, another encoding, an error).
    """
    if text[:1] in (b"{", b"[") and _LONG_INTEGER not in text.translate(_NUMBER_STARTS):
        try:
            return orjson.loads(text)
        except orjson.JSONDecodeError:
            pass
    return NOT_QUICK


NOT_QUICK: Final = object()


_NUMBER_STARTS = bytes(
    48 if 48 <= byte <= 57 else 44 if byte in b",:[- \t\r\n" else byte for byte in range(256)
)
_LONG_INTEGER = b"," + b"0" * 19
# Depth is counted in pieces of this many characters: a list of all strings would be large.
_CHUNK = 256 * 1024
_backslashes = re.compile(r"\\*").match
_STEPS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")  # 1 and, signed, -1
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[{]}")


def _json_loads(text: bytes) -> object:
    decoded = text.decode(json.detect_encoding(text), "surrogatepass")
    check_depth(decoded)
    return _DECODER.decode(decoded)


def _end_of_backslashes(text: str, start: int) -> int:
    found = _backslashes(text, start)
    return found.end() if found else start


def check_depth(text: str) -> None:
    """Refuse JSON nested deeper than `MAX_DEPTH` before a recursive parser sees it.

    Before Python 3.12 a script that raised the recursion limit would let a body of
    brackets overflow the C stack, and end the process.

    Raises:
        RecursionError: it is.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = start = 0
    is_in_string = False
    while start < len(text):
        end = start + _CHUNK
        if text[end - 1 : end] == "\\":  # what it escapes belongs to it
            end = _end_of_backslashes(text, end) + 1
        pieces = text[start:end].replace("\\\\", "").replace('\\"', "").split('"')
        outside = "".join(pieces[is_in_string::2]).encode("utf-8", "surrogatepass")
        is_in_string ^= len(pieces) % 2 == 0
        steps = array("b", outside.translate(_STEPS, _NO_BRACKETS))
        if max(accumulate(steps, initial=depth)) > MAX_DEPTH:
            raise RecursionError(f"JSON nested deeper than {MAX_DEPTH} levels")
        depth += sum(steps)
        start = end


def _may_hold_nan(value: object) -> bool:
    """Is there a NaN, an infinity, or a float above 1e303 in it? Asked of what orjson took."""
    try:
        packed = msgspec.msgpack.encode(value, enc_hook=convert)
    except _ABOUT_JSON:
        return True  # not a question msgspec can answer
    # A float is CB and its eight bytes, these exponents first; no UTF-8 text holds the pairs.
    return b"\xcb\x7f" in packed or b"\xcb\xff" in packed


def _json_dumps(value: object, nan: NaN, on_nan: Callable[[], None] | None) -> bytes:
    encoder = _STRICT_ENCODER if nan == "error" else _ENCODER
    try:
        text = encoder.encode(value).encode("ascii")
    except _ABOUT_JSON as error:
        try:
            plain = _Plainer(nan).plain(value)
            text = encoder.encode(plain).encode("ascii")
        except EncodingFailed as failure:
            # That a type is not in our table is told by the message; what the value itself
            # raised is worth its traceback.
            raise failure from failure.__cause__
        except RecursionError:
            raise _failure("a value nested too deeply", []) from error
        except _ABOUT_JSON:
            raise _failure(type_name(value), []) from error
    if nan != "error" and (b"NaN" in text or b"Infinity" in text):
        return _settle_nan(text, nan, on_nan)
    return text


def _settle_nan(text: bytes, nan: NaN, on_nan: Callable[[], None] | None) -> bytes:
    pieces = _split_at_quotes(text)
    if not any(_NOT_FINITE.search(piece) for piece in pieces[::2]):
        return text  # only words inside strings
    if nan == "keep":
        if on_nan is not None:
            on_nan()
        return text
    pieces[::2] = [_NOT_FINITE.sub(b"null", piece) for piece in pieces[::2]]
    return _join_at_quotes(pieces)


def _respell(text: bytes) -> bytes:
    """Write numbers outside strings as `float.__repr__` does."""
    pieces = _split_at_quotes(text)
    pieces[::2] = _respell_numbers(b'"'.join(pieces[::2])).split(b'"')
    return _join_at_quotes(pieces)


def _respell_numbers(text: bytes) -> bytes:
    """As `_respell`, for text without strings."""
    text = _SHORT_EXPONENT.sub(b"e-0", text)
    if _OLD_ORJSON:
        text = _BARE_EXPONENT.sub(b"e+", text)
    # Python writes an exponent below 0.0001, orjson below 0.00001.
    pieces = text.split(b"0.0000")
    for index in range(1, len(pieces)):
        digits = _leading_digits(pieces[index])
        if digits is None or pieces[index - 1][-1:].isdigit():  # 10.00001
            pieces[index] = b"0.0000" + pieces[index]
        else:
            number = float(b"0.0000" + digits[0])
            pieces[index] = repr(number).encode() + pieces[index][digits.end() :]
    return b"".join(pieces)


def _split_at_quotes(text: bytes) -> list[bytes]:
    """Pieces of ASCII JSON text; those at even places lie outside strings.

    Escaped quotes are hidden behind control characters, which JSON text never holds.
    """
    if b"\\" in text:
        text = text.replace(b"\\\\", b"\x01").replace(b'\\"', b"\x02")
    return text.split(b'"')


def _join_at_quotes(pieces: list[bytes]) -> bytes:
    text = b'"'.join(pieces)
    if 1 in text or 2 in text:
        text = text.replace(b"\x02", b'\\"').replace(b"\x01", b"\\\\")
    return text


class _Plainer:
    """Rebuilds a value out of JSON's own types, and remembers where it is meanwhile."""

    def __init__(self, nan: NaN) -> None:
        self._nan = nan
        self._path: list[object] = []
        self._open: set[int] = set()  # ids of the containers we are inside of

    def plain(self, value: object) -> object:
        if isinstance(value, str) or value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return self._integer(value)
        if isinstance(value, float):
            if self._nan == "error" and not math.isfinite(value):
                self._fail("NaN or Infinity", hint="AZMLINFSRV_NAN=null writes null instead.")
            return value
        if id(value) in self._open:
            self._fail("a circular reference")
        self._open.add(id(value))
        try:
            return self._container(value)
        finally:
            self._open.discard(id(value))

    def _container(self, value: object) -> object:
        if not is_json_type(type(value)):
            return self.plain(self._convert(value))
        bare = value if type(value) in (dict, list, tuple) else convert(value)
        if isinstance(bare, dict):
            return {self._key(key): self._item(key, item) for key, item in bare.items()}
        assert isinstance(bare, (list, tuple))
        return [self._item(index, item) for index, item in enumerate(bare)]

    def _item(self, place: object, item: object) -> object:
        self._path.append(place)
        plain = self.plain(item)
        self._path.pop()
        return plain

    def _key(self, key: object) -> object:
        """A key JSON knows: itself, or the text or number its type stands for."""
        known = key
        for _ in range(4):  # an Enum of NumPy integers takes two
            if isinstance(known, (str, int, float)) or known is None:
                return self.plain(known)
            try:
                known = convert(known)
            except Unsupported:
                break
        return self._fail(f"a dictionary key of type {type_name(key)}")

    def _integer(self, value: int) -> int:
        try:
            int.__repr__(value)
        except ValueError:  # sys.set_int_max_str_digits
            self._fail("an integer of more than 4300 digits")
        return value

    def _convert(self, value: object) -> object:
        try:
            return convert(value)
        except (TypeError, ValueError) as error:
            if isinstance(value, (bytes, bytearray, memoryview)):
                self._fail(type_name(value), "Turn bytes into text, for example with base64.")
            self._fail(type_name(value), cause=None if type(error) is Unsupported else error)

    def _fail(self, what: str, hint: str = "", cause: Exception | None = None) -> NoReturn:
        raise _failure(what, self._path, hint) from cause


NOT_JSON = "run() returned a value that cannot be written as JSON"
_HINT = (
    "Return numbers, strings, lists, dicts, NumPy or pandas objects, dates, dataclasses or models."
)


def _failure(what: str, path: list[object], hint: str = "") -> EncodingFailed:
    place = f" at {_place(path)}" if path else ""
    return EncodingFailed(f"{NOT_JSON}: {what}{place}. {hint or _HINT}")


def _place(path: list[object]) -> str:
    """``["rows"][3]["z"]``; the middle of a long path is left out."""
    steps = [f"[{_step(step)}]" for step in path]
    if len(steps) > 12:
        steps[6:-6] = ["…"]
    return "".join(steps)


def _step(step: object) -> str:
    if isinstance(step, int) and not isinstance(step, bool):
        return str(int(step)) if step.bit_length() <= 64 else "…"
    if isinstance(step, str):
        return json.dumps(step if len(step) <= 40 else f"{step[:39]}…", ensure_ascii=False)
    return type_name(step)


def type_name(value: object) -> str:
    kind = type(value)
    if kind.__module__ in ("builtins", "__main__", "entry_module"):
        return kind.__qualname__
    return f"{kind.__module__}.{kind.__qualname__}"
