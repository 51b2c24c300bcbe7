"""Sends a case, and reads what comes back until the server has no more to say."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass

from tests.hostile.case import TOKEN, Case

# Longer than every limit of the server under test, and than its closing takes.
HANG_S = 8.0


@dataclass(frozen=True)
class Outcome:
    """What came back.

    Attributes:
        statuses: Of the final answers, in order.
        continues: How many ``100 Continue`` there were.
        rest: Bytes that are no whole answer.
        is_hanging: The server neither answered nor closed in time.
    """

    statuses: tuple[int, ...]
    continues: int
    rest: bytes
    is_hanging: bool

    def faults(self, case: Case) -> list[str]:
        """What *case* does not allow, in words."""
        first = self.statuses[0] if self.statuses else 0
        checks = {
            "hangs": self.is_hanging,
            "5xx": any(status >= 500 for status in self.statuses),
            "too many answers": len(self.statuses) > case.answers,
            "the first answer": first not in case.statuses,
            "too many 100": self.continues > case.continues,
            "bytes that are no answer": bool(self.rest),
        }
        return [name for name, is_so in checks.items() if is_so]


def attack(port: int, case: Case, token: bytes) -> Outcome:
    """Send the case's bytes, the token in place, on a connection of their own.

    When all the answers that may come are there, we say that we have no more to send, and
    read on: a second answer to one request would come then.
    """
    deadline = time.monotonic() + HANG_S
    received, has_ended, is_hanging = b"", False, False
    head_only = case.data.startswith(b"HEAD ")
    with socket.create_connection(("127.0.0.1", port), HANG_S) as connection:
        try:
            connection.sendall(case.data.replace(TOKEN, token))
        except OSError:
            pass  # refused and closed while we were sending
        while True:
            if not has_ended and len(parse(received, head_only)[0]) >= case.answers:
                has_ended = True
                try:
                    connection.shutdown(socket.SHUT_WR)
                except OSError:
                    pass  # closed by the server already
            left = deadline - time.monotonic()
            connection.settimeout(max(left, 0.001))
            try:
                piece = connection.recv(65536)
            except TimeoutError:
                is_hanging = True
                break
            except ConnectionError:
                break
            if not piece:
                break
            received += piece
    statuses, continues, rest = parse(received, head_only)
    return Outcome(tuple(statuses), continues, rest, is_hanging)


def parse(data: bytes, head_only: bool = False) -> tuple[list[int], int, bytes]:
    """Final statuses, how many interim ones, and the bytes behind the last whole answer."""
    statuses: list[int] = []
    continues = 0
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        first, *fields = head.split(b"\r\n")
        if not end or not first.startswith(b"HTTP/1."):
            return statuses, continues, data
        status = int(first.split(b" ")[1])
        if status < 200:
            continues += 1
            data = rest
            continue
        named = (field.partition(b":") for field in fields)
        values = {name.strip().lower(): value.strip() for name, _, value in named}
        size = 0 if head_only else int(values.get(b"content-length", b"0"))
        if len(rest) < size:
            return statuses, continues, data
        statuses.append(status)
        data = rest[size:]
