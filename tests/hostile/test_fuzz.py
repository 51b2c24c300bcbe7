"""Properties of what reads bytes from outside: frames, arguments, headers. Deterministic.

How often and how is the profile of `tests.conftest`.
"""

from __future__ import annotations

import json
import re
import struct
import tracemalloc
from typing import Any
from urllib.parse import quote

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from azmlinfsrv.app.correlation import correlate
from azmlinfsrv.app.cors import Cors
from azmlinfsrv.errors import BadInput, UnsupportedMediaType
from azmlinfsrv.messages import Headers, Request, Response, Timings
from azmlinfsrv.script import json_text
from azmlinfsrv.script.arguments import header_dict, json_object, query_object, text_argument
from azmlinfsrv.script.raw import call_with_request
from azmlinfsrv.script.schema import Parameter, Schema
from azmlinfsrv.script.swagger import pick_version
from azmlinfsrv.script.wsgi_environ import environ_of
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import FrameReader, ProtocolError
from azureml_inference_server_http.api.aml_response import AMLResponse

MIB = 1024 * 1024

# --- frames -----------------------------------------------------------------------------

NUMBERS = st.integers(0, 2**63 - 1)
TEXT = st.text(max_size=20)
HEADERS = st.lists(st.tuples(st.binary(max_size=9), st.binary(max_size=9)), max_size=3)
TIMINGS = st.none() | st.builds(Timings, *[st.floats(0, 1e9)] * 3)

TO_WORKER = st.one_of(
    st.builds(
        frames.Start, st.dictionaries(TEXT, TEXT), st.lists(TEXT), TEXT, st.binary(max_size=20)
    ),
    st.builds(
        frames.Score,
        NUMBERS,
        st.booleans(),
        TEXT,
        TEXT,
        st.binary(max_size=20),
        HEADERS,
        *[TEXT] * 6,
    ),
    st.builds(frames.Interrupt, NUMBERS, TEXT),
    st.builds(frames.Credit, NUMBERS, NUMBERS),
    st.builds(frames.Cancel, NUMBERS),
)
TO_FRONT_END = st.one_of(
    st.builds(frames.Ready, NUMBERS),
    st.builds(frames.StartFailed, NUMBERS),
    st.builds(frames.Answer, NUMBERS, NUMBERS, HEADERS, TEXT, TIMINGS, st.booleans()),
    st.builds(frames.Failure, NUMBERS, TEXT, TEXT, TEXT, st.booleans()),
    st.builds(frames.StreamStart, NUMBERS, NUMBERS, HEADERS, TEXT, TIMINGS),
    st.builds(frames.StreamItem, NUMBERS),
    st.builds(frames.StreamEnd, NUMBERS, st.booleans(), st.booleans()),
    st.builds(
        frames.Record,
        NUMBERS,
        TEXT,
        NUMBERS,
        st.floats(allow_nan=False),
        NUMBERS,
        st.none() | st.dictionaries(TEXT, NUMBERS | TEXT | st.booleans()),
    ),
    st.builds(frames.Skipped, NUMBERS),
    st.builds(frames.Formatted, st.integers(1, 2)),
)
DIRECTIONS = st.sampled_from([(frames.to_worker, TO_WORKER), (frames.to_front_end, TO_FRONT_END)])
BODIES = st.binary(max_size=40) | st.integers(0, 200_000).map(bytes)
PIECES = st.lists(st.integers(1, 70_000), min_size=1, max_size=4)


def feed(reader: FrameReader[Any], data: bytes, pieces: list[int]) -> list[tuple[Any, bytes]]:
    """Hand over *data* in pieces of those sizes, as far as the reader has room."""
    found: list[tuple[Any, bytes]] = []
    at = turn = 0
    while at < len(data):
        room = reader.buffer()
        assert len(room) > 0
        count = min(len(room), pieces[turn % len(pieces)], len(data) - at)
        room[:count] = data[at : at + count]
        found += [(header, bytes(body)) for header, body in reader.received(count)]
        at += count
        turn += 1
    return found


