"""Recordings as requests to send again, and as samples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.samples import samples_in
from azmlinfsrv.telemetry.recording import (
    RecordedRequest,
    RecordedResponse,
    Recording,
    encode_recording,
)
from azmlinfsrv.tools.recordings import (
    RecordingError,
    find_recording,
    recordings_in,
    request_of,
    save_sample,
)


def recording(id_: str = "20260131T080509.000000Z-500-aaaaaaaa", **request: Any) -> Recording:
    values: dict[str, Any] = {"method": "POST", "path": "/score", "body": "{}", "body_bytes": 2}
    return Recording(
        id=id_,
        time="2026-01-31T08:05:09Z",
        request_id="req-1",
        duration_ms=1.0,
        request=RecordedRequest(**{**values, **request}),
        response=RecordedResponse(status=500),
        redacted=["request.headers.authorization"],
    )


def keep(folder: Path, *recordings: Recording) -> None:
    for each in recordings:
        (folder / f"{each.id}.json").write_bytes(encode_recording(each))


def test_what_belongs_to_the_connection_is_not_sent_again() -> None:
    kept = recording(
        path="/score",
        query="a=%20",
        headers=[
            ("host", "a"),
            ("content-length", "2"),
            ("transfer-encoding", "chunked"),
            ("connection", "close"),
            ("authorization", "[redacted]"),
            ("x-a", "1"),
            ("x-a", "2"),
            ("x-b", "old"),
        ],
    )

    request = request_of(kept, {"X-B": "new"})

    assert request.path == "/score?a=%20"
    assert request.headers == {"x-a": "1, 2", "X-B": "new"}
    assert request.body == b"{}"
    assert request_of(kept, {"Authorization": "me"}).headers["Authorization"] == "me"


def test_a_path_is_encoded_again_and_a_body_of_bytes_is_bytes() -> None:
    kept = recording(path="//score/ä b", body=None, body_base64="/wA=", body_bytes=2)

    request = request_of(kept)

    assert request.path == "//score/%C3%A4%20b"
    assert request.body == b"\xff\x00"


def test_recordings_come_in_order_and_other_files_are_left_alone(tmp_path: Path) -> None:
    later, earlier = recording("20260201T000000.000000Z-200-b"), recording()
    keep(tmp_path, later, earlier)
    (tmp_path / "notes.json").write_text("{}")

    assert [it.id for it in recordings_in(tmp_path)] == [earlier.id, later.id]


@pytest.mark.parametrize("name", ["aaaaaaaa", "req-1", "20260131T080509.000000Z-500-aaaaaaaa"])
def test_a_recording_is_found_by_its_ids(name: str) -> None:
    kept = recording()

    assert find_recording([kept], name) == kept


def test_what_cannot_be_used_is_said(tmp_path: Path) -> None:
    with pytest.raises(RecordingError, match="holds no recordings"):
        recordings_in(tmp_path)
    with pytest.raises(RecordingError, match="is not a folder"):
        recordings_in(tmp_path / "no")
    with pytest.raises(RecordingError, match="has to name one recording, and names none"):
        find_recording([recording()], "b")
    with pytest.raises(RecordingError, match="has to name one"):
        find_recording([recording("1-a"), recording("2-a")], "a")
    (tmp_path / "20260131T080509.000000Z-500-aaaaaaaa.json").write_text('{"id": 1}')
    with pytest.raises(RecordingError, match="is not a recording"):
        recordings_in(tmp_path)


@pytest.mark.parametrize("body", [b'{"a": [1, 2.50]}', "ä\n".encode(), b"\xff\x00", b""])
def test_a_sample_sends_what_was_recorded(tmp_path: Path, body: bytes) -> None:
    import base64

    kept = recording(
        method="PUT",
        query="a=1",
        headers=[("content-type", "application/json"), ("host", "a")],
        body=None,
        body_base64=base64.b64encode(body).decode(),
        body_bytes=len(body),
    )

    path = save_sample(kept, tmp_path / "samples", "bad")

    (sample,) = samples_in(tmp_path / "samples")
    assert path.name == "bad.request.json"
    assert sample.name == "bad"
    assert sample.request == request_of(kept)
    assert not sample.has_answer


def test_a_sample_is_not_overwritten_and_not_made_of_half_a_body(tmp_path: Path) -> None:
    save_sample(recording(), tmp_path, "bad")

    with pytest.raises(RecordingError, match="exists already"):
        save_sample(recording(), tmp_path, "bad")
    with pytest.raises(RecordingError, match="its body was not kept whole"):
        save_sample(recording(cut="size"), tmp_path, "other")
