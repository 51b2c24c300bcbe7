"""Recorded requests, sent again: what is answered differently now."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from azmlinfsrv.comparison import (
    EXACT,
    Difference,
    Expected,
    Tolerance,
    body_as_expected,
    differences,
)
from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.telemetry.recording import Recording
from azmlinfsrv.tools.client import Address, Answer, Client, NoAnswer
from azmlinfsrv.tools.peers import under_prefix
from azmlinfsrv.tools.recordings import reason_not_to_send, request_of

_TYPE = "content-type"


@dataclass(frozen=True, slots=True)
class Replayed:
    """What became of one recording.

    Attributes:
        answer: None if there was none, or nothing was sent.
        found: How it differs from the recorded answer.
        notes: What was blanked or not kept, and so neither sent nor compared.
        skipped: Why it was not sent; empty if it was.
    """

    recording: Recording
    answer: Answer | None
    found: tuple[Difference, ...]
    notes: tuple[str, ...] = ()
    skipped: str = ""

    @property
    def verdict(self) -> Literal["same", "different", "skipped"]:
        """In a word."""
        if self.skipped:
            return "skipped"
        return "different" if self.found else "same"

    @property
    def duration_ms(self) -> float | None:
        """From sending the request to the last byte."""
        return None if self.answer is None else round(self.answer.duration_s * 1000, 3)

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        then = self.recording
        return {
            "id": then.id,
            "request_id": then.request_id,
            "verdict": self.verdict,
            "skipped": self.skipped or None,
            "status": {
                "then": then.response.status,
                "now": None if self.answer is None else self.answer.status,
            },
            "duration_ms": {"then": then.duration_ms, "now": self.duration_ms},
            "differences": [{"path": it.path, "text": it.text} for it in self.found],
            "notes": list(self.notes),
        }


def replay(
    recordings: Iterable[Recording],
    address: Address,
    *,
    tolerance: Tolerance = EXACT,
    ignore: tuple[str, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Iterator[Replayed]:
    """Send each recording and compare; one after the other.

    Args:
        ignore: Paths that are not compared, as in samples: ``body.id``.
        headers: Sent with each request, in place of what was blanked for one.
    """
    client = Client(address)
    try:
        for recording in recordings:
            request = under_prefix(request_of(recording, headers), address)
            yield _replay_one(recording, request, client, tolerance, ignore, headers or {})
    finally:
        client.close()


def median_ms(outcomes: Iterable[Replayed]) -> tuple[float, float] | None:
    """Then and now, in the middle; None if nothing was answered."""
    pairs = [
        (it.recording.duration_ms, it.duration_ms) for it in outcomes if it.duration_ms is not None
    ]
    if not pairs:
        return None
    return median(then for then, _ in pairs), median(now for _, now in pairs)


def _replay_one(
    recording: Recording,
    request: SampleRequest,
    client: Client,
    tolerance: Tolerance,
    ignore: tuple[str, ...],
    headers: Mapping[str, str],
) -> Replayed:
    if reason := reason_not_to_send(recording):
        return Replayed(recording, None, (), skipped=reason)
    notes = tuple(_notes(recording, headers))
    then = recording.response
    try:
        answer = client.send(request)
    except NoAnswer as error:
        # A stream that broke off then and does so now has not changed.
        was = "an answer" if then.is_complete else "a stream that broke off"
        gone = Difference("answer", f"is none ({error}), expected {was}")
        return Replayed(recording, None, (gone,) if then.is_complete else (), notes)
    found = list(differences(answer, _expected(recording, tolerance, ignore)))
    if not then.is_complete:
        found.append(Difference("answer", "is complete, expected a stream that breaks off"))
    elif then.cut == "size" and "body" not in ignore:
        found += _cut_differences(answer, recording)
    return Replayed(recording, answer, tuple(found), notes)


def _expected(recording: Recording, tolerance: Tolerance, ignore: tuple[str, ...]) -> Expected:
    then = recording.response
    headers = {name.lower(): value for name, value in then.headers}
    recorded = Answer(then.status, headers, then.content)
    # What was blanked cannot be compared.
    blanked = tuple(
        place.removeprefix("response.")
        for place in recording.redacted
        if place.startswith("response.body.")
    )
    is_whole = then.is_complete and not then.cut
    return Expected(
        then.status,
        {_TYPE: headers[_TYPE]} if _TYPE in headers else {},
        body_as_expected(recorded) if is_whole else None,
        tolerance,
        (*ignore, *blanked),
    )


def _cut_differences(answer: Answer, recording: Recording) -> Iterator[Difference]:
    """Of a body whose beginning was kept."""
    then = recording.response
    if not answer.body.startswith(then.content):
        begin = f"in its first {len(then.content)} bytes, which were kept"
        yield Difference("body", f"differs {begin}")
    elif len(answer.body) != then.body_bytes:
        yield Difference("body", f"has {len(answer.body)} bytes, expected {then.body_bytes}")


def _notes(recording: Recording, headers: Mapping[str, str]) -> Iterator[str]:
    given = {name.lower() for name in headers}
    for place in recording.redacted:
        part, _, name = place.removeprefix("request.").partition(".")
        if place.startswith("response."):
            yield f"{place} was redacted: not compared"
        elif part != "headers":
            yield f"{place} was redacted: sent blanked"
        elif name not in given:
            yield f"{place} was redacted: not sent (--header sends one)"
    if recording.response.cut == "redaction":
        yield "response.body was not kept: not compared"