@given(st.data(), DIRECTIONS, PIECES)
def test_any_frames_cut_anywhere_arrive_as_they_were_sent(
    data: st.DataObject, direction: Any, pieces: list[int]
) -> None:
    decoder, headers = direction
    sent = data.draw(st.lists(st.tuples(headers, BODIES), max_size=4))
    wire = b"".join(bytes(part) for header, body in sent for part in frames.pack(header, body))
    pieces = [max(piece, len(wire) // 1000) for piece in pieces]

    found = feed(FrameReader(decoder), wire, pieces)

    assert [body for _, body in found] == [body for _, body in sent]
    again = [frames.pack(header, body) for header, body in found]
    assert b"".join(bytes(part) for parts in again for part in parts) == wire


LENGTHS = st.integers(0, 60) | st.integers(0, 2**32 - 1)
HEADS = st.binary(max_size=40) | TO_FRONT_END.map(msgspec.msgpack.encode)
CLAIMS = st.builds(lambda *lengths: struct.pack("<II", *lengths), LENGTHS, LENGTHS)
HONEST = st.builds(lambda head, n: struct.pack("<II", len(head), n) + head, HEADS, LENGTHS)
RUBBISH = st.lists(CLAIMS | HONEST | st.binary(max_size=40), max_size=6).map(b"".join)


@settings(max_examples=300)
@given(RUBBISH, PIECES, st.sampled_from([frames.to_worker, frames.to_front_end]))
@example(struct.pack("<II", 2, 2**32 - 1) + b"\x92\x06\x01", [1], frames.to_front_end)
@example(struct.pack("<II", 3, 2**32 - 1) + b"\x92\x06\x01abc", [9], frames.to_front_end)
def test_no_bytes_hang_the_reader_or_raise_anything_else_or_take_room_on_their_word(
    data: bytes, pieces: list[int], decoder: Any
) -> None:
    tracemalloc.start()
    try:
        feed(FrameReader(decoder), data, pieces)
    except ProtocolError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()

    assert peak < 2 * (frames.MAX_HEADER_BYTES + MIB)


def test_a_claim_of_4_gib_takes_memory_only_as_bytes_arrive() -> None:
    reader = FrameReader(frames.to_front_end)
    before = resident()

    feed(reader, struct.pack("<II", 3, 2**32 - 1) + b"\x92\x06\x01" + bytes(200_000), [65_536])

    assert len(reader.buffer()) > 2**31
    assert resident() - before < 16 * MIB


def test_a_body_larger_than_what_is_taken_at_once_arrives_whole() -> None:
    body = bytes(range(256)) * (80 * 1024)
    wire = b"".join(bytes(part) for part in frames.pack(frames.StreamItem(1), body))

    assert feed(FrameReader(frames.to_front_end), wire, [300_000]) == [(frames.StreamItem(1), body)]


def resident() -> int:
    with open("/proc/self/status") as status:
        return int(re.findall(r"VmRSS:\s+(\d+) kB", status.read())[0]) * 1024


# --- arguments --------------------------------------------------------------------------

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.just("\ud800")
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=5), VALUES, max_size=4)
# Pieces of which JSON is made, and of which it is not.
TOKENS = st.sampled_from(
    [
        *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"\\", b"1", b"-", b".5", b"e9", b"0x1"),
        *(b"NaN", b"-Infinity", b"null", b"true", b" ", b"\n", b"\0", b'"a"', b'{"a":', b"//"),
        *(b"\\ud800", b"\\u00e9", b"\xff", b"\xc3\xa9", b"\xef\xbb\xbf", b"\xed\xa0\x80"),
        *(b"9" * 4301, b"[" * 400),
    ]
)
NEARLY_JSON = st.lists(TOKENS, max_size=12).map(b"".join)
ENCODED = st.builds(
    lambda value, encoding: json.dumps(value).encode(encoding),
    OBJECTS,
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "utf-32-le"]),
)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """JSON text with a few bytes of it replaced, inserted or cut."""
    text = bytearray(draw(ENCODED))
    for _ in range(draw(st.integers(0, 2))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 3)))
        text[start:end] = draw(TOKENS | st.binary(max_size=2))
    return bytes(text)


ANY_BODY = st.binary(max_size=60) | NEARLY_JSON | damaged()


