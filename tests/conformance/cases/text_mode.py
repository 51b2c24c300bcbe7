"""What an undecorated run() receives (R3.14 to R3.16)."""

from __future__ import annotations

import gzip
import json

from tests.conformance.case import Answer, Case, Raw, ask, error, get, ok, post, post_json, serve

TEXT = serve(folder="echo_text")


def text(value: str) -> Answer:
    """What the echo script says when *value* arrived."""
    return ok(json.dumps({"type": "str", "text": value}))


def body(
    name: str, data: str | bytes, arrived: str, content_type: str, shows: str = "R3.14"
) -> Case:
    return Case(name, TEXT, post(data, Content_Type=content_type), text(arrived), shows)


def query(name: str, raw: str, arrived: str, shows: str = "R3.15") -> Case:
    return Case(name, TEXT, get(f"/score?{raw}"), text(arrived), shows)


FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data; boundary=b"
PARTS = '--b\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--b--\r\n'
NOT_UTF8 = (
    "Input cannot be decoded as UTF-8: "
    "'utf-8' codec can't decode byte 0xff in position 0: invalid start byte"
)

CASES = [
    body("json_arrives_as_text", '{"a": [1, 2.0]}', '{"a": [1, 2.0]}', "application/json"),
    body("any_content_type_arrives_as_text", "a,b\n1,2\n", "a,b\n1,2\n", "text/csv"),
    body("octets_arrive_as_text", "plain", "plain", "application/octet-stream"),
    body("what_is_not_json_arrives_as_text", "{not json", "{not json", "application/json"),
    body("utf_8_is_decoded", "é ✓ 日本", "é ✓ 日本", "application/json; charset=utf-8"),
    body("a_charset_parameter_is_ignored", "é", "é", "text/plain; charset=iso-8859-1"),
    body("a_byte_order_mark_stays", b"\xef\xbb\xbf{}", "\ufeff{}", "application/json"),
    body("line_ends_and_nul_stay", b"a\r\nb\x00c\n", "a\r\nb\x00c\n", "text/plain"),
    Case("an_empty_body_is_an_empty_text", TEXT, post(b""), text(""), "R3.14"),
    Case("no_content_type_is_fine", TEXT, post("x"), text("x"), "R3.14"),
    Case("the_query_is_ignored_on_post", TEXT, post("x", target="/score?a=1"), text("x"), "R3.14"),
    Case("not_utf_8_is_400", TEXT, post_json(b"\xff\xfe"), error(400, NOT_UTF8), "R3.14 R4.7"),
    Case(
        "not_utf_8_later_names_the_position",
        TEXT,
        post(b"abc\xe9"),
        error(
            400,
            "Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0xe9 in position 3: "
            "unexpected end of data",
        ),
        "R3.14",
    ),
    Case(
        "a_compressed_body_is_uncompressed",
        TEXT,
        post(gzip.compress(b"{}", mtime=0), Content_Encoding="gzip"),
        text("{}"),
        "R3.14 0:R3.14",
        error(
            400,
            "Input cannot be decoded as UTF-8: 'utf-8' codec can't decode byte 0x8b in position 1: "
            "invalid start byte",
        ),
    ),
    Case(
        "a_chunked_body_is_joined",
        TEXT,
        Raw(
            b"POST /score HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
            b'Transfer-Encoding: chunked\r\n\r\n3\r\n{"a\r\n4;x=y\r\n": 1\r\n1\r\n}\r\n0\r\n\r\n'
        ),
        text('{"a": 1}'),
        "R3.14",
    ),
    Case(
        "a_body_of_five_megabytes_is_fine",
        serve(
            """
            def init(): pass
            def run(data): return len(data)
            """
        ),
        post("x" * 5_000_000),
        ok("5000000"),
        "R4.15 R3.14",
    ),
    Case(
        "a_form_arrives_as_its_text",
        TEXT,
        post("a=1&b=%20", Content_Type=FORM),
        text("a=1&b=%20"),
        "R3.14 0:R3.14 D9",
        reference=text(""),
    ),
    Case(
        "a_multipart_body_arrives_as_its_text",
        TEXT,
        post(PARTS, Content_Type=MULTIPART),
        text(PARTS),
        "R3.14 0:R3.14 D9",
        reference=text(""),
    ),
    Case(
        "json_sent_as_a_form_arrives_as_json",
        TEXT,
        post('{"data": [1]}', Content_Type=FORM),
        text('{"data": [1]}'),
        "R3.14 0:R3.14 D9",
        reference=text(""),
        why="What `curl -d` sends without a content type.",
    ),
    # --- GET
    Case("get_without_query_is_an_empty_object", TEXT, get(), text("{}"), "R3.15"),
    query("an_integer", "a=1", '{"a": 1}'),
    query("a_float", "a=1.50", '{"a": 1.5}'),
    query("a_list", "a=%5B1,2%5D", '{"a": [1, 2]}'),
    query("an_object", "a={%22k%22:1}", '{"a": {"k": 1}}'),
    query("booleans_and_null", "a=true&b=false&c=null", '{"a": true, "b": false, "c": null}'),
    query("a_quoted_string_loses_its_quotes", "a=%22x%22", '{"a": "x"}'),
    query("a_word_stays_a_string", "a=abc", '{"a": "abc"}'),
    query("a_leading_zero_stays_a_string", "a=01&b=12", '{"a": "01", "b": 12}', "R3.15 D24"),
    query("an_empty_value_is_an_empty_string", "a=", '{"a": ""}'),
    query("a_name_without_value", "a", '{"a": ""}'),
    query("not_a_number", "a=NaN&b=-Infinity", '{"a": NaN, "b": -Infinity}'),
    query("a_huge_float_is_infinity", "a=1e999", '{"a": Infinity}'),
    query("a_repeated_key_is_a_list", "a=1&b=2&a=x", '{"a": [1, "x"], "b": 2}'),
    query("plus_is_a_blank", "a=x+y%2Bz", '{"a": "x y+z"}'),
    query("key_case_matters", "a=1&A=2", '{"a": 1, "A": 2}'),
    query("key_order_is_first_appearance", "z=1&a=2", '{"z": 1, "a": 2}'),
    query("invalid_escapes_stay", "a=%zz", '{"a": "%zz"}'),
    query("utf_8_is_escaped_in_the_text", "a=%C3%A9", '{"a": "\\u00e9"}'),
    query("invalid_utf_8_stays_escaped", "a=%FF", '{"a": "%FF"}'),
    query("an_equals_sign_in_the_value", "a=b=c", '{"a": "b=c"}'),
    query("an_empty_pair_is_skipped", "a=1&&b=2", '{"a": 1, "b": 2}'),
    query("a_semicolon_separates_nothing", "a=1;b=2", '{"a": "1;b=2"}'),
    query("blanks_around_a_number", "a=%201%20", '{"a": 1}'),
    Case(
        "a_body_on_get_is_ignored",
        TEXT,
        ask("GET", "/score?a=1", '{"b": 2}', Content_Type="application/json"),
        text('{"a": 1}'),
        "R3.15",
    ),
]
