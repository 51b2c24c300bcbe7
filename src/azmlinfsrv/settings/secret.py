"""A value that must not be seen: it masks itself wherever it is printed."""

from __future__ import annotations

MASK = "********"


class Secret:
    """A text that only `reveal` shows; repr, str and format print a mask.

    It is not a `str`, so that no formatting, joining or JSON encoding shows it by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The text itself. Do not put the result in a message."""
        return self._value

    def __repr__(self) -> str:
        return f"Secret({MASK!r})"

    def __str__(self) -> str:
        return MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash((Secret, self._value))
