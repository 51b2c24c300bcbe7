"""A request from the words of a command line."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from azmlinfsrv.messages import Headers, Request

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_HEADER = re.compile(rf"({_TOKEN.pattern}):[ \t]*([^\r\n\0]*?)[ \t]*")


def read_body(data: str) -> bytes:
    """The body: a text as it is, ``@FILE`` or ``-`` for standard input.

    Raises:
        click.UsageError: the file cannot be read.
    """
    if data == "-":
        return sys.stdin.buffer.read()
    if not data.startswith("@"):
        return data.encode("utf-8", "surrogateescape")  # bytes of the command line as they were
    try:
        return Path(data[1:]).read_bytes()
    except OSError as error:
        raise click.UsageError(f"--data: {data[1:]} cannot be read: {error.strerror}.") from error


def read_request(
    body: bytes,
    method: str | None,
    headers: Iterable[str],
    query: str | None,
    *,
    is_raw: bool,
) -> Request:
    """The request for ``/score``; unless it is raw, a POST of JSON.

    Raises:
        click.UsageError: a method or header is none.
    """
    method = method or "POST"
    if not _TOKEN.fullmatch(method):
        raise click.UsageError(f"--method: {method!r} is no HTTP method.")
    pairs: Headers = [(b"host", b"localhost")]
    for text in headers:
        found = _HEADER.fullmatch(text)
        if found is None:
            raise click.UsageError(f"--header: {text!r} is not of the form 'Name: value'.")
        pairs.append((found[1].lower().encode(), found[2].encode("utf-8", "surrogateescape")))
    if not is_raw:
        pairs.append((b"content-type", b"application/json"))
    if body:
        pairs.append((b"content-length", b"%d" % len(body)))
    return Request(
        method,
        "/score",
        (query or "").encode("utf-8", "surrogateescape"),
        pairs,
        body,
        client="127.0.0.1",
        server="localhost",
    )