def same(one: Any, other: Any) -> bool:
    """Equal to the type, NaN included."""
    return repr(one) == repr(other)


def post(body: bytes, *headers: tuple[bytes, bytes]) -> Request:
    return Request("POST", "/score", b"", [*headers], body)


def get(query: bytes) -> Request:
    return Request("GET", "/score", query)


@given(ANY_BODY)
def test_a_text_argument_is_the_body_or_a_bad_input(body: bytes) -> None:
    try:
        assert text_argument(post(body)).encode() == body
    except BadInput:
        with pytest.raises(UnicodeDecodeError):
            body.decode()


@settings(max_examples=250)
@given(ANY_BODY)
def test_a_json_body_is_read_as_json_reads_it_or_is_a_bad_input(body: bytes) -> None:
    try:
        found = json_object(post(body, (b"content-type", b"application/json")))
    except BadInput:
        try:
            assert not isinstance(json.loads(body), dict)
        except (ValueError, RecursionError):
            pass
    else:
        assert same(found, json.loads(body))


@given(OBJECTS)
def test_any_object_arrives(value: dict[str, Any]) -> None:
    text = json.dumps(value)

    found = json_object(post(text.encode(), (b"content-type", b"application/json")))

    assert same(found, json.loads(text))


@given(st.binary(max_size=30) | st.text('aplictonjs/+x; ="', max_size=30).map(str.encode))
def test_any_content_type_is_taken_or_refused(kind: bytes) -> None:
    try:
        assert json_object(post(b"{}", (b"content-type", kind))) == {}
    except UnsupportedMediaType:
        assert kind.lower() != b"application/json"


ESCAPES = st.sampled_from(
    [b"%", b"%z", b"%41", b"%ff", b"%ED%A0%80", b"+", b"&", b"=", b";", b"%5B"]
)
QUERIES = st.lists(ESCAPES | TOKENS | st.binary(max_size=4), max_size=12).map(b"".join)


@settings(max_examples=250)
@given(QUERIES)
def test_any_query_is_json_text_of_its_object_or_a_bad_input(query: bytes) -> None:
    try:
        text = text_argument(get(query))
    except BadInput:
        with pytest.raises(BadInput, match="The query string cannot be read"):
            text_argument(get(query))
    else:
        assert same(json.loads(text), query_object(query))
        assert json_object(get(query)).keys() == json.loads(text).keys()


@given(st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), VALUES, max_size=4))
def test_values_written_as_json_arrive_through_a_query(value: dict[str, Any]) -> None:
    pairs = [f"{quote(name)}={quote(json.dumps(item))}" for name, item in value.items()]

    found = query_object("&".join(pairs).encode())

    assert same(found, json.loads(json.dumps(value)))


@given(OBJECTS, st.lists(st.sampled_from(["a", "b", "self", "", "c"]), unique=True), st.booleans())
def test_any_object_gives_arguments_or_names_the_first_that_is_missing(
    body: dict[str, Any], names: list[str], takes_any_key: bool
) -> None:
    schema = Schema(
        parameters=tuple(Parameter(name, is_required=True) for name in names),
        declared=(),
        takes_any_key=takes_any_key,
        wants_headers=False,
        input_fragment={},
        output_fragment={},
        versions=(),
    )
    missing = [name for name in names if name not in body]

    if missing:
        with pytest.raises(BadInput, match=re.escape(f"'{missing[0]}'")):
            schema.arguments(body)
    else:
        found = schema.arguments(body)
        assert found.keys() == (set(names) | set(body) if takes_any_key else set(names))


def depth_of(text: str) -> int:
    """The deepest bracket outside strings, counted a character at a time."""
    depth = deepest = 0
    is_in_string = is_escaped = False
    for character in text:
        if is_escaped:
            is_escaped = False
        elif is_in_string and character == "\\":
            is_escaped = True
        elif character == '"':
            is_in_string = not is_in_string
        elif not is_in_string and character in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif not is_in_string and character in "]}":
            depth -= 1
    return deepest


