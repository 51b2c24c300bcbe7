from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from azmlinfsrv.comparison import Json, Tolerance, differences
from azmlinfsrv.samples import (
    SampleError,
    SampleRequest,
    request_file,
    samples_in,
    unused_files,
    write_answer,
)


@dataclass(frozen=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def json_answer(body: bytes, status: int = 200) -> Answer:
    return Answer(status, {"content-type": "application/json"}, body)


def write(folder: Path, name: str, content: Any) -> None:
    (folder / name).write_text(json.dumps(content), encoding="utf-8")


@pytest.mark.parametrize(
    ("given", "body", "content_type"),
    [
        ({}, None, None),
        ({"body": "a,b"}, b"a,b", None),
        ({"body": {"a": 1}}, b'{"a": 1}', "application/json"),
        ({"body": None}, b"null", "application/json"),
        ({"body": [1], "headers": {"content-type": "text/json"}}, b"[1]", None),
        ({"body_base64": "/wA="}, b"\xff\x00", None),
        ({"body_file": "data.txt"}, b"x,y\n", None),
    ],
)
def test_a_body_is_text_json_base64_or_a_file(
    given: dict[str, Any], body: bytes | None, content_type: str | None, tmp_path: Path
) -> None:
    (tmp_path / "data.txt").write_bytes(b"x,y\n")
    write(tmp_path, "one.request.json", given)

    (sample,) = samples_in(tmp_path)

    assert sample.request.body == body
    assert sample.request.headers.get("Content-Type") == content_type
    assert (sample.request.method, sample.request.path) == ("POST", "/score")
    assert not sample.has_answer


@pytest.mark.parametrize(
    "content",
    [
        b'{"data": [1, 2.50]}',
        b'{"request": 1}',
        b'{"request": {}, "other": 1}',
        b"[1, NaN]",
        b"not JSON at all",
    ],
)
def test_a_json_file_may_be_the_body_itself(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "one.json").write_bytes(content)

    (sample,) = samples_in(tmp_path)

    assert sample.name == "one"
    assert sample.request == SampleRequest(
        "POST", "/score", {"Content-Type": "application/json"}, content
    )


@pytest.mark.parametrize("name", ["one.json", "one.sample.json"])
def test_both_halves_may_stand_in_one_file(name: str, tmp_path: Path) -> None:
    whole = {"request": {"body": [1]}, "response": {"body": [2.0]}, "tolerance": 0.1}
    write(tmp_path, name, whole)

    (sample,) = samples_in(tmp_path)

    assert sample.name == "one"
    assert sample.answer_file == sample.file == tmp_path / name
    assert sample.expected.tolerance == Tolerance(0.1, 0.1)
    assert not list(differences(Answer(body=b"[2.1]"), sample.expected))
    assert list(differences(Answer(body=b"[2.5]"), sample.expected))


def test_a_table_and_an_array_are_samples_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"a,b\n1,2\n")
    np.save(tmp_path / "array.npy", np.array([[1.5, 2.0]]))
    np.save(tmp_path / "named.npy", np.array([1]))
    write(tmp_path, "named.request.json", {"parameter": "points"})
    write(tmp_path, "table.response.json", {"body": "ok"})

    array, named, table = samples_in(tmp_path)

    assert table.request.body == b"a,b\n1,2\n"
    assert table.request.headers == {"Content-Type": "text/csv"}
    assert table.expected.body == b"ok"
    assert array.request.body == b'{"data": [[1.5, 2.0]]}'
    assert named.request.body == b'{"points": [1]}'
    assert named.request.headers == {"Content-Type": "application/json"}


def test_a_sidecar_describes_the_body_beside_it(tmp_path: Path) -> None:
    (tmp_path / "cat.png").write_bytes(b"\x89PNG")
    write(tmp_path, "cat.request.json", {"headers": {"Content-Type": "image/png"}})

    (sample,) = samples_in(tmp_path)

    assert sample.request.body == b"\x89PNG"
    assert sample.request.headers == {"Content-Type": "image/png"}


