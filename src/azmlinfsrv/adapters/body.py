"""The body of a request: whether there is one, and the words in which it is refused."""

from __future__ import annotations

from azmlinfsrv.errors import BadInput, BodyTooLarge, RequestTimeout
from azmlinfsrv.messages import Headers


def declares_body(headers: Headers) -> bool:
    """Whether the head of a request announces a body (RFC 9112, 6.3)."""
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in headers
    )


def too_large(limit_bytes: int) -> BodyTooLarge:
    """The body is over the limit."""
    return BodyTooLarge(f"The request body is over the limit of {limit_bytes} bytes.")


def truncated(body_bytes: int) -> BadInput:
    """The body ended early (D10)."""
    return BadInput(f"The request body ended after {body_bytes} bytes, before it was complete.")


def late() -> RequestTimeout:
    """The body paused, or came so slowly, that nobody waits for the rest."""
    return RequestTimeout("The request body was not complete in time.")
