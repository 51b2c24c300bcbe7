"""Requests one after the other, and their answers whole: for tools that look at each."""

from __future__ import annotations

import http.client
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from azmlinfsrv.samples import SampleRequest

TIMEOUT_S = 60.0


class NoAnswer(Exception):
    """The server closed, refused or kept silent; the text says which."""


class BadUrl(ValueError):
    """What was given is no address of an HTTP server."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One HTTP response.

    Attributes:
        headers: By name in lower case; a name that came twice has its values joined.
        duration_s: From sending the request to the last byte.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    duration_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server listens."""

    scheme: str
    host: str
    port: int
    path: str = ""

    @property
    def url(self) -> str:
        """Without the path."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}"


def parse_url(url: str) -> Address:
    """The address in a URL; ``http`` is taken for granted.

    Raises:
        BadUrl: it is none.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        port = parts.port
    except ValueError as error:
        raise BadUrl(f"{url!r} is not a URL: {error}.") from error
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadUrl(f"{url!r} is not the URL of a server. Write http://host:port/score.")
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    default = 443 if parts.scheme == "https" else 80
    return Address(parts.scheme, parts.hostname, port or default, path)


class Client:
    """A connection that stays open, and is opened again when it is not."""

    def __init__(self, address: Address, timeout_s: float = TIMEOUT_S) -> None:
        kind = (
            http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
        )
        self._connection = kind(address.host, address.port, timeout=timeout_s)

    def send(self, request: SampleRequest, headers: Mapping[str, str] | None = None) -> Answer:
        """The answer to *request*, sent with *headers* besides its own.

        Raises:
            NoAnswer: none came.
        """
        sent_s = time.perf_counter()
        try:
            self._connection.request(
                request.method,
                request.path,
                request.body,
                {**request.headers, **(headers or {})},
            )
            response = self._connection.getresponse()
            body = response.read()
        except TimeoutError as error:
            self.close()
            raise NoAnswer("no answer in time") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise NoAnswer(str(error) or type(error).__name__) from error
        duration_s = time.perf_counter() - sent_s
        found: dict[str, str] = {}
        for name, value in response.getheaders():
            key = name.lower()
            found[key] = f"{found[key]}, {value}" if key in found else value
        return Answer(response.status, found, body, duration_s)

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        self._connection.close()