def test_a_file_that_is_a_body_is_no_sample_itself(tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_bytes(b"a\n1\n")
    (tmp_path / "answer.csv").write_bytes(b"b\n2\n")
    (tmp_path / "lonely.bin").write_bytes(b"?")
    write(tmp_path, "first.request.json", {"body_file": "people.csv"})
    write(tmp_path, "first.response.json", {"body_file": "answer.csv"})

    assert [sample.name for sample in samples_in(tmp_path)] == ["first"]
    assert unused_files(tmp_path) == [tmp_path / "lonely.bin"]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("one.request.json", '{"boddy": 1}', "boddy"),
        ("one.request.json", '{"method": 1}', "method"),
        ("one.request.json", "{", "is not JSON"),
        ("one.request.json", "[]", "one.request.json does not have the form"),
        ("one.request.json", '{"body_file": "none.csv"}', "none.csv, which cannot be read"),
        ("one.request.json", '{"body_base64": "?"}', "is not base64"),
        ("one.sample.json", "{}", "request"),
        ("one.sample.json", '{"body": 1}', "body"),
        ("one.json", '{"request": {"boddy": 1}}', "boddy"),
        ("one.npy", "text", "is not an array"),
    ],
)
def test_a_file_of_another_form_is_refused(
    name: str, content: str, words: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text(content, encoding="utf-8")

    with pytest.raises(SampleError, match=words):
        samples_in(tmp_path)


def test_names_are_unique(tmp_path: Path) -> None:
    write(tmp_path, "one.json", {})
    (tmp_path / "one.csv").write_bytes(b"")

    with pytest.raises(SampleError, match="both named one"):
        samples_in(tmp_path)


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(SampleError, match="is not a folder"):
        samples_in(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "answer",
    [
        json_answer(b'{"a": [1, 2.5]}'),
        json_answer(b'"text"'),
        json_answer(b"null"),
        json_answer(b"{broken", 500),
        Answer(404, {"content-type": "text/plain"}, b"no \xc3\xa9"),
        Answer(200, {}, b"\xff\x00"),
        json_answer(b'{"a": NaN}'),
    ],
)
@pytest.mark.parametrize("name", ["one.json", "one.request.json", "one.csv", "one.sample.json"])
def test_an_answer_written_is_the_one_expected(answer: Answer, name: str, tmp_path: Path) -> None:
    write(tmp_path, name, {"request": {"body": 1}} if name == "one.sample.json" else {})
    (before,) = samples_in(tmp_path)

    path = write_answer(before, answer)

    (sample,) = samples_in(tmp_path)
    assert path == sample.answer_file
    assert sample.has_answer
    assert sample.request == before.request
    assert not list(differences(answer, sample.expected))
    assert list(differences(Answer(answer.status, answer.headers, b"other"), sample.expected))


def test_writing_an_answer_keeps_what_a_person_wrote(tmp_path: Path) -> None:
    response = {"headers": {"Allow": "GET"}, "body": [1], "tolerance": {"relative": 0.5}}
    write(tmp_path, "pair.request.json", {})
    write(tmp_path, "pair.response.json", response)
    write(tmp_path, "whole.json", {"request": {}, "tolerance": 0.25, "ignore": ["body.id"]})

    for sample in samples_in(tmp_path):
        write_answer(
            sample, Answer(200, {"allow": "POST", "content-type": "application/json"}, b"[2]")
        )

    pair, whole = samples_in(tmp_path)
    assert pair.expected.headers == {"Allow": "POST"}
    assert pair.expected.body == whole.expected.body == Json([2])
    assert pair.expected.tolerance == Tolerance(0.0, 0.5)
    assert whole.expected.tolerance == Tolerance.of(0.25)
    assert whole.expected.ignore == ("body.id",)


@pytest.mark.parametrize(
    "request_",
    [
        SampleRequest("GET", "/score?a=1", {}, None),
        SampleRequest("POST", "/score", {"Content-Type": "application/json"}, b'{"a": 1}'),
        SampleRequest("POST", "/score", {"X-A": "1"}, b"\xff"),
        SampleRequest("POST", "/score", {}, b""),
    ],
)
def test_a_request_written_is_read_back(request_: SampleRequest, tmp_path: Path) -> None:
    path = request_file(tmp_path, "one", request_)

    (sample,) = samples_in(tmp_path)
    assert path == sample.file
    assert sample.request == request_


def test_bytes_that_are_no_text_are_written_in_base64(tmp_path: Path) -> None:
    path = request_file(tmp_path, "one", SampleRequest(body=b"\xff\xfe"))

    document = json.loads(path.read_text(encoding="utf-8"))
    assert base64.b64decode(document["body_base64"]) == b"\xff\xfe"
