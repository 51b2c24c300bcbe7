"""Sample requests in files beside the script, for the playground: read, and one written.

The form of the files is that of `docs/samples.md`, without arrays:

- ``NAME.json``: a body, sent as it is; or ``{"request": …, "response": …}``.
- ``NAME.request.json``: the request. Without a body of its own, a file ``NAME.*`` is the body.
- ``NAME.csv``: a body of ``text/csv``.

Whoever asks comes over HTTP, so nothing outside the one folder is opened: a name is a name
and no path, links are not followed, and only regular files of a bounded size are read.
Commands read samples with `azmlinfsrv.samples`, which stands above this layer and
trusts the files; ``tests/app/test_sample_files.py`` holds the two together.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import stat
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

FOLDER = "samples"

# What is more than this is no sample that somebody edits in a page.
MAX_FILE_BYTES = 1024 * 1024
MAX_TOTAL_BYTES = 8 * 1024 * 1024
MAX_FILES = 500

_REQUEST = ".request.json"
_RESPONSE = ".response.json"
_BOTH = ".sample.json"
_KEYS_OF_BOTH = {"request", "response", "tolerance", "ignore"}
_MAX_NAME = 64
# Windows gives these to devices, whatever the suffix.
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)", re.IGNORECASE)


class SampleRequest(Struct, omit_defaults=True, kw_only=True):
    """One request, ready for an editor; the body as text if it is UTF-8, else in base64."""

    name: str
    file: str
    method: str = "POST"
    path: str = "/score"
    headers: dict[str, str] = {}
    body: str | None = None
    body_base64: str | None = None


class Unread(Struct):
    """A file that looks like a sample and cannot be shown, and why."""

    file: str
    reason: str


class Listing(Struct):
    """What is in the folder, by name."""

    samples: list[SampleRequest] = []
    unread: list[Unread] = []


class _SampleError(Exception):
    """This file is not shown; the text says why."""


class _Request(Struct, forbid_unknown_fields=True, kw_only=True):
    method: str = "POST"
    path: str = "/score"
    headers: dict[str, str] = {}
    body: Raw | UnsetType = UNSET  # as written: no digit of a number is lost
    body_base64: str | UnsetType = UNSET
    body_file: str | UnsetType = UNSET


class SampleFolder:
    """The folder ``samples`` beside a script.

    Args:
        script: The script's absolute path.
    """

    def __init__(self, script: str) -> None:
        self._folder = Path(script).parent / FOLDER

    # --- reading --------------------------------------------------------------------------

    def read(self) -> Listing:
        """Every sample that can be shown; nothing if there is no such folder."""
        listing = Listing()
        names = self._names()
        bodies: set[str] = set()
        budget = MAX_TOTAL_BYTES
        # Sidecars first: what they name as a body is no sample of its own.
        for name in sorted(names, key=lambda it: not it.endswith(_REQUEST)):
            if name in bodies or not _is_request(name):
                continue
            try:
                sample = self._sample(name, names, bodies)
                budget -= len(sample.body or "") + len(sample.body_base64 or "")
                if budget < 0:
                    raise _SampleError("The files before it are as much as the page can take.")
            except _SampleError as error:
                listing.unread.append(Unread(name, str(error)))
            else:
                listing.samples.append(sample)
        listing.samples.sort(key=lambda sample: sample.name)
        return listing

    def _names(self) -> list[str]:
        try:
            if self._folder.is_symlink():
                return []
            with os.scandir(self._folder) as entries:
                return sorted(
                    entry.name
                    for entry in islice(entries, MAX_FILES)
                    if not entry.name.startswith(".")
                )
        except OSError:
            return []

    def _sample(self, name: str, names: list[str], bodies: set[str]) -> SampleRequest:
        content = self._content(name)
        if name.endswith(".csv"):
            return _with_body(
                SampleRequest(name=name[:-4], file=name, headers={"Content-Type": "text/csv"}),
                content,
            )
        given = _request_in(name, content)
        short = _name_of(name)
        if given is None:
            return _with_json(SampleRequest(name=short, file=name), content)
        sample = SampleRequest(
            name=short, file=name, method=given.method, path=given.path, headers=given.headers
        )
        file = given.body_file
        if file is UNSET and given.body is UNSET and given.body_base64 is UNSET:
            file = _neighbour(name, names) or UNSET
        if not isinstance(file, UnsetType):
            bodies.add(file)
            if file.endswith(".npy"):
                raise _SampleError("Arrays in .npy files are not shown here.")
            return _with_body(sample, self._content(file))
        if not isinstance(given.body_base64, UnsetType):
            try:
                return _with_body(sample, base64.b64decode(given.body_base64, validate=True))
            except binascii.Error as error:
                raise _SampleError("body_base64 is not base64.") from error
        if isinstance(given.body, UnsetType):
            return sample
        written = bytes(given.body)
        if written.startswith(b'"'):  # text is sent as it is, without the quotes
            return _with_body(sample, msgspec.json.decode(written, type=str).encode())
        return _with_json(sample, written)

    def _content(self, name: str) -> bytes:
        """The bytes of one file of the folder, and of nothing else."""
        if name in ("", ".", "..") or re.search(r"[/\\:\0]", name):
            raise _SampleError("It names a body outside the folder.")
        path = self._folder / name
        # Without O_NONBLOCK a pipe would be waited for.
        flags = os.O_RDONLY
        for wanted in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY", "O_CLOEXEC"):
            flags |= getattr(os, wanted, 0)
        if path.is_symlink():
            raise _SampleError("It is a link.")
        try:
            descriptor = os.open(path, flags)
            try:
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    raise _SampleError("It is no regular file.")
                with open(descriptor, "rb", closefd=False) as file:
                    content = file.read(MAX_FILE_BYTES + 1)
            finally:
                os.close(descriptor)
        except OSError as error:
            raise _SampleError(f"It cannot be read: {error.strerror}.") from error
        if len(content) > MAX_FILE_BYTES:
            raise _SampleError("It is over 1 MiB.")
        return content

    # --- writing --------------------------------------------------------------------------

    def taken_by(self, name: str) -> str | None:
        """The file a sample of this name is in; None if there is none."""
        return next((it for it in self._names() if _is_request(it) and _name_of(it) == name), None)

    def write(self, name: str, document: dict[str, Any], *, overwrite: bool) -> str:
        """Write ``NAME.json``; the path of the file from the script's folder.

        Args:
            name: One that `safe_name` made.
        Raises:
            FileExistsError: there is one, and it is not to be overwritten.
            OSError: the folder cannot be written to.
        """
        if self._folder.is_symlink():
            raise OSError(f"{FOLDER} is a link")
        self._folder.mkdir(exist_ok=True)
        path = self._folder / f"{name}.json"
        text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
        content = text.encode("utf-8", "backslashreplace")
        if not overwrite:
            with open(path, "xb") as file:
                file.write(content)
        else:
            # At once: who reads meanwhile sees the old one or the new one.
            temporary = path.with_name(f".{path.name}.{os.getpid()}")
            temporary.write_bytes(content)
            temporary.replace(path)
        return f"{FOLDER}/{path.name}"


def safe_name(text: str) -> str:
    """*text* as the name of a file on every system; empty if nothing is left of it."""
    name = re.sub(r"[^A-Za-z0-9_]+", "-", text).strip("-")[:_MAX_NAME].rstrip("-")
    return f"{name}-" if _DEVICES.fullmatch(name) else name


def body_document(body: bytes) -> dict[str, Any]:
    """A body as samples hold it: a JSON value if it is one, else text, else base64.

    Texts are kept as texts, a JSON string with its quotes: samples send a text as it is.
    """
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
    try:
        value = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        return {"body": text}
    return {"body": text if isinstance(value, str) else value}


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} has no JSON form")  # RFC 8259, 6


def _is_request(name: str) -> bool:
    return name.endswith((".json", ".csv")) and not name.endswith(_RESPONSE)


def _name_of(file: str) -> str:
    for suffix in (_REQUEST, _BOTH, ".json", ".csv"):
        if file.endswith(suffix):
            return file[: -len(suffix)]
    return file


def _neighbour(sidecar: str, names: list[str]) -> str | None:
    """The file of the sidecar's name with another ending: its body."""
    stem = _name_of(sidecar)
    found = [it for it in names if Path(it).stem == stem and Path(it).suffix and it != sidecar]
    if len(found) > 1:
        raise _SampleError(f"It may belong to {', '.join(found)}.")
    return found[0] if found else None


def _request_in(name: str, content: bytes) -> _Request | None:
    """The request a file describes; None if it is a bare body."""
    written = content
    if not name.endswith(_REQUEST):
        try:
            parts = msgspec.json.decode(content, type=dict[str, Raw])
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if name.endswith(_BOTH):
                raise _SampleError("It is no JSON object.") from error
            return None
        written = bytes(parts.get("request", Raw(b"")))
        if not written.startswith(b"{") or not parts.keys() <= _KEYS_OF_BOTH:
            if name.endswith(_BOTH):
                raise _SampleError("It has no request.")
            return None
    try:
        return msgspec.json.decode(written, type=_Request)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _SampleError(f"It does not have the form of a sample: {error}.") from error


def _with_json(sample: SampleRequest, body: bytes) -> SampleRequest:
    if not any(name.lower() == "content-type" for name in sample.headers):
        sample.headers = {**sample.headers, "Content-Type": "application/json"}
    return _with_body(sample, body)


def _with_body(sample: SampleRequest, body: bytes) -> SampleRequest:
    try:
        sample.body = body.decode()
    except UnicodeDecodeError:
        sample.body_base64 = base64.b64encode(body).decode()
    return sample
