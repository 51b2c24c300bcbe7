"""A line for a shell that sends a request again. Secrets are left out of it."""

from __future__ import annotations

import re
import shlex
from urllib.parse import quote

from azmlinfsrv.messages import Buffer, Request

# A longer body does not stand on a command line.
MAX_BODY_BYTES = 4096

MASK = "***"
_SECRET = re.compile(r"auth|cookie|token|secret|passw|key|signature|credential|^sig$|^code$", re.I)
# Said by curl itself, or by those between it and us, or meant for the browser that sent them.
_LEFT_OUT = re.compile(
    r"accept-(encoding|language)|connection|content-length|expect|host|keep-alive|te|trailer"
    r"|transfer-encoding|upgrade(-insecure-requests)?|user-agent|cache-control|pragma|priority|dnt"
    r"|origin|referer|sec-.*|x-forwarded-.*|x-real-ip|forwarded|via|traceparent|tracestate"
)


def is_secret(name: str) -> bool:
    """Whether a header or query parameter looks like one with a secret, by its name."""
    return _SECRET.search(name) is not None


def curl_line(request: Request) -> str:
    """The request as a call of curl, quoted for a POSIX shell.

    A body that is no text, or is over 4 KB, is to be put into ``request.bin`` first; a
    remark at the end of the line says so. Values of headers and query parameters that look
    like secrets by their name are ``***``.
    """
    body = request.body
    text = _text(body)
    words = ["curl", *_method_flags(request, has_body=len(body) > 0)]
    for name, value in request.headers:
        flag = _header_flag(name.decode("latin-1"), value.decode("latin-1"))
        words += ["-H", flag] if flag else []
    if len(body) and request.header(b"content-type") is None:
        words += ["-H", "content-type:"]  # curl would say it is a form
    if text:
        words += ["--data-raw", text]
    elif len(body):
        words += ["--data-binary", "@request.bin"]
    line = " ".join(map(shlex.quote, [*words, _url(request)]))
    if len(body) and not text:
        line += f"  # put the request's body, {len(body)} bytes, into request.bin first"
    return line


def _text(body: Buffer) -> str:
    """The body if it can stand on the command line, else empty."""
    if len(body) > MAX_BODY_BYTES:
        return ""
    try:
        text = str(body, "utf-8")
    except UnicodeDecodeError:
        return ""
    return "" if "\0" in text else text


def _method_flags(request: Request, *, has_body: bool) -> list[str]:
    if request.method == "HEAD":
        return ["--head"]
    usual = "POST" if has_body else "GET"
    return [] if request.method == usual else ["-X", request.method]


def _header_flag(name: str, value: str) -> str:
    if _LEFT_OUT.fullmatch(name):
        return ""
    if is_secret(name):
        value = MASK
    return f"{name}: {value}" if value else f"{name};"  # so curl sends an empty one


def _url(request: Request) -> str:
    host = (request.header(b"host") or b"").decode("latin-1") or request.server
    query = "&".join(map(_parameter, request.query.decode("latin-1").split("&")))
    mark = "?" if query else ""
    return f"{request.scheme}://{host}{quote(request.path)}{mark}{query}"


def _parameter(pair: str) -> str:
    name, equals, _ = pair.partition("=")
    return f"{name}={MASK}" if equals and is_secret(name) else pair
