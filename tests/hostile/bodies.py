"""Bad JSON, bad bodies and bad queries as data, for a script of every input mode.

What is expected is one of three outcomes. `REFUSED`: the input is at fault and the server
says so, 4xx. `SCRIPT_ERROR`: the script itself parses (`json.loads`, ``request.json``,
``request.form``) and what it raises is its own, 500 with the place (contract R3.23, R3.36).
`SERVED`: odd, but the contract lets it through to run().
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum

Content = bytes | Callable[[], bytes]  # a function where the bytes are many


class Outcome(Enum):
    """What the caller is to see."""

    SERVED = "200"
    REFUSED = "4xx"
    SCRIPT_ERROR = "500, the script's own"


SERVED, REFUSED, SCRIPT_ERROR = Outcome

JSON = b"application/json"
FORM = b"application/x-www-form-urlencoded"
MULTIPART = b"multipart/form-data; boundary=x"


@dataclass(frozen=True)
class Case:
    """One request and what becomes of it.

    Attributes:
        script: A key of `SCRIPTS`.
        content_type: None: no such header.
        says: Part of the message, where it is worth pinning.
    """

    name: str
    script: str
    outcome: Outcome
    body: Content = b""
    content_type: bytes | None = JSON
    query: bytes = b""
    method: str = "POST"
    says: str = ""

    @property
    def id(self) -> str:
        """For pytest."""
        return f"{self.script}/{self.name}"

    def request(self) -> bytes:
        """The bytes of the request; the server is to close the connection behind it."""
        body = self.body if isinstance(self.body, bytes) else self.body()
        target = b"/score" + (b"?" + self.query if self.query else b"")
        lines = [b"%b %b HTTP/1.1" % (self.method.encode(), target), b"Host: x"]
        lines.append(b"Connection: close")
        if self.content_type is not None:
            lines.append(b"Content-Type: " + self.content_type)
        if body or self.method == "POST":
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join([*lines, b"", body])


# --- the scripts ------------------------------------------------------------------------

# Each answers with its process, so that a test can tell whether it is still the same.
TEXT = """
import os

def init():
    pass

def run(data):
    return {"pid": os.getpid(), "length": len(data)}
"""

LOADS = """
import json
import os

def init():
    pass

def run(data):
    value = json.loads(data)
    return {"pid": os.getpid(), "kind": type(value).__name__}
"""

SCHEMA = """
import datetime
import os

import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType as Array
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType as Table
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema

FRAME = pd.DataFrame({"n": [1, 2], "x": [1.5, 2.5], "name": ["a", "b"]})
NESTED = Standard({"data": Array(np.array([[1, 2]])), "n": Standard(1)})
LISTED = Standard([Array(np.array([1.5])), Standard({"k": Standard(1)})])
RECORD = np.array([(1, 2.5)], dtype=[("a", "int64"), ("b", "float64")])

def init():
    pass

@input_schema("i", Standard(1), optional=True)
@input_schema("f", Standard(1.5), optional=True)
@input_schema("s", Standard("text"), optional=True)
@input_schema("b", Standard(True), optional=True)
@input_schema("items", Standard([1, 2]), optional=True)
@input_schema("table", Standard({"a": 1}), optional=True)
@input_schema("octets", Standard(b"ab"), optional=True)
@input_schema("array", Standard(bytearray(b"ab")), optional=True)
@input_schema("moment", Standard(datetime.datetime(2020, 1, 2, 3, 4)), optional=True)
@input_schema("clock", Standard(datetime.time(3, 4)), optional=True)
@input_schema("day", Standard(datetime.date(2020, 1, 2)), optional=True)
@input_schema("whole", Array(np.array([[1, 2, 3]], dtype="int64")), optional=True)
@input_schema("small", Array(np.array([1], dtype="uint8")), optional=True)
@input_schema("real", Array(np.array([[1.5, 2.5]])), optional=True)
@input_schema("word", Array(np.array(["abc"])), optional=True)
@input_schema("loose", Array(np.array([1.5]), enforce_column_type=False), optional=True)
@input_schema("shapeless", Array(np.array([1.5]), enforce_shape=False), optional=True)
@input_schema("free", Array(np.array([1]), False, False), optional=True)
@input_schema("when", Array(np.array(["2020-01-02"], dtype="datetime64[s]")), optional=True)
@input_schema("span", Array(np.array([1], dtype="timedelta64[s]")), optional=True)
@input_schema("record", Array(RECORD), optional=True)
@input_schema("rows", Table(FRAME), optional=True)
@input_schema("any_rows", Table(FRAME, enforce_shape=False), optional=True)
@input_schema("untyped", Table(FRAME, False, False), optional=True)
@input_schema("split", Table(FRAME, orient="split"), optional=True)
@input_schema("columns", Table(FRAME, orient="columns"), optional=True)
@input_schema("by_index", Table(FRAME, orient="index"), optional=True)
@input_schema("values", Table(FRAME, orient="values"), optional=True)
@input_schema("typed", Table(FRAME, orient="table"), optional=True)
@input_schema("nested", NESTED, optional=True)
@input_schema("listed", LISTED, optional=True)
def run(
    i=None, f=None, s=None, b=None, items=None, table=None, octets=None, array=None,
    moment=None, clock=None, day=None, whole=None, small=None, real=None, word=None,
    loose=None, shapeless=None, free=None, when=None, span=None, record=None, rows=None,
    any_rows=None, untyped=None, split=None, columns=None, by_index=None, values=None,
    typed=None, nested=None, listed=None, anything=None,
):
    given = [name for name, value in locals().items() if value is not None]
    return {"pid": os.getpid(), "given": given}
"""

REQUIRED = """
import os

from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema

def init():
    pass

@input_schema("n", Standard(1))
@input_schema("s", Standard("text"))
def run(n, s, **others):
    print(s)
    return {"pid": os.getpid(), "keys": len(others)}
"""

RAW = """
import os

from azureml_inference_server_http.api.aml_request import rawhttp

def init():
    pass

