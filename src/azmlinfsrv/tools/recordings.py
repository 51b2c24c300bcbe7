"""Recordings as requests: which are in a folder, and how one is sent again."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from azmlinfsrv.samples import SampleRequest, request_file
from azmlinfsrv.telemetry.recording import SUFFIX, Recording, decode_recording

# Of a connection, or of a body as it was sent then: the client says them itself.
_NOT_SENT = frozenset(
    (
        "host",
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "http2-settings",
        "expect",
        "content-length",
    )
)
_PATH_CHARACTERS = "/:@!$&'()*+,;=~"  # RFC 3986, 3.3


class RecordingError(ValueError):
    """A folder or a file of recordings cannot be used; the text says which and why."""


def recordings_in(folder: Path) -> list[Recording]:
    """Every recording of a folder, the oldest first; other files are left alone.

    Raises:
        RecordingError: there is none, or a file that is named like one is none.
    """
    if not folder.is_dir():
        raise RecordingError(f"{folder} is not a folder. Give the folder of --record.")
    found = [_read(path) for path in sorted(folder.glob(f"*Z-*{SUFFIX}"))]
    if not found:
        raise RecordingError(f"{folder} holds no recordings. azmlinfsrv --record writes them.")
    return found


def find_recording(recordings: list[Recording], wanted: str) -> Recording:
    """The one with this id or request id, or with an id that ends in *wanted*.

    Raises:
        RecordingError: there is none, or more than one.
    """
    found = [it for it in recordings if wanted in (it.id, it.request_id)]
    found = found or [it for it in recordings if it.id.endswith(wanted)]
    if len(found) != 1:
        ids = ", ".join(it.id for it in found) or "none"
        raise RecordingError(f"{wanted} has to name one recording, and names {ids}.")
    return found[0]


def reason_not_to_send(recording: Recording) -> str:
    """Why a recording cannot be sent again; empty if it can."""
    if recording.request.cut == "size":
        return "its body was not kept whole"
    if recording.request.cut:
        return "its body was not kept: it could not be redacted"
    return ""


def request_of(recording: Recording, headers: Mapping[str, str] | None = None) -> SampleRequest:
    """What is sent again: blanked headers are left out.

    Args:
        headers: Sent besides, or in place of those recorded.
    """
    request = recording.request
    blanked = {
        place.removeprefix("request.headers.")
        for place in recording.redacted
        if place.startswith("request.headers.")
    }
    given = dict(headers or {})
    left_out = _NOT_SENT | blanked | {name.lower() for name in given}
    sent: dict[str, str] = {}
    for name, value in request.headers:
        if name.lower() not in left_out:
            sent[name] = f"{sent[name]}, {value}" if name in sent else value
    path = quote(request.path, safe=_PATH_CHARACTERS)
    target = f"{path}?{request.query}" if request.query else path
    body = request.content if request.body_bytes else None
    return SampleRequest(request.method, target, {**sent, **given}, body)


def save_sample(recording: Recording, folder: Path, name: str) -> Path:
    """Write the request as a sample; its file. What the answer should be is for its reader.

    Raises:
        RecordingError: it was not kept whole, or there is a sample of that name.
    """
    if reason := reason_not_to_send(recording):
        raise RecordingError(f"{recording.id} cannot become a sample: {reason}.")
    if existing := sorted(folder.glob(f"{name}.*")):
        raise RecordingError(f"{existing[0]} exists already. Choose another --name.")
    folder.mkdir(parents=True, exist_ok=True)
    return request_file(folder, name, request_of(recording))


def _read(path: Path) -> Recording:
    try:
        return decode_recording(path.read_bytes())
    except ValueError as error:
        raise RecordingError(f"{path} is not a recording: {error}.") from error
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from error
