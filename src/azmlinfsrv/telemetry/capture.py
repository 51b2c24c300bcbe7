"""Keeps requests and their answers in a folder (`--record`): failures, and some successes.

A request never waits for it and never fails by it. The event loop hands over what is to be
kept; a thread blanks what must not be seen, writes the file, and keeps the folder within
its bound. What the thread does not get done is dropped, counted, and the count is logged.

The folder is a ring: when it is full the oldest recordings go, those of successes first as
long as they fill more than half of it. Several processes may share it.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import re
import secrets
import tempfile
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from random import Random
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.messages import BUFFERS, Buffer, Request, Response
from azmlinfsrv.telemetry.recording import (
    SUFFIX,
    RecordedRequest,
    RecordedResponse,
    Recording,
    TextHeaders,
    encode_recording,
    text_and_base64,
)
from azmlinfsrv.telemetry.redaction import Redactor

_log = logging.getLogger("azmlinfsrv")

# Of a longer body its beginning is kept; a part of the folder's bound if that is small.
_BODY_BYTES = 1024 * 1024
_BODY_PART_OF_FOLDER = 8
# Held in memory until the disk takes it.
_WAITING_BYTES = 32 * 1024 * 1024
# A full folder is emptied down to this part, so that not every file costs a listing.
_KEEP_PART = 0.9
# How often the folder is listed anew, in seconds: other processes write to it as well.
_LIST_EVERY_S = 10.0
# How often one kind of trouble is logged, in seconds.
_SAY_EVERY_S = 60.0
_CLOSE_S = 2.0
# Left behind by a process that was killed while it wrote.
_STALE_S = 60.0
# Answers without run(), all alike, of which there can be thousands: to strangers, and of a
# server that is busy.
_MANY = frozenset((401, 429, 503))

_NAME = re.compile(r"\d{8}T\d{6}\.\d{6}Z-(\d{3}|cut)-[0-9a-f]{8}\.json")


class Taken(Struct, frozen=True):
    """What the event loop hands over: nothing in it changes any more."""

    request: Request
    body: bytes
    body_bytes: int
    response: Response
    answer: bytes
    answer_bytes: int
    is_complete: bool
    arrived_s: float
    seconds: float
    request_id: str


class Capture:
    """The folder of recordings.

    Args:
        folder: Exists and can be written to (see `open_folder`).
        sample_rate: Part of the successes that is kept, 0.0 to 1.0; failures all are.
        max_bytes: Bound of the folder.
        names: Headers and fields to be blanked, besides those that always are.
    """

    def __init__(self, folder: str, sample_rate: float, max_bytes: int, names: list[str]) -> None:
        self._sample_rate = sample_rate
        self._random = Random()
        self._body_bytes = min(_BODY_BYTES, max_bytes // _BODY_PART_OF_FOLDER)
        self._writer = _Writer(folder, max_bytes, Redactor(names))

    def take(
        self, request: Request, body: Buffer, response: Response, seconds: float, request_id: str
    ) -> Response:
        """Keep an exchange if it is one to keep; the response to be sent.

        Args:
            body: Of the request; empty if it was not read.
            seconds: From arrival until now.
        """
        answer = response.body
        is_whole = isinstance(answer, BUFFERS)
        is_wanted = self._is_wanted(response.status)
        if is_whole and not is_wanted:
            return response
        taken = Taken(
            request=request,
            body=bytes(body[: self._body_bytes]),
            body_bytes=len(body),
            response=response,
            answer=bytes(answer[: self._body_bytes]) if isinstance(answer, BUFFERS) else b"",
            answer_bytes=len(answer) if isinstance(answer, BUFFERS) else 0,
            is_complete=True,
            arrived_s=time.time() - seconds,
            seconds=seconds,
            request_id=request_id,
        )
        if is_whole:
            self._writer.put(taken)
            return response
        tee = _Tee(answer, taken, self._writer.put, self._body_bytes, is_wanted)  # type: ignore[arg-type]  # asynchronous on this side of the wall
        return replace(response, body=tee)

    def close(self) -> None:
        """Write what is held, for two seconds at most."""
        self._writer.close()

    def _is_wanted(self, status: int) -> bool:
        if status >= 400 and status not in _MANY:
            return True
        return self._random.random() < self._sample_rate


class _Tee:
    """The body of a streamed answer; when it is over, what was kept of it is handed on."""

    def __init__(
        self,
        items: AsyncIterator[bytes],
        taken: Taken,
        put: Callable[[Taken], None],
        limit_bytes: int,
        is_wanted: bool,
    ) -> None:
        self._items = items
        self._taken = taken
        self._put = put
        self._limit_bytes = limit_bytes
        self._is_wanted = is_wanted
        self._kept = bytearray()
        self._bytes = 0
        self._is_over = False

    def __aiter__(self) -> _Tee:
        return self

    async def __anext__(self) -> bytes:
        try:
            item = await self._items.__anext__()
        except StopAsyncIteration:
            self._end(is_complete=True)
            raise
        except BaseException:  # cut, whatever by: it is a failure worth keeping
            self._is_wanted = True
            self._end(is_complete=False)
            raise
        self._bytes += len(item)
        self._kept += item[: max(0, self._limit_bytes - len(self._kept))]
        return item

    async def aclose(self) -> None:
        """Nobody reads any more: all is read, or the caller has left."""
        self._is_over = True
        await self._items.aclose()  # type: ignore[attr-defined]  # our streams have it

    def _end(self, *, is_complete: bool) -> None:
        if self._is_over or not self._is_wanted:
            return
        self._is_over = True
        self._put(
            replace(
                self._taken,
                answer=bytes(self._kept),
                answer_bytes=self._bytes,
                is_complete=is_complete,
                seconds=time.time() - self._taken.arrived_s,
            )
        )


class _Writer:
    """The thread, its queue, and the folder."""

    def __init__(self, folder: str, max_bytes: int, redactor: Redactor) -> None:
        self._folder = folder
        self._max_bytes = max_bytes
        self._redactor = redactor
        self._waiting: deque[Taken] = deque()
        # Each is changed on one side only (see `sink.Sink`).
        self._taken_bytes = 0
        self._written_bytes = 0
        self._dropped = 0
        self._wake = threading.Event()
        self._is_closing = False
        self._thread: threading.Thread | None = None  # would not survive a fork
        self._folder_bytes = 0
        self._listed_s = -_LIST_EVERY_S
        self._said_s: dict[str, float] = {}

    def put(self, taken: Taken) -> None:
        size = _size_of(taken)
        if self._taken_bytes - self._written_bytes + size > _WAITING_BYTES:
            self._dropped += 1
            return
        self._taken_bytes += size
        self._waiting.append(taken)
        self._wake.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="recorder", daemon=True)
            self._thread.start()
            atexit.register(self.close)

    def close(self) -> None:
        thread, self._is_closing = self._thread, True
        if thread is not None:
            self._wake.set()
            thread.join(_CLOSE_S)
            atexit.unregister(self.close)
        self._thread, self._is_closing = None, False

    def _run(self) -> None:
        reported = 0
        while True:
            self._wake.wait()
            self._wake.clear()
            is_closing = self._is_closing
            while self._waiting:
                taken = self._waiting.popleft()
                try:
                    self._write(taken)
                except Exception as error:  # noqa: BLE001  # whatever it is, serving goes on
                    self._say(type(error).__name__, f"A request could not be recorded: {error}")
                self._written_bytes += _size_of(taken)
            if self._dropped > reported:
                count = self._dropped - reported
                reported += count
                self._say("", f"{count} requests were not recorded: the disk does not keep up.")
            if is_closing:
                return

    def _say(self, kind: str, text: str) -> None:
        now_s = time.monotonic()
        if now_s - self._said_s.get(kind, -_SAY_EVERY_S) >= _SAY_EVERY_S:
            self._said_s[kind] = now_s
            _log.warning("%s", text)

    # --- files --------------------------------------------------------------------------

    def _write(self, taken: Taken) -> None:
        recording = recording_of(taken, self._redactor)
        content = encode_recording(recording)
        descriptor, draft = tempfile.mkstemp(".tmp", ".recording-", self._folder)  # mode 0600
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
            os.replace(draft, os.path.join(self._folder, recording.id + SUFFIX))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft)
            raise
        self._folder_bytes += len(content)
        now_s = time.monotonic()
        if self._folder_bytes > self._max_bytes or now_s - self._listed_s >= _LIST_EVERY_S:
            self._listed_s = now_s
            self._folder_bytes = trim(self._folder, self._max_bytes)


class _Kept(Struct, frozen=True):
    name: str
    size: int
    is_failure: bool


def trim(folder: str, max_bytes: int) -> int:
    """Remove the oldest recordings until the folder is within its bound; its bytes then."""
    files = sorted(_recordings(folder), key=lambda kept: kept.name, reverse=True)
    total = sum(kept.size for kept in files)
    if total <= max_bytes:
        return total
    # The oldest is at the end of each.
    failures = [kept for kept in files if kept.is_failure]
    successes = [kept for kept in files if not kept.is_failure]
    of_successes = sum(kept.size for kept in successes)
    while total > max_bytes * _KEEP_PART:
        is_success = bool(successes) and (of_successes > max_bytes / 2 or not failures)
        oldest = (successes if is_success else failures).pop()
        with contextlib.suppress(FileNotFoundError):  # another process was quicker
            os.unlink(os.path.join(folder, oldest.name))
        total -= oldest.size
        of_successes -= oldest.size if is_success else 0
    return total


def _recordings(folder: str) -> Iterator[_Kept]:
    with os.scandir(folder) as entries:
        for entry in entries:
            name = _NAME.fullmatch(entry.name)
            is_draft = entry.name.startswith(".recording-")
            if not (name or is_draft):
                continue
            with contextlib.suppress(FileNotFoundError):
                facts = entry.stat()
                if name:
                    is_failure = name[1] == "cut" or int(name[1]) >= 400
                    yield _Kept(entry.name, facts.st_size, is_failure)
                elif time.time() - facts.st_mtime > _STALE_S:
                    os.unlink(entry.path)


def recording_of(taken: Taken, redactor: Redactor) -> Recording:
    """The recording of an exchange, with nothing in it that must not be seen."""
    request, response = taken.request, taken.response
    redacted: list[str] = []
    sent, names = redactor.headers(request.headers)
    redacted += [f"request.headers.{name}" for name in names]
    query, names = redactor.query(request.query.decode("latin-1"))
    redacted += [f"request.query.{name}" for name in names]
    answered, answer_names = redactor.headers(response.headers)
    body = _body(taken.body, taken.body_bytes, sent, redactor)
    answer = _body(taken.answer, taken.answer_bytes, answered, redactor)
    redacted += [f"request.body.{place}" for place in body.pop("places")]
    redacted += [f"response.headers.{name}" for name in answer_names]
    redacted += [f"response.body.{place}" for place in answer.pop("places")]
    whole_s, fraction = divmod(taken.arrived_s, 1)
    clock = time.gmtime(whole_s)
    microseconds = f".{int(fraction * 1e6):06d}Z"
    end = str(response.status) if taken.is_complete else "cut"
    stamp = time.strftime("%Y%m%dT%H%M%S", clock) + microseconds
    timings = response.timings
    return Recording(
        id=f"{stamp}-{end}-{secrets.token_hex(4)}",
        time=time.strftime("%Y-%m-%dT%H:%M:%S", clock) + microseconds,
        request_id=taken.request_id,
        duration_ms=round(taken.seconds * 1000, 3),
        run_ms=None if timings is None else round(timings.run_s * 1000, 3),
        request=RecordedRequest(
            method=request.method, path=request.path, query=query, headers=sent, **body
        ),
        response=RecordedResponse(
            status=response.status, headers=answered, is_complete=taken.is_complete, **answer
        ),
        redacted=redacted,
    )


def _body(
    content: bytes, whole_bytes: int, headers: TextHeaders, redactor: Redactor
) -> dict[str, Any]:
    """The fields of a `RecordedBody`, and ``places`` that were blanked."""
    kept: bytes | None = content
    places: list[str] = []
    cut = ""
    if content and _value_of(headers, "content-encoding").lower() not in ("", "identity"):
        kept = None  # what is in it cannot be seen
    elif whole_bytes > len(content):
        cut = "size"
        kept = content if redactor.may_keep_part(content) else None
    else:
        kept, places = redactor.body(content, _value_of(headers, "content-type"))
    if kept is None:
        return {"body_bytes": whole_bytes, "cut": "redaction", "places": places}
    text, encoded = text_and_base64(kept)
    return {
        "body": text,
        "body_base64": encoded,
        "body_bytes": whole_bytes,
        "cut": cut,
        "places": places,
    }


def _value_of(headers: TextHeaders, wanted: str) -> str:
    return next((value for name, value in headers if name.lower() == wanted), "")


def _size_of(taken: Taken) -> int:
    """About what it holds in memory, in bytes."""
    headers = (*taken.request.headers, *taken.response.headers)
    return len(taken.body) + len(taken.answer) + sum(100 + len(n) + len(v) for n, v in headers)


def open_folder(folder: str, setting: str) -> None:
    """Make the folder if need be, and see that recordings can be written and listed there.

    Args:
        setting: The name the user gave the folder by.
    Raises:
        SettingsError: they cannot; says why.
    """
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        descriptor, trial = tempfile.mkstemp(".tmp", ".recording-", folder)
        os.close(descriptor)
        os.unlink(trial)
        os.listdir(folder)
    except OSError as error:
        reason = error.strerror or str(error)
        text = (
            f"Recordings cannot be written to {folder}: {reason}. Choose a folder that can be "
            "written to"
        )
        raise SettingsError([(setting, text)]) from error