READ = {
    "json": lambda request: request.json,
    "silent": lambda request: request.get_json(force=True, silent=True),
    "data": lambda request: request.get_data(),
    "text": lambda request: request.get_data(as_text=True),
    "form": lambda request: request.form,
    "files": lambda request: request.files,
    "values": lambda request: request.values,
    "args": lambda request: request.args,
    "everything": lambda request: (
        request.mimetype, request.mimetype_params, request.accept_mimetypes, request.cookies,
        request.url, request.full_path, str(request.headers), repr(request), request.data,
    ),
}

@rawhttp
def run(request):
    found = READ[request.query_string.decode("latin-1").partition("&")[0]](request)
    names = [part.filename for part in request.files.values()] if READ else []
    return {"pid": os.getpid(), "kind": type(found).__name__, "names": names}
"""

SCRIPTS = {"text": TEXT, "loads": LOADS, "schema": SCHEMA, "required": REQUIRED, "raw": RAW}

# A good request for each, which is tried after every bad one.
GOOD = {
    "text": Case("good", "text", SERVED, b"abc"),
    "loads": Case("good", "loads", SERVED, b"[1]"),
    "schema": Case("good", "schema", SERVED, b'{"i": 1, "whole": [[1, 2, 3]]}'),
    "required": Case("good", "required", SERVED, b'{"n": 1, "s": "text"}'),
    "raw": Case("good", "raw", SERVED, b"[1]", query=b"json"),
}


# --- texts that every mode is given -----------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """What becomes of a text, by the way it is read."""

    text: Outcome
    loads: Outcome
    schema: Outcome
    raw: Outcome


BROKEN = Kind(SERVED, SCRIPT_ERROR, REFUSED, SCRIPT_ERROR)
NOT_UTF8 = Kind(REFUSED, REFUSED, REFUSED, SCRIPT_ERROR)
NOT_AN_OBJECT = Kind(SERVED, SERVED, REFUSED, SERVED)
ODD = Kind(SERVED, SERVED, SERVED, SERVED)  # JSON as Python's json reads it (R3.15, R3.18)
BOM = Kind(SERVED, SCRIPT_ERROR, SERVED, SERVED)  # json.loads takes it in bytes, not in text
WIDE = Kind(REFUSED, REFUSED, SERVED, SERVED)  # UTF-16 and -32 are JSON encodings (RFC 4627, 3)
WIDE_BROKEN = Kind(REFUSED, REFUSED, REFUSED, SCRIPT_ERROR)


def value(text: bytes) -> bytes:
    """*text* as a value in an object."""
    return b'{"anything": ' + text + b"}"


def nest(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> Callable[[], bytes]:
    """Brackets as deep as that, in an object."""
    return lambda: value(opening * levels + b"1" + closing * levels)


TEXTS: dict[str, tuple[Content, Kind]] = {
    # depth
    "100 levels": (nest(100), ODD),
    "900 levels": (nest(900), ODD),
    "10,000 lists": (nest(10_000), BROKEN),
    "10,000 objects": (nest(10_000, b'{"a":', b"}"), BROKEN),
    "10,000 lists and objects": (nest(10_000, b'[{"a":', b"}]"), BROKEN),
    "10,000 lists without end": (b'{"anything": ' + b"[" * 10_000, BROKEN),
    "10 million brackets": (lambda: b"[" * 10_000_000, BROKEN),
    "10 million braces": (lambda: b'{"a":' * 10_000_000, BROKEN),
    "10 million closing brackets": (lambda: b"]" * 10_000_000, BROKEN),
    "depth behind a string of brackets": (
        lambda: value(b'["' + b"[" * 5000 + b'",' + b"[" * 5000 + b"]" * 5001),
        BROKEN,
    ),
    "a string of a million brackets": (lambda: value(b'"' + b"[" * 1_000_000 + b'"'), ODD),
    "a string of a million brackets, then NaN": (
        lambda: value(b'["' + b"[" * 1_000_000 + b'", NaN]'),
        ODD,
    ),
    "two million flat brackets": (lambda: value(b"[" + b"[]," * 999_999 + b"[]]"), ODD),
    "two million flat brackets, then an error": (
        lambda: value(b"[" + b"[]," * 999_999 + b"?]"),
        BROKEN,
    ),
    "a million escapes, then an error": (lambda: value(b'"' + b'\\"' * 1_000_000), BROKEN),
    # numbers
    "4300 digits": (value(b"9" * 4300), ODD),
    "4301 digits": (value(b"9" * 4301), BROKEN),
    "100,000 digits": (value(b"9" * 100_000), BROKEN),
    "5 million digits": (lambda: value(b"9" * 5_000_000), BROKEN),
    "minus and 100,000 digits": (value(b"-" + b"9" * 100_000), BROKEN),
    "100,000 digits in a list": (value(b"[1, " + b"9" * 100_000 + b"]"), BROKEN),
    "a thousand numbers of 4301 digits": (
        lambda: value(b"[" + (b"9" * 4301 + b",") * 1000 + b"1]"),
        BROKEN,
    ),
    "100,000 digits and a point": (value(b"9" * 100_000 + b".5"), ODD),
    "5 million decimals": (lambda: value(b"0." + b"3" * 5_000_000), ODD),
    "1e999": (value(b"1e999"), ODD),
    "an exponent of 100,000 digits": (value(b"1e" + b"9" * 100_000), ODD),
    "a negative exponent of 100,000 digits": (value(b"1e-" + b"9" * 100_000), ODD),
    "minus zero": (value(b"-0"), ODD),
    "hexadecimal": (value(b"0x10"), BROKEN),
    "a leading zero": (value(b"010"), BROKEN),
    "two zeros": (value(b"00"), BROKEN),
    "a leading plus": (value(b"+1"), BROKEN),
    "a leading point": (value(b".5"), BROKEN),
    "a trailing point": (value(b"1."), BROKEN),
    "an exponent without digits": (value(b"1e"), BROKEN),
    "a lone minus": (value(b"-"), BROKEN),
    "two minus signs": (value(b"--1"), BROKEN),
    "an underscore in a number": (value(b"1_000"), BROKEN),
    "a comma in a number": (value(b"1,5"), BROKEN),
    "Arabic digits": (value("\u0661\u0662".encode()), BROKEN),
    "lower-case nan": (value(b"nan"), BROKEN),
    "lower-case inf": (value(b"inf"), BROKEN),
    "NaN": (value(b"NaN"), ODD),
    "Infinity": (value(b"Infinity"), ODD),
    "minus Infinity": (value(b"-Infinity"), ODD),
    "minus NaN": (value(b"-NaN"), BROKEN),
    # names and words
    "a name twice": (b'{"anything": 1, "anything": 2}', ODD),
    "a name 10,000 times": (b"{" + b'"anything": 1,' * 10_000 + b'"anything": 2}', ODD),
    "100,000 names": (lambda: b"{" + b",".join(b'"%d": 0' % n for n in range(100_000)) + b"}", ODD),
    "an empty name": (b'{"": 1}', ODD),
    "__class__": (b'{"__class__": 1, "__init__": 2, "__proto__": {"a": 1}}', ODD),
    "self": (b'{"self": 1, "args": 2, "kwargs": 3, "cls": 4}', ODD),
    "a name of a megabyte": (lambda: b'{"' + b"a" * 1_000_000 + b'": 1}', ODD),
    "a name with odd characters": ('{"\\u0000": 1, "é\u2028😀": 2, "a b": 3}'.encode(), ODD),
    "a name without quotes": (b"{anything: 1}", BROKEN),
    "a number as a name": (b"{1: 1}", BROKEN),
    "null as a name": (b"{null: 1}", BROKEN),
    "Python's words": (value(b"None"), BROKEN),
    "Python's True": (value(b"True"), BROKEN),
    "undefined": (value(b"undefined"), BROKEN),
    "a function": (value(b"Date()"), BROKEN),
    "single quotes": (b"{'anything': 1}", BROKEN),
    "backquotes": (value(b"`a`"), BROKEN),
    # strings
    "a lone high surrogate escape": (value(b'"\\ud800"'), ODD),
    "a lone low surrogate escape": (value(b'"\\udfff x"'), ODD),
    "surrogate escapes the wrong way round": (value(b'"\\udc00\\ud800"'), ODD),
    "a cut surrogate escape": (value(b'"\\ud8'), BROKEN),
    "a surrogate escape as a name": (b'{"\\ud800": 1}', ODD),
    "a zero escape": (value(b'"\\u0000"'), ODD),
    "a bad escape": (value(b'"\\x41"'), BROKEN),
    "a bad unicode escape": (value(b'"\\u00zz"'), BROKEN),
    "a signed unicode escape": (value(b'"\\u+123"'), BROKEN),
    "a line end in a string": (value(b'"a\nb"'), BROKEN),
    "a tab in a string": (value(b'"a\tb"'), BROKEN),
    "a zero byte in a string": (value(b'"a\0b"'), BROKEN),
    "an escape character in a string": (value(b'"\x1b[2J"'), BROKEN),
    "DEL in a string": (value(b'"\x7f"'), ODD),
    "a noncharacter": (value('"\ufffe\uffff"'.encode()), ODD),
    "a string of 5 MB": (lambda: value(b'"' + b"a" * 5_000_000 + b'"'), ODD),
    "a string without end": (value(b'"abc'), BROKEN),
    "a string without end of 5 MB": (lambda: value(b'"' + b"a" * 5_000_000), BROKEN),
    # structure
    "empty": (b"", BROKEN),
    "one blank": (b" ", BROKEN),
    "only blanks": (b" \t\r\n" * 100, BROKEN),
    "10 MB of blanks": (lambda: b" " * 10_000_000, BROKEN),
    "a form feed": (b"\x0c{}", BROKEN),
    "a no-break space": ("\u00a0{}".encode(), BROKEN),
    "one zero byte": (b"\0", BROKEN),
    "an object without end": (b"{", BROKEN),
    "a name and no more": (b'{"anything"', BROKEN),
    "a colon and no more": (b'{"anything":', BROKEN),
    "a comma and no more": (b'{"anything": 1,', BROKEN),
    "a list without end": (value(b"[1, 2")[:-1], BROKEN),
    "the wrong bracket": (value(b"[1, 2}"), BROKEN),
    "a comma behind the last": (value(b"[1,]"), BROKEN),
    "a comma behind the last name": (b'{"anything": 1,}', BROKEN),
    "two commas": (value(b"[1,,2]"), BROKEN),
    "no comma": (value(b"[1 2]"), BROKEN),
    "no colon": (b'{"anything" 1}', BROKEN),
    "two colons": (b'{"anything":: 1}', BROKEN),
    "no value": (b'{"anything": }', BROKEN),
    "text behind": (b"{} x", BROKEN),
    "a second object behind": (b"{}{}", BROKEN),
    "JSON lines": (b'{"anything": 1}\n{"anything": 2}\n', BROKEN),
    "a zero byte behind": (b"{}\0", BROKEN),
    "a bracket behind": (b"{}]", BROKEN),
    "a line comment": (b'{"anything": 1} // x', BROKEN),
    "a block comment": (b'/* x */ {"anything": 1}', BROKEN),
    "a hash comment": (b'{"anything": 1 # x\n}', BROKEN),
    "a prefix against hijacking": (b")]}',\n{}", BROKEN),
    "XML": (b"<?xml version='1.0'?><!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>", BROKEN),
    "YAML": (b"anything: !!python/object/apply:os.system ['true']", BROKEN),
    "a form": (b"anything=1&b=2", BROKEN),
    # not an object
    "null": (b"null", NOT_AN_OBJECT),
    "true": (b"true", NOT_AN_OBJECT),
    "a number": (b"1.5", NOT_AN_OBJECT),
    "a string": (b'"abc"', NOT_AN_OBJECT),
    "JSON inside JSON": (b'"{\\"anything\\": 1}"', NOT_AN_OBJECT),
    "a list": (b"[1, 2]", NOT_AN_OBJECT),
    "an empty list": (b"[]", NOT_AN_OBJECT),
    "a list of an object": (b'[{"anything": 1}]', NOT_AN_OBJECT),
    "NaN alone": (b"NaN", NOT_AN_OBJECT),
    # encodings
    "a byte order mark": (b"\xef\xbb\xbf" + value(b"1"), BOM),
    "two byte order marks": (b"\xef\xbb\xbf" * 2 + value(b"1"), BROKEN),
    "a byte order mark alone": (b"\xef\xbb\xbf", BROKEN),
    "UTF-16 with a mark": ('{"anything": "é"}'.encode("utf-16"), WIDE),
    "UTF-32 with a mark": ('{"anything": "é"}'.encode("utf-32"), WIDE),
    "UTF-16 without a mark": ('{"anything": "é"}'.encode("utf-16-le"), WIDE),
    "UTF-16, big end first": ('{"anything": "é"}'.encode("utf-16-be"), WIDE),
    "UTF-32 without a mark": ('{"anything": "é"}'.encode("utf-32-be"), WIDE),
    "UTF-16 without its last byte": ('{"anything": "é"}'.encode("utf-16")[:-1], WIDE_BROKEN),
    "UTF-16 mark alone": (b"\xff\xfe", WIDE_BROKEN),
    "UTF-32 mark alone": (b"\xff\xfe\0\0", WIDE_BROKEN),
    "UTF-32 above Unicode": (b"\xff\xfe\0\0" + b"\xff\xff\xff\x7f" * 4, WIDE_BROKEN),
    "deep UTF-16": (lambda: ("[" * 100_000).encode("utf-16"), WIDE_BROKEN),
    "UTF-7": (b"+AHs-+AH0-", BROKEN),
    "latin-1": (value(b'"\xe9"'), NOT_UTF8),
    "an overlong slash": (value(b'"\xc0\xaf"'), NOT_UTF8),
    "an overlong zero": (value(b'"\xc0\x80"'), NOT_UTF8),
    "an overlong quote": (b'{"anything\xe0\x80\xa2: 1}', NOT_UTF8),
    "a cut sequence": (value(b'"\xe2\x82"'), NOT_UTF8),
    "a cut sequence at the end": (value(b'"abc') + b"\xf0\x9f\x98", NOT_UTF8),
    "a continuation alone": (value(b'"\x80"'), NOT_UTF8),
    "above Unicode": (value(b'"\xf4\x90\x80\x80"'), NOT_UTF8),
    "five bytes": (value(b'"\xf8\x88\x80\x80\x80"'), NOT_UTF8),
    "FF and FE": (b"\xfe\xff\xfe", NOT_UTF8),
    "random bytes": (bytes(range(255, -1, -1)), NOT_UTF8),
    "gzip without saying so": (b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03", NOT_UTF8),
    "a pickle": (b"\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x04true\x85R.", NOT_UTF8),
}
# json.loads decodes bytes with `surrogatepass`: these it takes in a body of bytes (R3.18).
SURROGATES = Kind(REFUSED, REFUSED, SERVED, SERVED)
TEXTS["a surrogate in UTF-8"] = (value(b'"\xed\xa0\x80"'), SURROGATES)
TEXTS["a surrogate pair in UTF-8"] = (value(b'"\xed\xa0\xbd\xed\xb8\x80"'), SURROGATES)


def _of_texts() -> Iterator[Case]:
    for name, (content, kind) in TEXTS.items():
        yield Case(name, "text", kind.text, content)
        yield Case(name, "loads", kind.loads, content)
        yield Case(name, "schema", kind.schema, content)
        yield Case(name, "raw", kind.raw, content, query=b"json")


# --- values that a declared type rejects, or odd ones that it takes ---------------------


def _values(key: str, refused: dict[str, Content], served: dict[str, Content]) -> Iterator[Case]:
    for outcome, table in ((REFUSED, refused), (SERVED, served)):
        for name, text in table.items():
            body = (
                b'{"%b": %b}' % (key.encode(), text)
                if isinstance(text, bytes)
                else (lambda text=text: b'{"%b": %b}' % (key.encode(), text()))
            )
            says = f"'{key.partition('.')[0]}' parameter" if outcome is REFUSED else ""
            yield Case(f"{key}: {name}", "schema", outcome, body, says=says)


TEXTUAL: dict[str, Content] = {"a number": b"7", "true": b"true", "a list": b'["2020-01-02"]'}
DATES: dict[str, Content] = {
    **TEXTUAL,
    "words": b'"yesterday or so"',
    "month 13": b'"2020-13-45 25:61:61"',
    "an object": b'{"year": 2020}',
    "a surrogate": b'"\\ud800"',
    "4301 digits": b'"' + b"9" * 4301 + b'"',
    "a megabyte of digits": lambda: b'"' + b"9" * 1_000_000 + b'"',
    "5 MB of dashes": lambda: b'"' + b"1-" * 2_500_000 + b'"',
    "5 MB of words": lambda: b'"' + b"jan " * 1_250_000 + b'"',
}
BASE64: dict[str, Content] = {
    **TEXTUAL,
    "one character": b'"a"',
    "a surrogate": b'"\\ud800"',
    "too few characters": b'"YWI"',
}
BIG = b"9" * 30
ROW = b'{"n": 1, "x": 1.5, "name": "a"}'


def _keys(count: int) -> bytes:
    """That many records, each with a name that no other has."""
    return b"[" + b",".join(b'{"k%d": 1}' % number for number in range(count)) + b"]"


def _jagged(count: int) -> bytes:
    """That many rows, each of them empty but one, which is as long as there are rows."""
    return b"[" + b"[]," * count + b"[" + b",".join([b"1"] * count) + b"]]"


ARRAYS: dict[str, Content] = {
    "a number": b"7",
    "a string": b'"1,2,3"',
    "an object": b'{"0": [1, 2, 3]}',
    "a matrix in a matrix": b"[[[1, 2, 3]]]",
    "ragged": b"[[1, 2, 3], [1]]",
    "a number among rows": b"[[1, 2, 3], 4]",
    "words": b'[["a", "b", "c"]]',
    "an object inside": b'[[1, {"a": 2}, 3]]',
    "deep": lambda: b"[" * 900 + b"1" + b"]" * 900,
    "65 dimensions": b"[" * 65 + b"1" + b"]" * 65,
    "a long word among numbers": lambda: b'[["' + b"a" * 1_000_000 + b'", 1, 2]]',
    "one long row": lambda: b"[[" + b"1," * 1_000_000 + b"1]]",
    "a surrogate": b'[["\\ud800", 1, 2]]',
}
FRAMES: dict[str, Content] = {
    "a number": b"7",
    "a string": b'"a,b"',
    "another type in a column": b'[{"n": "abc", "x": 1.5, "name": "a"}]',
    "a column more": b'[{"n": 1, "x": 1.5, "name": "a", "more": 1}]',
    "a column less": b'[{"n": 1, "x": 1.5}]',
    "a number in the list": b"[1]",
    "a string in the list": b'["a"]',
    "no rows": b"[{}]",
    "null for an integer": b'[{"n": null, "x": 1.5, "name": "a"}]',
    "an integer too large": b'[{"n": ' + BIG + b', "x": 1.5, "name": "a"}]',
    "a list in a cell": b'[{"n": [1], "x": 1.5, "name": "a"}]',
    "an object in a cell": b'[{"n": {"a": 1}, "x": 1.5, "name": "a"}]',
    "deep": lambda: b"[" * 900 + ROW + b"]" * 900,
    "a name for every row": lambda: _keys(20_000),
}


def _of_values() -> Iterator[Case]:
    no_int: dict[str, Content] = {
        "a fraction": b"5.0",
        "a string": b'"5"',
        "a list": b"[5]",
        "an object": b'{"i": 5}',
        "NaN": b"NaN",
        "1e3": b"1e3",
        "1e999": b"1e999",
    }
    yield from _values("i", no_int, {"true": b"true", "4300 digits": b"9" * 4300, "-0": b"-0"})
    no_float: dict[str, Content] = {"a string": b'"1.5"', "true": b"true", "a list": b"[1.5]"}
    yield from _values("f", no_float, {"NaN": b"NaN", "an integer": b"9" * 400})
    no_text: dict[str, Content] = {"a number": b"7", "true": b"true", "a list": b'["a"]'}
    yield from _values("s", no_text, {"a surrogate": b'"\\ud800"', "a zero byte": b'"\\u0000"'})
    yield from _values("b", {"a number": b"1", "a string": b'"true"', "a list": b"[true]"}, {})
    yield from _values("items", {"an object": b'{"0": 1}', "a string": b'"1,2"'}, {})
    yield from _values("table", {"a list": b'[["a", 1]]', "a string": b'"{}"'}, {})
    yield from _values("octets", BASE64, {})
    yield from _values("array", BASE64, {})
    yield from _values("moment", DATES, {})
    yield from _values("clock", DATES, {})
    yield from _values("day", DATES, {})
    no_whole: dict[str, Content] = {
        **ARRAYS,
        "a vector": b"[1, 2, 3]",
        "two columns": b"[[1, 2]]",
        "four columns": b"[[1, 2, 3, 4]]",
        "no columns": b"[[]]",
        "an integer too large": b"[[1, 2, " + BIG + b"]]",
        "null": b"[[1, null, 3]]",
        "NaN": b"[[1, NaN, 3]]",
        "Infinity": b"[[1, 2, 1e999]]",
        "200,000 empty rows": lambda: b"[" + b"[]," * 199_999 + b"[]]",
        "jagged": lambda: _jagged(20_000),
    }
    yield from _values(
        "whole", no_whole, {"true": b"[[true, false, 1]]", "fractions": b"[[1.9, 2, 3]]"}
    )
    yield from _values("small", {"256": b"[256]", "-1": b"[-1]", "a matrix": b"[[1]]"}, {})
    no_real: dict[str, Content] = {**ARRAYS, "one column": b"[[1.5]]"}
    yield from _values("real", no_real, {"NaN": b"[[NaN, 1e999]]", "null": b"[[null, 1]]"})
    yield from _values("shapeless", {"ragged": b"[[1], [1, 2]]", "words": b'["a"]'}, {})
    yield from _values("loose", {"ragged": b"[[1], 2]", "jagged": lambda: _jagged(20_000)}, {})
    yield from _values("word", {"a matrix": b'[["a"]]'}, {"numbers": b"[1, true, null]"})
    # NumPy gives every cell the room of the longest: 40 GB for a megabyte and ten thousand cells.
    bomb = lambda: b'["' + b"a" * 1_000_000 + b'"' + b',"b"' * 10_000 + b"]"  # noqa: E731
    yield from _values("free", {"ragged": b"[[1], 2]", "one long word among many": bomb}, {})
    yield from _values("loose", {"one long word among many": bomb}, {})
    no_when: dict[str, Content] = {
        "words": b'["tomorrow"]',
        "a list": b"[[1]]",
        "month 13": b'["2020-13-01"]',
    }
    yield from _values("when", no_when, {})
    no_span: dict[str, Content] = {
        "a number": b"[1]",
        "no unit": b'["1"]',
        "another unit": b'["1 fortnights"]',
        "4301 digits": b'["' + b"9" * 4301 + b' days"]',
        "too long": b'["' + BIG + b' days"]',
    }
    yield from _values("span", no_span, {})
    no_record: dict[str, Content] = {
        "a field missing": b'[{"a": 1}]',
        "too short": b"[[1]]",
        "a number": b"[1]",
        "null": b"[null]",
        "a word": b'[["x", 1]]',
    }
    yield from _values("record", no_record, {"a field more": b'[{"a": 1, "b": 2, "c": 3}]'})
    yield from _values("rows", FRAMES, {"no rows of three": b'[{"n": 1, "x": null, "name": null}]'})
    any_rows = {name: FRAMES[name] for name in ("a number", "null for an integer")}
    any_rows["a name for every row"] = FRAMES["a name for every row"]
    yield from _values("any_rows", any_rows, {"a column more": b'[{"n": 1, "y": 2}]'})
    yield from _values("untyped", {"a name for every row": FRAMES["a name for every row"]}, {})
    no_split: dict[str, Content] = {
        "a list": b"[[1, 1.5, 1]]",
        "nothing": b'{"a": 1}',
        "columns that do not fit": b'{"columns": ["n"], "data": [[1, 2, 3]]}',
        "an unknown key": b'{"columns": ["n", "x", "name"], "data": [[1, 1, "a"]], "more": 1}',
        "data that is a number": b'{"columns": ["n", "x", "name"], "data": 1}',
        "jagged": lambda: b'{"columns": ["n", "x", "name"], "data": ' + _jagged(20_000) + b"}",
    }
    yield from _values("split", no_split, {})
    by_column: dict[str, Content] = {
        "lists of two lengths": b'{"n": [1, 2], "x": [1], "name": []}',
        "numbers": b'{"n": 1, "x": 2, "name": 3}',
        "a row name for every cell": lambda: (
            b"{" + b",".join(b'"c%d": {"r%d": 1}' % (n, n) for n in range(20_000)) + b"}"
        ),
    }
    yield from _values("columns", by_column, {})
    yield from _values("by_index", by_column, {})
    no_values: dict[str, Content] = {
        "numbers": b"[1, 2]",
        "jagged": lambda: _jagged(20_000),
        "two": b"[[1, 2]]",
    }
    yield from _values("values", no_values, {})
    no_table: dict[str, Content] = {
        "a list": b"[" + ROW + b"]",
        "no schema": b'{"data": [' + ROW + b"]}",
        "no fields": b'{"schema": {}, "data": [' + ROW + b"]}",
        "an unknown type": b'{"schema": {"fields": [{"name": "n", "type": "x"}]}, "data": []}',
        "a schema that is a number": b'{"schema": 1, "data": []}',
    }
    yield from _values("typed", no_table, {})
    no_nested: dict[str, Content] = {
        "a list": b"[1]",
        "a ragged array inside": b'{"data": [[1, 2], [1]]}',
        "a word inside": b'{"data": [["a", "b"]]}',
        "another type inside": b'{"n": "1"}',
        "null inside": b'{"n": null}',
    }
    yield from _values("nested", no_nested, {"other names": b'{"x": 1, "__class__": 2}'})
    no_list: dict[str, Content] = {
        "an object": b"{}",
        "words in the array": b'[["a"], {"k": 1}]',
        "another type inside": b'[[1.5], {"k": "1"}]',
        "a number for the object": b"[[1.5], 1]",
    }
    no_list.pop("an object")  # falsy: not converted at all when optional (R3.22)
    yield from _values("listed", no_list, {})


# --- keys of the object -----------------------------------------------------------------


def _of_keys() -> Iterator[Case]:
    missing = "A value is not provided for the"
    bodies: dict[str, tuple[Content, Outcome, str]] = {
        "no keys": (b"{}", REFUSED, f"{missing} 'n' parameter."),
        "a key missing": (b'{"n": 1}', REFUSED, f"{missing} 's' parameter."),
        "null": (b'{"n": null, "s": "a"}', REFUSED, "'n' parameter"),
        "a key in capitals": (b'{"N": 1, "s": "a"}', REFUSED, f"{missing} 'n' parameter."),
        "a key with a blank": (b'{"n ": 1, "s": "a"}', REFUSED, f"{missing} 'n' parameter."),
        "a key that looks alike": ('{"\uff4e": 1, "s": "a"}'.encode(), REFUSED, missing),
        "the wrong one twice": (b'{"n": 1, "s": "a", "n": "x"}', REFUSED, "'n' parameter"),
        "self": (b'{"n": 1, "s": "a", "self": 1, "cls": 2, "args": 3, "kwargs": 4}', SERVED, ""),
        "names of the library": (
            b'{"n": 1, "s": "a", "wrapped": 1, "instance": 2, "user_run": 3, "inputs": 4}',
            SERVED,
            "",
        ),
        "an empty key": (b'{"n": 1, "s": "a", "": 1}', SERVED, ""),
        "__class__": (b'{"n": 1, "s": "a", "__class__": 1, "__dict__": 2}', SERVED, ""),
        "a surrogate": (b'{"n": 1, "s": "a", "\\ud800": 1}', SERVED, ""),
        "a zero byte": (b'{"n": 1, "s": "a", "\\u0000": 1}', SERVED, ""),
        "a key of a megabyte": (
            lambda: b'{"n": 1, "s": "a", "' + b"k" * 1_000_000 + b'": 1}',
            SERVED,
            "",
        ),
        "request_headers": (b'{"n": 1, "s": "a", "request_headers": {}}', SERVED, ""),
        "100,000 keys": (
            lambda: (
                b'{"n": 1, "s": "a", ' + b",".join(b'"k%d": 0' % n for n in range(100_000)) + b"}"
            ),
            SERVED,
            "",
        ),
        "a surrogate that is printed": (b'{"n": 1, "s": "\\ud800"}', SERVED, ""),
        "control characters that are printed": (
            b'{"n": 1, "s": "\\u0000\\u001b[2J\\r\\n"}',
            SERVED,
            "",
        ),
    }
    for name, (body, outcome, says) in bodies.items():
        yield Case(name, "required", outcome, body, says=says)


# --- content types ----------------------------------------------------------------------

TYPES: dict[str, bytes | None] = {
    "none": None,
    "empty": b"",
    "text": b"text/plain",
    "text/json": b"text/json",
    "XML": b"application/xml",
    "HTML": b"text/html; charset=utf-8",
    "a form": FORM,
    "multipart": MULTIPART,
    "bytes": b"application/octet-stream",
    "no slash": b"json",
    "only a slash": b"/",
    "only a semicolon": b";",
    "anything": b"*/*",
    "two types": b"application/json, text/plain",
    "quotes": b'"application/json"',
    "blanks inside": b"application / json",
    "more letters": b"application/jsonx",
    "latin-1": b"application/js\xf6n",
    "UTF-8": "application/jsön".encode(),
    "10 KB": b"a" * 10_000,
    "10 KB of parameters": b"text/plain" + b"; a=b" * 2000,
    "50 KB of parameters": b"text/plain" + b'; a="b' * 7_000,
    "a quote without end": b'text/plain; charset="',
    "a continued parameter": b"text/plain; name*0=a; name*1=b; name*=utf-8''%ff",
}
JSON_TYPES: dict[str, bytes] = {
    "charset UTF-16": b"application/json; charset=utf-16",
    "an unknown charset": b"application/json; charset=klingon",
    "a charset that is none": b"application/json; charset=\xff\xfe",
    "a suffix": b"application/x+json",
    "capitals": b"APPLICATION/JSON",
    "10 KB of parameters": b"application/json" + b"; a=b" * 2000,
    "50 KB of parameters": b"application/json" + b'; a="b' * 7_000,
}


def _of_types() -> Iterator[Case]:
    refused = "Expects Content-Type to be application/json"
    for name, kind in TYPES.items():
        yield Case(f"type: {name}", "schema", REFUSED, b'{"i": 1}', kind, says=refused)
        yield Case(f"type: {name}", "text", SERVED, b"[1]", kind)
        yield Case(f"type: {name}", "raw", SERVED, b"[1]", kind, query=b"data")
        yield Case(f"everything, type: {name}", "raw", SERVED, b"[1]", kind, query=b"everything")
        yield Case(f"json, type: {name}", "raw", SCRIPT_ERROR, b"[1]", kind, query=b"json")
    for name, kind in JSON_TYPES.items():
        yield Case(f"JSON type: {name}", "schema", SERVED, b'{"i": 1}', kind)
        yield Case(f"JSON type: {name}", "raw", SERVED, b"[1]", kind, query=b"json")


# --- raw mode's forms and files ---------------------------------------------------------


def part(head: bytes, content: bytes = b"1", boundary: bytes = b"x") -> bytes:
    """One part of a multipart body (RFC 7578)."""
    return b"--" + boundary + b"\r\nContent-Disposition: " + head + b"\r\n\r\n" + content + b"\r\n"


END = b"--x--\r\n"


def _of_raw() -> Iterator[Case]:
    for name, content in {
        "not UTF-8": b"\xff\xfe\x00",
        "empty": b"",
        "random bytes": bytes(range(256)),
    }.items():
        for how in (b"data", b"text", b"silent", b"form", b"files", b"everything"):
            yield Case(f"{how.decode()}: {name}", "raw", SERVED, content, None, how)
    forms: dict[str, Content] = {
        "no values": b"a&b&&=&",
        "bad escapes": b"a=%zz&%=%&b=%f",
        "escapes that are not UTF-8": b"a=%ff%fe&%c0%af=1",
        "bytes that are not UTF-8": b"a=\xff&\xed\xa0\x80=1",
        "a name 10,000 times": b"a=1&" * 10_000,
        "100,000 names": lambda: b"&".join(b"k%d=%d" % (n, n) for n in range(100_000)),
        "a million ampersands": b"&" * 1_000_000,
        "a million equal signs": b"=" * 1_000_000,
        "300,000 percent signs": b"%" * 300_000,
        "a value of 5 MB": lambda: b"a=" + b"b" * 5_000_000,
        "a value of 300,000 escapes": lambda: b"a=" + b"%41" * 300_000,
        "JSON": b'{"a": 1}',
    }
    for name, body in forms.items():
        yield Case(f"form: {name}", "raw", SERVED, body, FORM, b"form")
        as_text = REFUSED if name == "bytes that are not UTF-8" else SERVED
        yield Case(f"form, as text: {name}", "text", as_text, body, FORM)
    field = part(b'form-data; name="a"')
    multiparts: dict[str, tuple[Content, bytes, Outcome]] = {
        "no boundary": (field + END, b"multipart/form-data", SERVED),
        "an empty boundary": (field + END, b"multipart/form-data; boundary=", SERVED),
        "another boundary": (field + END, b"multipart/form-data; boundary=y", SERVED),
        "a boundary of 10 KB": (
            field + END,
            b"multipart/form-data; boundary=" + b"y" * 10_000,
            SERVED,
        ),
        "a boundary of odd characters": (
            field + END,
            b'multipart/form-data; boundary="(.*)+\\"$"',
            SERVED,
        ),
        "a boundary beyond ASCII": (
            field + END,
            b"multipart/form-data; boundary=\xff\xfe",
            SERVED,
        ),
        "empty": (b"", MULTIPART, SERVED),
        "only the end": (END, MULTIPART, SERVED),
        "no end": (field, MULTIPART, SERVED),
        "cut in the content": (field[:-3], MULTIPART, SERVED),
        "cut in the head": (field[:20], MULTIPART, SERVED),
        "no head": (b"--x\r\n\r\n1\r\n" + END, MULTIPART, SERVED),
        "no disposition": (b"--x\r\nA: b\r\n\r\n1\r\n" + END, MULTIPART, SERVED),
        "a head without a colon": (b"--x\r\nabc\r\n\r\n1\r\n" + END, MULTIPART, SERVED),
        "another disposition": (part(b"attachment") + END, MULTIPART, SERVED),
        "no name": (part(b"form-data") + END, MULTIPART, SERVED),
        "a file without a name": (
            part(b'form-data; name="a"; filename=""') + END,
            MULTIPART,
            SERVED,
        ),
        "a file that climbs": (
            part(b'form-data; name="a"; filename="../../../../etc/passwd"') + END,
            MULTIPART,
            SERVED,
        ),
        "a file with a zero byte": (
            part(b'form-data; name="a"; filename="a\0b"') + END,
            MULTIPART,
            SERVED,
        ),
        "names that are not UTF-8": (
            part(b'form-data; name="\xff"; filename="\xfe"') + END,
            MULTIPART,
            SERVED,
        ),
        "a charset that is none": (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n"
            b"Content-Type: text/plain; charset=klingon\r\n\r\n\xff\r\n" + END,
            MULTIPART,
            SERVED,
        ),
        "a part head of a megabyte": (
            lambda: part(b'form-data; name="a"; x="' + b"y" * 1_000_000 + b'"') + END,
            MULTIPART,
            SERVED,
        ),
        "a part head without end": (
            lambda: b"--x\r\n" + b"A: " + b"b" * 5_000_000,
            MULTIPART,
            SERVED,
        ),
        "200,000 part head lines": (
            lambda: b"--x\r\n" + b"A: b\r\n" * 200_000 + b"\r\n1\r\n" + END,
            MULTIPART,
            SERVED,
        ),
        "a thousand parts": (lambda: field * 1000 + END, MULTIPART, SERVED),
        # More than Werkzeug takes (max_form_parts): its refusal is raised in the script.
        "100,000 parts": (lambda: field * 100_000 + END, MULTIPART, SCRIPT_ERROR),
        "5 MB of line ends": (lambda: b"\r\n" * 2_500_000, MULTIPART, SERVED),
        "5 MB of carriage returns in a part": (
            lambda: part(b'form-data; name="a"; filename="f"', b"\r" * 5_000_000) + END,
            MULTIPART,
            SERVED,
        ),
        "5 MB of boundaries that are none": (
            lambda: part(b'form-data; name="a"; filename="f"', b"\r\n--" * 1_250_000) + END,
            MULTIPART,
            SERVED,
        ),
        "parts inside a part": (
            b"--x\r\nContent-Disposition: form-data; name=a\r\n"
            b"Content-Type: multipart/mixed; boundary=z\r\n\r\n--z\r\n\r\n1\r\n--z--\r\n" + END,
            MULTIPART,
            SERVED,
        ),
    }
    for name, (content, kind, outcome) in multiparts.items():
        yield Case(f"multipart: {name}", "raw", outcome, content, kind, b"files")
    for name in ("no boundary", "cut in the head", "100,000 parts", "5 MB of line ends"):
        content, kind, _ = multiparts[name]
        yield Case(f"multipart, as text: {name}", "text", SERVED, content, kind)


# --- queries ----------------------------------------------------------------------------


def _of_queries() -> Iterator[Case]:
    queries: dict[str, tuple[bytes, Outcome]] = {
        "only separators": (b"&&=&;&", SERVED),
        "bad escapes": (b"x=%zz&%=%&y=%f", SERVED),
        "escapes that are not UTF-8": (b"x=%ff%fe&%c0%af=1&y=%ed%a0%80", SERVED),
        "zero bytes": (b"x=%00&%00=1", SERVED),
        "1,500 levels": (b"x=" + b"[" * 1500 + b"]" * 1500, REFUSED),
        "50,000 brackets": (b"x=" + b"[" * 50_000, REFUSED),
        "10,000 braces": (b"x=" + b'{"a":' * 10_000, REFUSED),
        "4301 digits": (b"x=" + b"9" * 4301, REFUSED),
        "50,000 digits": (b"x=" + b"9" * 50_000, REFUSED),
        "a fraction of 50,000 digits": (b"x=0." + b"9" * 50_000, SERVED),
        "1e999": (b"x=1e999&y=NaN&z=-Infinity", SERVED),
        "a name 10,000 times": (b"x=1&" * 10_000, SERVED),
        "6,000 pairs": (b"&".join(b"k%d=%d" % (n, n) for n in range(6000)), SERVED),
        "a lone surrogate escape": (b"x=%22%5Cud800%22", SERVED),
        "50,000 ampersands": (b"&" * 50_000, SERVED),
        "50,000 equal signs": (b"=" * 50_000, SERVED),
        "50,000 percent signs": (b"x=" + b"%" * 50_000, SERVED),
        "odd names": (b"__class__=1&self=2&=3&a[]=4&a.b=5&a[b]=6", SERVED),
    }
    # The HTTP layer takes neither more than 64 KiB nor bytes that are no ASCII (RFC 3986, 2).
    unread: dict[str, bytes] = {
        "bytes that are not UTF-8": b"x=\xff\xfe&\xc0=1",
        "100,000 pairs": b"&".join(b"k%d=%d" % (n, n) for n in range(100_000)),
        "100,000 brackets": b"x=" + b"[" * 100_000,
        "100,000 digits": b"x=" + b"9" * 100_000,
        "500 KB of ampersands": b"&" * 500_000,
        "500 KB of percent signs": b"x=" + b"%" * 500_000,
    }
    for name, (query, outcome) in queries.items():
        yield _get(name, "text", outcome, query)
        yield _get(name, "schema", outcome, query)
        yield _get(name, "raw", SERVED, b"args&" + query)
    for name, query in unread.items():
        for script in ("text", "schema", "raw"):
            yield _get(name, script, REFUSED, b"args&" + query)
    typed: dict[str, bytes] = {
        "text for an integer": b"i=five",
        "a bad escape for an integer": b"i=%zz",
        "a fraction for an integer": b"i=5.0",
        "an integer twice": b"i=1&i=2",
        "a number for text": b"s=5",
        "true for text": b"s=true",
        "text for an array": b"whole=a",
        "a ragged array": b"whole=[[1,2,3],[1]]",
        "a number for a table": b"rows=1",
        "words for a date": b"moment=whenever",
        "a date of 50,000 digits": b"moment=x" + b"9" * 50_000,
        "a cut list": b"items=[1,2",
    }
    for name, query in typed.items():
        yield _get(
            name, "schema", REFUSED, query, f"'{query.partition(b'=')[0].decode()}' parameter"
        )
    yield _get("a name missing", "required", REFUSED, b"n=1", "'s' parameter")


def _get(name: str, script: str, outcome: Outcome, query: bytes, says: str = "") -> Case:
    return Case(f"query: {name}", script, outcome, b"", None, query, "GET", says)


CASES = [*_of_texts(), *_of_values(), *_of_keys(), *_of_types(), *_of_raw(), *_of_queries()]
