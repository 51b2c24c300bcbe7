"""The playground: a page to send requests from, and the samples it is filled with.

The page is one file without anything from elsewhere; its policy names its own style and
script by their hashes, so nothing that an answer holds can run in it. It is open to
whoever reaches the server, and useless without a key where keys are set: all that it shows
it asks for like any other client. The samples are for this page alone: a page of another
site gets nothing and writes nothing.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import ipaddress
import os
import re
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from azmlinfsrv import __version__
from azmlinfsrv.app.buffers import BodyBudget
from azmlinfsrv.app.correlation import Correlation
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.app.replay import is_secret
from azmlinfsrv.app.sample_files import (
    MAX_FILE_BYTES,
    Listing,
    SampleFolder,
    body_document,
    safe_name,
)
from azmlinfsrv.errors import BadInput, Conflict, Forbidden, RequestError, UnsupportedMediaType
from azmlinfsrv.messages import Request, Response

# Base64 in JSON takes a third more; a sample has a request and a response.
_MAX_SAVE_BYTES = 3 * MAX_FILE_BYTES

_JSON = (b"Content-Type", b"application/json")
_NOT_STORED = (b"Cache-Control", b"no-store")

_FOREIGN = "Samples are for the server's own page. Open /playground on this server."
_NAMED = (
    "Samples are not answered under this host name, which another site could have pointed "
    "here. Open the page by the server's IP address, as localhost, or over HTTPS."
)
_NOT_IN_DEV = "Samples are saved in development mode only. Start the server with --dev."


class _Exchange(Struct, kw_only=True):
    """One side of what is to be saved, bodies as they were on the wire."""

    headers: dict[str, str] = {}
    body: str | None = None
    body_base64: str | None = None

    def document(self) -> dict[str, Any]:
        """Headers without secrets, and the body, in the form of samples."""
        found: dict[str, Any] = {}
        headers = {name: value for name, value in self.headers.items() if not is_secret(name)}
        if headers:
            found["headers"] = headers
        if self.body_base64 is not None:
            found.update(body_document(base64.b64decode(self.body_base64, validate=True)))
        elif self.body is not None:
            found.update(body_document(self.body.encode("utf-8", "backslashreplace")))
        return found


class _Sent(_Exchange, kw_only=True):
    method: str = "POST"
    path: str = "/score"


class _Received(_Exchange, kw_only=True):
    status: int = 200


class _Save(Struct, kw_only=True):
    name: str
    request: _Sent
    response: _Received | None = None
    overwrite: bool = False


class _Start(Struct):
    """What the page needs to know when it is opened."""

    script: str
    version: str
    dev: bool
    samples: list[Any]
    unread: list[Any]


class Playground:
    """Answers what the page asks for.

    Args:
        script: Absolute path of the entry script.
        dev: Samples may be saved.
        bodies: Told of the memory that a sample to be saved takes.
    """

    def __init__(self, script: str, *, dev: bool, bodies: BodyBudget) -> None:
        self._script = os.path.basename(script)
        self._folder = SampleFolder(script)
        self._dev = dev
        self._bodies = bodies
        page = resources.files("azmlinfsrv.app").joinpath("playground.html").read_bytes()
        self._page = Response(
            200,
            [
                (b"Content-Type", b"text/html; charset=utf-8"),
                (b"Content-Security-Policy", policy_of(page)),
                # For browsers that do not know frame-ancestors.
                (b"X-Frame-Options", b"DENY"),
                (b"Referrer-Policy", b"no-referrer"),
                _NOT_STORED,
            ],
            page,
        )

    async def page(self, _request: Request, _correlation: Correlation, _caller: Caller) -> Response:
        """``GET /playground``."""
        return self._page

    async def samples(
        self, request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """``GET /playground/samples``: requests to start from, as JSON.

        Raises:
            Forbidden: another site's page asks.
        """
        _require_own_page(request)
        listing: Listing = await asyncio.to_thread(self._folder.read)
        start = _Start(self._script, __version__, self._dev, listing.samples, listing.unread)
        return Response(200, [_JSON, _NOT_STORED], msgspec.json.encode(start))

    async def save(self, request: Request, _correlation: Correlation, caller: Caller) -> Response:
        """``POST /playground/samples``: write ``samples/NAME.json`` beside the script.

        Raises:
            Forbidden: it is another site's page, or not the development mode.
            UnsupportedMediaType: the body is not said to be JSON, so a form may have sent it.
            BadInput: it is no sample, or its name has no letter.
            Conflict: there is one of that name, and nobody said it may be overwritten.
        """
        _require_own_page(request)
        if not self._dev:
            raise Forbidden(_NOT_IN_DEV)
        kind = (request.header(b"content-type") or b"").partition(b";")[0].strip().lower()
        if kind != b"application/json":
            raise UnsupportedMediaType("A sample is saved as application/json.")
        share = self._bodies.share()
        try:
            body = await caller.read_body(_MAX_SAVE_BYTES, share)
            file = await asyncio.to_thread(self._save, bytes(body))
        finally:
            share.release()
        return Response(201, [_JSON, _NOT_STORED], msgspec.json.encode({"file": file}))

    def _save(self, body: bytes) -> str:
        try:
            given = msgspec.json.decode(body, type=_Save)
            name = safe_name(given.name)
            document = {"request": _request_document(given.request)}
            if given.response is not None:
                document["response"] = {
                    "status": given.response.status,
                    **given.response.document(),
                }
        except (msgspec.DecodeError, UnicodeDecodeError, binascii.Error) as error:
            raise BadInput("This is no sample: {name, request, response} in JSON.") from error
        if not name:
            raise BadInput("The name of a sample needs a letter or a digit.")
        taken = self._folder.taken_by(name)
        if taken is not None and taken != f"{name}.json":
            raise Conflict(f"samples/{taken} is a sample of this name. Choose another name.")
        try:
            return self._folder.write(name, document, overwrite=given.overwrite)
        except FileExistsError as error:
            raise Conflict(f"samples/{name}.json exists.") from error
        except OSError as error:
            raise RequestError(
                f"samples/{name}.json cannot be written: {error.strerror or error}."
            ) from error


def _request_document(request: _Sent) -> dict[str, Any]:
    """What differs from an ordinary call, in the order people read it."""
    found: dict[str, Any] = {}
    if request.method != "POST":
        found["method"] = request.method
    if request.path != "/score":
        found["path"] = request.path
    return {**found, **request.document()}


def policy_of(page: bytes) -> bytes:
    """The Content-Security-Policy under which only this page's own code runs (CSP 3, 2.3.1)."""

    def source(tag: bytes) -> bytes:
        (code,) = re.findall(rb"<%b>(.*?)</%b>" % (tag, tag), page, re.DOTALL)
        return b"'sha256-%b'" % base64.b64encode(hashlib.sha256(code).digest())

    return b"; ".join(
        [
            b"default-src 'none'",
            b"script-src " + source(b"script"),
            b"style-src " + source(b"style"),
            b"connect-src 'self'",
            b"img-src data: blob:",
            b"base-uri 'none'",
            b"form-action 'none'",
            b"frame-ancestors 'none'",
            # No text of an answer can become markup (Trusted Types, 4.1).
            b"require-trusted-types-for 'script'",
        ]
    )


def _require_own_page(request: Request) -> None:
    """Let pass what comes from our own page, or from no page at all.

    A browser that says where a request comes from (Fetch Metadata, 2.3) is believed; it
    says so over HTTPS and to localhost. Otherwise the page's origin must be the host that
    is asked, and that host no name that another site could have made point to us.
    """
    site = request.header(b"sec-fetch-site")
    if site is not None:
        allowed = (b"same-origin",) if request.method == "POST" else (b"same-origin", b"none")
        if site not in allowed:
            raise Forbidden(_FOREIGN)
        return
    host = (request.header(b"host") or b"").decode("latin-1").lower()
    origin = request.header(b"origin")
    if origin is not None and origin.decode("latin-1").lower().partition("://")[2] != host:
        raise Forbidden(_FOREIGN)
    if not _is_local_name(host):
        raise Forbidden(_NAMED)


def _is_local_name(host: str) -> bool:
    """Whether no public DNS answers for this host: an address, localhost, or a single label."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name.endswith(".localhost") or ("." not in name.rstrip(".") and ":" not in name):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
