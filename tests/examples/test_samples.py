from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.examples.samples import differences, samples_in
from tests.harness import Answer


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "body", "content_type"),
    [
        ({}, None, None),
        ({"body": "a,b"}, b"a,b", None),
        ({"body": {"a": 1}}, b'{"a": 1}', "application/json"),
        ({"body": None}, b"null", "application/json"),
        ({"body_base64": "/wA="}, b"\xff\x00", None),
        ({"body_file": "data.csv"}, b"x,y\n", None),
    ],
)
def test_a_body_is_text_json_base64_or_a_file(
    given: dict[str, Any], body: bytes | None, content_type: str | None, tmp_path: Path
) -> None:
    (tmp_path / "data.csv").write_bytes(b"x,y\n")
    write(tmp_path, "one.request.json", given)

    (sample,) = samples_in(tmp_path)

    assert sample.body == body
    assert sample.headers.get("Content-Type") == content_type
    assert (sample.method, sample.path) == ("POST", "/score")


def test_both_halves_may_stand_in_one_file(tmp_path: Path) -> None:
    whole = {"request": {"body": [1]}, "response": {"body": [2.0]}, "tolerance": 0.1}
    write(tmp_path, "one.sample.json", whole)

    (sample,) = samples_in(tmp_path)

    assert not list(differences(Answer(200, {}, b"[2.1]"), sample.expected))
    assert list(differences(Answer(200, {}, b"[2.5]"), sample.expected))


def test_an_unknown_key_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "one.request.json", {"boddy": 1})

    with pytest.raises(ValueError, match="boddy"):
        samples_in(tmp_path)


@pytest.mark.parametrize(
    ("response", "answer", "words"),
    [
        ({}, Answer(500, {}, b""), "status 500"),
        ({"headers": {"Allow": "GET"}}, Answer(200, {}, b""), "header Allow is None"),
        ({"headers": {"Allow": None}}, Answer(200, {"allow": "GET"}, b""), "expected None"),
        ({"body": "a"}, Answer(200, {}, b"b"), "b'b'"),
        ({"body": {"a": [1, 2]}}, Answer(200, {}, b'{"a": [1]}'), "body.a has 1 items"),
        ({"body": {"a": 1}}, Answer(200, {}, b'{"b": 1}'), "has keys ['b']"),
        ({"body": True}, Answer(200, {}, b"1"), "body is 1"),
        ({"body": [1]}, Answer(200, {}, b"?"), "is not JSON"),
    ],
)
def test_a_difference_is_named(
    response: dict[str, Any], answer: Answer, words: str, tmp_path: Path
) -> None:
    write(tmp_path, "one.request.json", {})
    write(tmp_path, "one.response.json", response)

    (sample,) = samples_in(tmp_path)

    assert words in " ".join(differences(answer, sample.expected))


def test_without_an_expected_answer_anything_below_500_is_right(tmp_path: Path) -> None:
    write(tmp_path, "one.request.json", {})

    (sample,) = samples_in(tmp_path)

    assert not list(differences(Answer(404, {}, b""), sample.expected))
    assert list(differences(Answer(500, {}, b""), sample.expected))
