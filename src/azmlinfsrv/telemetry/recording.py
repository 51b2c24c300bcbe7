"""One request and its answer, as they are kept in a file: what `--record` writes.

The form is part of the documentation (``docs/how-to/record-and-replay.md``). Writing and
reading it is all that happens here; what is kept, and where, is `capture`'s.
"""

from __future__ import annotations

import base64
from typing import Literal, TypeAlias

import msgspec
from msgspec import Struct

from azmlinfsrv.messages import Buffer

# What stands in place of a value that must not reach the disk.
REDACTED = "[redacted]"
SUFFIX = ".json"

TextHeaders: TypeAlias = "list[tuple[str, str]]"


class RecordedBody(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A body, and what became of it.

    Attributes:
        body: The text, if it is UTF-8.
        body_base64: The bytes, if it is not.
        body_bytes: How long the whole body was.
        cut: Why not all of it is here: ``size`` (what is here is its beginning) or
            ``redaction`` (it named a redacted field in a place that could not be blanked, or
            was compressed).
    """

    body: str | None = None
    body_base64: str | None = None
    body_bytes: int = 0
    cut: Literal["", "size", "redaction"] = ""

    @property
    def content(self) -> bytes:
        """The bytes that were kept."""
        if self.body_base64 is not None:
            return base64.b64decode(self.body_base64)
        return (self.body or "").encode()


class RecordedRequest(RecordedBody, frozen=True, kw_only=True, omit_defaults=True):
    """What was asked. *path* is percent-decoded, *query* is not."""

    method: str
    path: str
    query: str = ""
    headers: TextHeaders = []

    def header(self, name: str) -> str:
        """The first value of a header, whose name is in lower case; empty if absent."""
        return next((value for key, value in self.headers if key.lower() == name), "")


class RecordedResponse(RecordedBody, frozen=True, kw_only=True, omit_defaults=True):
    """What was answered; *is_complete* is false for a stream that broke off."""

    status: int
    headers: TextHeaders = []
    is_complete: bool = True


class Recording(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One request and its answer.

    Attributes:
        id: Sorts by time; the name of the file without its suffix.
        time: When the request arrived, ISO 8601 in UTC.
        request_id: As in the log and in ``x-request-id``.
        duration_ms: From arrival to answer; of a stream, to its end.
        run_ms: The time in ``run()``; None if it did not return.
        redacted: Places of what was blanked, as ``request.headers.authorization``.
    """

    id: str
    time: str
    request_id: str
    duration_ms: float
    run_ms: float | None = None
    request: RecordedRequest
    response: RecordedResponse
    redacted: list[str] = []

    @property
    def is_failure(self) -> bool:
        """It was not answered well: status 400 or above, or a stream that broke off."""
        return self.response.status >= 400 or not self.response.is_complete


def encode_recording(recording: Recording) -> bytes:
    """The content of its file: JSON, indented, UTF-8."""
    return msgspec.json.format(msgspec.json.encode(recording), indent=1) + b"\n"


def decode_recording(content: bytes) -> Recording:
    """The recording in a file.

    Raises:
        ValueError: it is none.
    """
    return msgspec.json.decode(content, type=Recording)


def text_and_base64(content: Buffer) -> tuple[str | None, str | None]:
    """A body for `RecordedBody`: as text if it is UTF-8, else in base64."""
    try:
        return bytes(content).decode(), None
    except UnicodeDecodeError:
        return None, base64.b64encode(content).decode()
