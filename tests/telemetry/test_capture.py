"""The folder of recordings: what is kept, how, and how much."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.messages import Request, Response, Timings
from azmlinfsrv.pool.call import StreamCut
from azmlinfsrv.telemetry import capture as captures
from azmlinfsrv.telemetry.capture import Capture, open_folder, trim
from azmlinfsrv.telemetry.recording import Recording, decode_recording

MIB = 1024 * 1024
REQUEST = Request(
    "POST",
    "/score",
    b"a=1&api-key=s3cret",
    [(b"authorization", b"Bearer s3cret"), (b"content-type", b"application/json")],
)
FINE = Response(200, [(b"Content-Type", b"application/json")], b'{"b": 2}', Timings(0, 0.0015, 0))
FAILED = Response(500, [(b"Content-Type", b"application/json")], b'{"message": "x"}')


def capture(folder: Path, rate: float = 1.0, max_bytes: int = 100 * MIB) -> Capture:
    return Capture(str(folder), rate, max_bytes, ["patient_id"])


def recordings(folder: Path) -> list[Recording]:
    return [decode_recording(path.read_bytes()) for path in sorted(folder.glob("*.json"))]


def test_a_recording_holds_the_exchange_without_its_secrets(tmp_path: Path) -> None:
    keeper = capture(tmp_path)

    keeper.take(REQUEST, b'{"patient_id": "s3cret", "a": 1}', FINE, 0.25, "id-1")
    keeper.close()

    (path,) = tmp_path.iterdir()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert "s3cret" not in path.read_text()
    content = json.loads(path.read_text())
    assert content["id"] == path.stem
    assert content["request_id"] == "id-1"
    assert content["duration_ms"] == 250
    assert content["run_ms"] == 1.5
    assert content["request"]["method"] == "POST"
    assert content["request"]["query"] == "a=1&api-key=[redacted]"
    assert content["request"]["headers"][1] == ["content-type", "application/json"]
    assert json.loads(content["request"]["body"]) == {"patient_id": "[redacted]", "a": 1}
    assert content["response"]["status"] == 200
    assert content["response"]["body"] == '{"b": 2}'
    assert content["redacted"] == [
        "request.headers.authorization",
        "request.query.api-key",
        "request.body.patient_id",
    ]


def test_bytes_that_are_no_text_are_kept_in_base64(tmp_path: Path) -> None:
    keeper = capture(tmp_path)

    keeper.take(REQUEST, b"\xff\x00", FINE, 0.0, "")
    keeper.close()

    (recording,) = recordings(tmp_path)
    assert recording.request.body is None
    assert recording.request.content == b"\xff\x00"


@pytest.mark.parametrize(
    ("status", "rate", "is_kept"),
    [
        (200, 0.0, False),
        (200, 1.0, True),
        (302, 0.0, False),
        (400, 0.0, True),
        (413, 0.0, True),
        (500, 0.0, True),
        # Strangers, and a server that is busy: thousands, all alike.
        (401, 0.0, False),
        (429, 0.0, False),
        (503, 0.0, False),
        (503, 1.0, True),
    ],
)
def test_failures_are_kept_and_successes_sampled(
    tmp_path: Path, status: int, rate: float, is_kept: bool
) -> None:
    keeper = capture(tmp_path, rate)

    keeper.take(REQUEST, b"", Response(status, []), 0.0, "")
    keeper.close()

    assert len(recordings(tmp_path)) == is_kept


def test_a_long_body_is_cut_and_says_so(tmp_path: Path) -> None:
    keeper = capture(tmp_path)

    keeper.take(REQUEST, b"x" * (2 * MIB), FAILED, 0.0, "")
    keeper.take(REQUEST, b"patient-id: 4711" + b"x" * (2 * MIB), FAILED, 0.0, "")
    keeper.close()

    plain, naming = (recording.request for recording in recordings(tmp_path))
    assert (plain.cut, plain.body_bytes, len(plain.content)) == ("size", 2 * MIB, MIB)
    assert (naming.cut, naming.content) == ("redaction", b"")


def test_a_compressed_body_is_not_kept(tmp_path: Path) -> None:
    keeper = capture(tmp_path)
    request = Request("POST", "/score", headers=[(b"content-encoding", b"gzip")])

    keeper.take(request, b"who knows", FAILED, 0.0, "")
    keeper.close()

    (recording,) = recordings(tmp_path)
    assert (recording.request.cut, recording.request.body_bytes) == ("redaction", 9)
    assert recording.request.content == b""


async def pieces(*items: bytes, is_complete: bool = True) -> AsyncIterator[bytes]:
    for item in items:
        yield item
    if not is_complete:
        raise StreamCut


@pytest.mark.parametrize(("is_complete", "rate"), [(True, 1.0), (False, 0.0)])
def test_a_stream_is_kept_when_it_is_over(tmp_path: Path, is_complete: bool, rate: float) -> None:
    keeper = capture(tmp_path, rate)
    body = pieces(b"one", b"two", is_complete=is_complete)

    async def read() -> list[bytes]:
        taken = keeper.take(REQUEST, b"", Response(200, [], body), 0.0, "").body
        items = []
        try:
            async for item in taken:  # type: ignore[union-attr]
                items.append(item)
        except StreamCut:
            pass
        await taken.aclose()  # type: ignore[union-attr]
        return items

    assert asyncio.run(read()) == [b"one", b"two"]
    keeper.close()
    (recording,) = recordings(tmp_path)
    assert recording.response.content == b"onetwo"
    assert recording.response.is_complete is is_complete
    assert recording.is_failure is not is_complete


def test_the_folder_stays_within_its_bound_and_the_oldest_go_first(tmp_path: Path) -> None:
    bound = 64 * 1024
    keeper = capture(tmp_path, max_bytes=bound)

    for number in range(100):
        keeper.take(REQUEST, b"%03d" % number + b"x" * 2000, FINE, 0.0, "")
    keeper.close()

    kept = [recording.request.content[:3] for recording in recordings(tmp_path)]
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= bound
    assert len(kept) > 10
    assert kept == [b"%03d" % number for number in range(100 - len(kept), 100)]


def file(folder: Path, second: int, status: str, size: int = 1000) -> str:
    path = folder / f"20260131T0000{second:02d}.000000Z-{status}-0000000{second % 10}.json"
    path.write_bytes(b"x" * size)
    return path.name


def test_successes_make_room_before_failures_do(tmp_path: Path) -> None:
    old_failure = file(tmp_path, 1, "500")
    broken_stream = file(tmp_path, 2, "cut")
    successes = [file(tmp_path, second, "200") for second in range(3, 13)]
    stranger = tmp_path / "notes.json"
    stranger.write_bytes(b"x" * 100_000)

    total = trim(str(tmp_path), 10_000)

    left = {path.name for path in tmp_path.iterdir()}
    assert total == 9000
    assert left == {old_failure, broken_stream, "notes.json", *successes[3:]}


def test_failures_do_not_drive_out_every_success(tmp_path: Path) -> None:
    success = file(tmp_path, 1, "200")
    for second in range(2, 30):
        file(tmp_path, second, "500")

    trim(str(tmp_path), 10_000)

    assert (tmp_path / success).exists()


def test_a_draft_that_nobody_finishes_is_removed(tmp_path: Path) -> None:
    old, new = tmp_path / ".recording-a.tmp", tmp_path / ".recording-b.tmp"
    for path in (old, new):
        path.write_bytes(b"")
    os.utime(old, (time.time() - 3600,) * 2)

    trim(str(tmp_path), 10_000)

    assert (old.exists(), new.exists()) == (False, True)


def test_a_disk_that_fails_is_said_once_and_costs_no_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = capture(tmp_path / "gone")

    answers = [keeper.take(REQUEST, b"", FAILED, 0.0, "") for _ in range(3)]
    keeper.close()

    assert answers == [FAILED] * 3
    assert caplog.text.count("A request could not be recorded") == 1


def test_what_does_not_fit_is_dropped_and_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(captures, "_WAITING_BYTES", 1000)
    keeper = capture(tmp_path)

    keeper.take(REQUEST, b"x" * 2000, FAILED, 0.0, "")
    keeper.take(REQUEST, b"x", FAILED, 0.0, "")
    keeper.close()

    assert len(recordings(tmp_path)) == 1
    assert "1 requests were not recorded: the disk does not keep up." in caplog.text


def test_a_folder_that_cannot_be_written_to_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(SettingsError, match="--record: Recordings cannot be written to") as error:
        open_folder(str(tmp_path / "file"), "--record")

    assert error.value.exit_status == 3


def test_a_folder_is_made_for_its_owner_only(tmp_path: Path) -> None:
    open_folder(str(tmp_path / "a" / "b"), "--record")

    assert stat.S_IMODE((tmp_path / "a" / "b").stat().st_mode) == 0o700
    assert list((tmp_path / "a" / "b").iterdir()) == []
