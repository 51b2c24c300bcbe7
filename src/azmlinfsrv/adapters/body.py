"""How a body that cannot be taken is refused: the same words on every server."""

from __future__ import annotations

from azmlinfsrv.errors import BadInput, BodyTooLarge, RequestTimeout


def too_large(limit_bytes: int) -> BodyTooLarge:
    """The body is over the limit."""
    return BodyTooLarge(f"The request body is over the limit of {limit_bytes} bytes.")


def truncated(body_bytes: int) -> BadInput:
    """The body ended early (D10)."""
    return BadInput(f"The request body ended after {body_bytes} bytes, before it was complete.")


def late() -> RequestTimeout:
    """The body paused, or came so slowly, that nobody waits for the rest."""
    return RequestTimeout("The request body was not complete in time.")
