"""How a malformed setting is reported; log queries match the shape (R2.8)."""

from __future__ import annotations

_OPENING = "===============Configuration Error================="
_CLOSING = "==================================================="


def configuration_error_text(name: str, message: str) -> str:
    """The message of the CRITICAL record for one setting; it starts with a newline."""
    return f"\n{_OPENING}\n{name}: {message} (environment variable: {name})\n{_CLOSING}"
