"""The same requests to two servers: every difference between their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from azmlinfsrv.comparison import (
    EXACT,
    Difference,
    Tolerance,
    answer_as_expected,
    differences,
)
from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.client import Address, Answer, Client, NoAnswer
from azmlinfsrv.tools.peers import under_prefix

# Headers that differ by nature: time and ids are new with each answer, a server names itself,
# and the rest is about the connection (RFC 9110, 7.6.1) or follows from the body.
BY_NATURE = frozenset(
    (
        "date",
        "server",
        "server-timing",
        "x-ms-run-fn-exec-ms",
        "x-ms-server-version",
        "x-request-id",
        "x-ms-request-id",
        "traceparent",
        "tracestate",
        "connection",
        "keep-alive",
        "transfer-encoding",
        "content-length",
    )
)


@dataclass(frozen=True, slots=True)
class Compared:
    """The two answers to one request.

    Attributes:
        first, second: None if none came.
        found: How the second differs from the first.
        is_rewritten: The bodies are equal as compared, but not byte for byte.
    """

    name: str
    first: Answer | None
    second: Answer | None
    found: tuple[Difference, ...]
    is_rewritten: bool = False

    def as_data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "name": self.name,
            "is_same": not self.found,
            "first": _data_of(self.first),
            "second": _data_of(self.second),
            "differences": [{"path": it.path, "text": it.text} for it in self.found],
            "is_rewritten": self.is_rewritten,
        }


def compare(
    requests: Iterable[tuple[str, SampleRequest]],
    first: Address,
    second: Address,
    *,
    tolerance: Tolerance = EXACT,
    ignore: tuple[str, ...] = (),
    is_exact: bool = False,
) -> Iterator[Compared]:
    """Send each request to both, and compare status, headers and body.

    Args:
        requests: With a name each.
        ignore: Paths that are not compared: ``header.x-mine``, ``body.time``.
        is_exact: A body that is not the same byte for byte is a difference, too.
    """
    addresses = (first, second)
    clients = [Client(address) for address in addresses]
    try:
        for name, request in requests:
            answers = [
                _ask(client, under_prefix(request, address))
                for client, address in zip(clients, addresses, strict=True)
            ]
            yield compare_answers(name, answers[0], answers[1], tolerance, ignore, is_exact)
    finally:
        for client in clients:
            client.close()


def compare_answers(
    name: str,
    first: Answer | str,
    second: Answer | str,
    tolerance: Tolerance,
    ignore: tuple[str, ...],
    is_exact: bool,
) -> Compared:
    """The comparison of two answers, or of words on why there is none."""
    if isinstance(first, str) or isinstance(second, str):
        both = isinstance(first, str) and isinstance(second, str)
        words = [f"none ({it})" if isinstance(it, str) else "an answer" for it in (first, second)]
        found = () if both else (Difference("answer", f"is {words[1]}, expected {words[0]}"),)
        kept = [None if isinstance(it, str) else it for it in (first, second)]
        return Compared(name, kept[0], kept[1], found)
    names = sorted((first.headers.keys() | second.headers.keys()) - BY_NATURE)
    expected = answer_as_expected(first, names, tolerance, ignore)
    differing = list(differences(second, expected))
    is_rewritten = first.body != second.body and not any(
        it.path.startswith("body") for it in differing
    )
    if is_rewritten and is_exact and "body" not in ignore:
        differing.append(Difference("body", "is equal as compared, but not byte for byte"))
    return Compared(name, first, second, tuple(differing), is_rewritten)


def medians_ms(outcomes: Iterable[Compared]) -> tuple[float, float] | None:
    """The middle duration of each, of the requests that both answered."""
    pairs = [
        (it.first.duration_s * 1000, it.second.duration_s * 1000)
        for it in outcomes
        if it.first is not None and it.second is not None
    ]
    if not pairs:
        return None
    return median(one for one, _ in pairs), median(two for _, two in pairs)


def _ask(client: Client, request: SampleRequest) -> Answer | str:
    try:
        return client.send(request)
    except NoAnswer as error:
        return str(error)


def _data_of(answer: Answer | None) -> Mapping[str, Any] | None:
    if answer is None:
        return None
    return {"status": answer.status, "duration_ms": round(answer.duration_s * 1000, 3)}
