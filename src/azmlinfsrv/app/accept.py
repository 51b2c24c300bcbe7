"""Which of two forms of an answer the client would rather have (RFC 9110, 12.5.1)."""

from __future__ import annotations


def prefers_html(accept: bytes | None) -> bool:
    """Whether HTML is more welcome than JSON; without an ``Accept`` it is not."""
    if not accept:
        return False
    ranges = dict(map(_range, accept.lower().split(b",")))
    return _quality(ranges, b"text/html") > _quality(ranges, b"application/json")


def _range(text: bytes) -> tuple[bytes, float]:
    media, *parameters = (part.strip() for part in text.split(b";"))
    for parameter in parameters:
        if parameter.startswith(b"q="):
            try:
                return media, float(parameter[2:])
            except ValueError:
                return media, 0.0
    return media, 1.0


def _quality(ranges: dict[bytes, float], media: bytes) -> float:
    kind = media.partition(b"/")[0] + b"/*"
    return next((ranges[it] for it in (media, kind, b"*/*") if it in ranges), 0.0)
