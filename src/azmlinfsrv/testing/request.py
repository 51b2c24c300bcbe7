"""What a test sends."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class TestRequest:
    """One request, as it goes out.

    Attributes:
        target: Path and query, percent-encoded.
        headers: In the order they are sent.
        port: Of the server, for ``Host``.
    """

    __test__ = False  # pytest collects what is named like this

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    port: int


def build_request(
    method: str, target: str, data: Any, headers: Mapping[str, str], port: int
) -> TestRequest:
    """The request for *data*.

    Args:
        data: Bytes are sent as they are, a text in UTF-8, None as an empty body, and
            anything else as JSON, with the content type that says so.
    """
    given = {name.lower() for name in headers}
    sent = [("Host", f"127.0.0.1:{port}"), ("Accept-Encoding", "identity")]
    sent = [(name, value) for name, value in sent if name.lower() not in given]
    if data is None:
        body = b""
    elif isinstance(data, bytes | bytearray | memoryview):
        body = bytes(data)
    elif isinstance(data, str):
        body = data.encode()
    else:
        body = json.dumps(data).encode()
        if "content-type" not in given:
            sent.append(("Content-Type", "application/json"))
    if (body or method in ("POST", "PUT", "PATCH")) and "content-length" not in given:
        sent.append(("Content-Length", str(len(body))))
    return TestRequest(method, target, [*sent, *headers.items()], body, port)
