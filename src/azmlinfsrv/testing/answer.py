"""What a `ScoringClient` gives back."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any

_SHOWN_BYTES = 200


class AnswerHeaders(Mapping[str, str]):
    """Headers by name, in any case; what is given several times is joined with a comma."""

    def __init__(self, pairs: Iterable[tuple[str, str]]) -> None:
        self._values: dict[str, str] = {}
        for name, value in pairs:
            key = name.lower()
            self._values[key] = f"{self._values[key]}, {value}" if key in self._values else value

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return repr(self._values)


class Head:
    """The part of an answer that comes before its body.

    Attributes:
        status: The status code.
        reason: The reason phrase.
        header_list: Names and values as they came, in their order.
        headers: The same, to look up by name.
    """

    def __init__(self, status: int, reason: str, header_list: list[tuple[str, str]]) -> None:
        self.status = status
        self.reason = reason
        self.header_list = header_list
        self.headers: Mapping[str, str] = AnswerHeaders(header_list)


class Answer(Head):
    """A whole answer.

    Attributes:
        body: The bytes of the body.
    """

    def __init__(self, head: Head, body: bytes) -> None:
        super().__init__(head.status, head.reason, head.header_list)
        self.body = body

    @property
    def text(self) -> str:
        """The body as text, UTF-8."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Any:
        """The value of the body.

        Raises:
            ValueError: it is not JSON; the text shows its beginning.
        """
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise ValueError(f"the body is not JSON ({error}): {self!r}") from None

    def __repr__(self) -> str:
        body = repr(self.body[:_SHOWN_BYTES]) + ("..." if len(self.body) > _SHOWN_BYTES else "")
        return f"<Answer {self.status} {body}>"


class StreamedAnswer(Head):
    """An answer whose body is read piece by piece: iterate, or `read` the rest.

    Close it, or use it in a ``with`` block: the script's generator is closed with it.
    """

    def __init__(self, head: Head, pieces: Generator[bytes]) -> None:
        super().__init__(head.status, head.reason, head.header_list)
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        """The pieces.

        Raises:
            IncompleteAnswer: the stream broke off.
        """
        return self._pieces

    def read(self) -> bytes:
        """All that is left.

        Raises:
            IncompleteAnswer: the stream broke off.
        """
        received = bytearray()
        try:
            for piece in self._pieces:
                received += piece
        except IncompleteAnswer:
            raise IncompleteAnswer(Answer(self, bytes(received))) from None
        return bytes(received)

    def close(self) -> None:
        """Leave, as a client that hangs up does."""
        self._pieces.close()

    def __enter__(self) -> StreamedAnswer:
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()


class IncompleteAnswer(Exception):
    """A stream broke off: the script's generator raised, or its process ended.

    Attributes:
        answer: What had come until then, if it was read at once.
    """

    def __init__(self, answer: Answer | None = None) -> None:
        shown = "" if answer is None else f" after {answer!r}"
        super().__init__(f"the stream broke off{shown}; the log says why")
        self.answer = answer