# The text is looked at in pieces of 256 Ki characters: what matters lies around their ends.
@settings(max_examples=40)
@given(
    st.integers(-6, 6),
    st.text('\\"ab', max_size=8),
    st.sampled_from([1000, 1023, 1024, 1025, 3000]),
)
def test_depth_is_counted_outside_strings_wherever_they_end(
    offset: int, tail: str, levels: int
) -> None:
    filled = 256 * 1024 - 2 + offset
    string = json.dumps("[" * (filled // 2) + "x" * (filled - filled // 2) + tail)
    text = "[" + string + "," + "[" * (levels - 1) + "]" * levels

    assert depth_of(text) == levels
    if levels > json_text.MAX_DEPTH:
        with pytest.raises(RecursionError):
            json_text.check_depth(text)
    else:
        json_text.check_depth(text)


@given(QUERIES)
def test_any_query_has_a_version_or_none(query: bytes) -> None:
    version = pick_version(query)

    assert version is None or version.encode()


# --- header rules -----------------------------------------------------------------------

TOKEN_NAMES = st.text("abcxyz-_0", min_size=1, max_size=8).map(str.encode)
# What a server lets through: no controls but tab (RFC 9110, 5.5).
FIELD = st.binary(max_size=30).map(
    lambda it: bytes(b for b in it if b in (9, *range(32, 127)) or b > 127)
)
FIELDS = st.lists(
    st.tuples(
        TOKEN_NAMES | st.sampled_from([b"content-type", b"content-length", b"cookie"]), FIELD
    ),
    max_size=6,
)


@given(FIELDS)
def test_any_headers_become_a_dictionary_of_text(headers: Headers) -> None:
    found = header_dict(Request("GET", "/score", b"", headers))

    names = {name for name, value in headers if b"_" not in name}
    assert {name.lower().encode("latin-1") for name in found} <= names
    assert all(value.encode("latin-1") is not None for value in found.values())


# No server lets a query through that is not ASCII (RFC 3986, 2).
@settings(max_examples=40)
@given(FIELDS, QUERIES.filter(bytes.isascii), ANY_BODY)
def test_any_request_becomes_one_of_flask(headers: Headers, query: bytes, body: bytes) -> None:
    headers = [pair for pair in headers if pair[0] not in (b"content-length", b"host")]
    request = Request("POST", "/score", query, headers, body)

    environ = environ_of(request)
    assert all(value.encode("latin-1") is not None for value in texts(environ))
    seen = call_with_request(
        request,
        lambda flask_request: (
            flask_request.mimetype,
            flask_request.args,
            flask_request.cookies,
            flask_request.full_path,
            repr(flask_request),
            flask_request.get_data(),
        ),
    )
    assert seen[-1] == body


def texts(environ: dict[str, Any]) -> list[str]:
    return [value for value in environ.values() if isinstance(value, str)]


IDS = st.none() | st.sampled_from([b"", b" ", b"a", b" a b ", b"x" * 100, b"x" * 101]) | FIELD
UUID = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@settings(max_examples=300)
@given(IDS, IDS, IDS, st.none() | FIELD)
def test_ids_follow_the_table(
    request: bytes | None, legacy: bytes | None, client: bytes | None, trace: bytes | None
) -> None:
    names = (b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id", b"traceid")
    given_ids = zip(names, (request, legacy, client, trace), strict=True)
    found = correlate([(name, value) for name, value in given_ids if value is not None])

    headers = dict(found.headers)
    assert headers.pop(b"TraceId", None) == trace  # R4.13
    ours, theirs, old = ((value or b"").strip() for value in (request, client, legacy))
    if len(ours) > 100:  # R4.12
        assert found.error is not None
        assert not headers
        return
    id_ = headers.pop(b"x-request-id")
    assert id_ == ours or (not ours and UUID.fullmatch(id_))  # R4.10, R4.11
    if max(len(theirs), len(old)) > 100:
        assert found.error is not None
        assert not headers
        return
    assert found.error is None
    assert headers.pop(b"x-ms-request-id") == (old or theirs or id_)
    assert headers.pop(b"x-ms-client-request-id", b"") == (theirs or old)
    assert not headers
    assert found.request_id.encode("latin-1") == id_
    assert found.client_request_id.encode("latin-1") == (theirs or old)


LABEL = st.text("abz09-_", min_size=1, max_size=6)
HOST = st.lists(LABEL, min_size=1, max_size=4).map(".".join)
SCHEME = st.sampled_from(["http", "https"])


def allowed(setting: str, origin: str) -> bool:
    headers = Cors(setting).headers_for(
        Request("GET", "/", headers=[(b"origin", origin.encode("latin-1"))]), Response(200, [])
    )
    assert not headers or headers[0][1] == origin.encode("latin-1")
    return bool(headers)


@given(SCHEME, HOST, LABEL, st.sampled_from(["", ":8080"]))
def test_an_origin_is_allowed_as_it_stands_and_in_no_longer_form(
    scheme: str, host: str, label: str, port: str
) -> None:
    listed = f"{scheme}://{host}{port}"

    assert allowed(listed, listed)
    assert allowed(host + port, listed)  # an entry without a scheme (D20)
    for origin in (
        f"{scheme}://{label}.{host}{port}",
        f"{scheme}://{host}.{label}{port}",
        f"{scheme}://{label}{host}{port}",
        f"{scheme}://{label}@{host}{port}",
        f"{listed}/",
        f"{listed}\n",
        f"{listed}1" if port else f"{listed}:1",
        f"x{listed}",
    ):
        assert not allowed(listed, origin), origin
        assert not allowed(host + port, origin), origin


@given(SCHEME, HOST, HOST, LABEL)
def test_a_wildcard_is_one_or_more_labels_of_the_host(
    scheme: str, host: str, labels: str, label: str
) -> None:
    listed = f"{scheme}://*.{host}.test"

    assert allowed(listed, f"{scheme}://{labels}.{host}.test")
    for origin in (
        f"{scheme}://{host}.test",
        f"{scheme}://.{host}.test",
        f"{scheme}://{labels}.{host}.test.{label}",
        f"{scheme}://{labels}/.{host}.test",
        f"{scheme}://{labels}:1.{host}.test",
        f"{scheme}://{labels}@x.{host}.test",
    ):
        # The host may itself begin with what the wildcard takes.
        assert not allowed(listed, origin) or origin.endswith(f".{host}.test"), origin


@given(st.text(max_size=20), FIELD)
def test_any_setting_and_any_origin_have_an_answer(setting: str, origin: bytes) -> None:
    request = Request("OPTIONS", "/", headers=[(b"origin", origin)])

    headers = Cors(setting).headers_for(request, Response(200, []))

    assert all(isinstance(value, bytes) for _, value in headers)
    own = Response(200, [(b"access-control-ALLOW-origin", b"x")])
    assert Cors(setting).headers_for(request, own) == []


@pytest.mark.timeout(10)
def test_an_origin_as_long_as_a_head_is_refused_at_once() -> None:
    # Three wildcards would try all ways of cutting it into three.
    assert not allowed("https://*.*.*.example.org", "https://" + "a." * 30_000)
    assert allowed("https://*.*.*.example.org", "https://" + "a." * 20 + "example.org")


VALUE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"))
PLAIN = st.text("ab ,;=*/\\", max_size=20)
QUOTED = st.text("ab ,\\", max_size=6).map(json.dumps)


def pieces_of(name: str, value: str) -> list[str]:
    return AMLResponse("x", 200, {name: value}).headers.getlist(name)


@given(VALUE | PLAIN)
def test_a_header_is_split_at_its_commas_and_nothing_is_lost(value: str) -> None:
    pieces = pieces_of("X-Any", value)

    assert all(piece == piece.strip() for piece in pieces)
    assert "".join(",".join(pieces).split()) == "".join(value.split())
    if '"' not in value:
        assert pieces == [piece.strip() for piece in value.split(",")]


@given(st.lists(QUOTED, min_size=1, max_size=4))
def test_a_quoted_string_is_never_split(quoted: list[str]) -> None:
    assert pieces_of("X-Any", ", ".join(quoted)) == quoted


@given(
    st.sampled_from(
        ["Expires", "SET-cookie", "last-modified", "If-None-Match", "WWW-Authenticate"]
    ),
    PLAIN,
)
def test_headers_whose_grammar_has_commas_stay_whole(name: str, value: str) -> None:
    assert pieces_of(name, value) == [value.strip()]
