"""Sample files for the playground: read like the other commands read them, written the same."""

from __future__ import annotations

import base64
import json
import shutil
from pathlib import Path

import pytest

from azmlinfsrv.app.sample_files import SampleFolder, SampleRequest, body_document
from azmlinfsrv.samples import samples_in

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(path.parent.name for path in EXAMPLES.glob("*/samples"))


def body_of(sample: SampleRequest) -> bytes | None:
    if sample.body_base64 is not None:
        return base64.b64decode(sample.body_base64)
    return None if sample.body is None else sample.body.encode()


@pytest.mark.parametrize("name", FOLDERS)
def test_samples_of_the_examples_are_those_that_check_sends(name: str) -> None:
    expected = samples_in(EXAMPLES / name / "samples")

    listing = SampleFolder(str(EXAMPLES / name / "score.py")).read()

    assert listing.unread == []
    assert [sample.name for sample in listing.samples] == [sample.name for sample in expected]
    for ours, theirs in zip(listing.samples, expected, strict=True):
        assert (ours.method, ours.path) == (theirs.request.method, theirs.request.path)
        assert ours.headers == theirs.request.headers
        body, wanted = body_of(ours), theirs.request.body
        if ours.headers.get("Content-Type") == "application/json":
            assert json.loads(body or b"") == json.loads(wanted or b"")
        else:
            assert body == wanted


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b'{"big": 12345678901234567890123, "small": 1e-7}',
        b'"a text in quotes"',
        b"a text without",
        b"NaN",
        b"",
        b"null",
        b"\xff\x00",
        "größe \u2028".encode(),
    ],
)
def test_what_is_written_is_sent_again_the_same(tmp_path: Path, body: bytes) -> None:
    folder = SampleFolder(str(tmp_path / "score.py"))
    request = {"headers": {"Content-Type": "application/json"}, **body_document(body)}

    assert folder.write("one", {"request": request}, overwrite=False) == "samples/one.json"

    (read,) = folder.read().samples
    (sent,) = samples_in(tmp_path / "samples")
    if body.startswith(b"{"):  # JSON is the same by value, laid out to be read
        assert json.loads(body_of(read) or b"") == json.loads(body)
        assert json.loads(sent.request.body or b"") == json.loads(body)
    else:
        assert (body_of(read), sent.request.body) == (body, body)
    shutil.rmtree(tmp_path / "samples")


def test_digits_of_numbers_stay_as_written(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    text = '{"id": 12345678901234567890, "price": 1.0}'
    (tmp_path / "samples" / "one.sample.json").write_text(f'{{"request": {{"body": {text}}}}}')

    (sample,) = SampleFolder(str(tmp_path / "score.py")).read().samples

    assert sample.body == text


def test_what_is_too_much_for_the_page_is_said(tmp_path: Path) -> None:
    (tmp_path / "samples").mkdir()
    for number in range(10):
        (tmp_path / "samples" / f"{number}.json").write_bytes(b" " * 1024 * 1024)

    listing = SampleFolder(str(tmp_path / "score.py")).read()

    assert len(listing.samples) == 8
    assert [one.file for one in listing.unread] == ["8.json", "9.json"]
