"""Sample requests kept as files, and the answers they expect.

The files of a folder of samples (`docs/samples.md` is the page for users):

- ``NAME.json``: a body, sent as it is; or ``{"request": ..., "response": ..., "tolerance": ...}``.
- ``NAME.request.json``: the request. Without a body of its own, a file ``NAME.*`` is the body.
- ``NAME.response.json``: what the answer must be, to any of these.
- ``NAME.csv``: a body of ``text/csv``.
- ``NAME.npy``: an array, sent as ``{"data": ...}``.

Nothing here opens a connection.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType

from azmlinfsrv.comparison import (
    AnswerLike,
    Expected,
    Json,
    Tolerance,
    body_as_expected,
)

_REQUEST = ".request.json"
_RESPONSE = ".response.json"
_BOTH = ".sample.json"
_TABLE = ".csv"
_ARRAY = ".npy"
# The parameter an array is sent as, unless its sidecar says otherwise.
_PARAMETER = "data"
_Form = TypeVar("_Form")
_WHOLE_KEYS = {"request", "response", "tolerance", "ignore"}


class SampleError(ValueError):
    """A file of samples cannot be read; the text names it and what is wrong."""


@dataclass(frozen=True, slots=True)
class SampleRequest:
    """One HTTP request, as it is sent."""

    method: str = "POST"
    path: str = "/score"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """A request and the answer it should get.

    Attributes:
        file: Where the request stands.
        answer_file: Where the expected answer stands, or would; `file` itself if it holds both.
        has_answer: Whether an expected answer stands there.
    """

    name: str
    request: SampleRequest
    expected: Expected
    file: Path
    answer_file: Path
    has_answer: bool


class _Tolerance(Struct, forbid_unknown_fields=True):
    absolute: float = 0.0
    relative: float = 0.0


class _Body(Struct, forbid_unknown_fields=True, kw_only=True):
    """The three ways to write a body; at most one of them."""

    body: Raw | UnsetType = UNSET
    body_base64: str | UnsetType = UNSET
    body_file: str | UnsetType = UNSET

    @property
    def is_given(self) -> bool:
        return any(it is not UNSET for it in (self.body, self.body_base64, self.body_file))


class _Request(_Body, forbid_unknown_fields=True, kw_only=True):
    method: str = "POST"
    path: str = "/score"
    headers: dict[str, str] = {}
    parameter: str | UnsetType = UNSET  # of an array


class _Response(_Body, forbid_unknown_fields=True, kw_only=True):
    status: int = 200
    headers: dict[str, str | None] = {}
    tolerance: float | _Tolerance | UnsetType = UNSET
    ignore: list[str] = []


class _Whole(Struct, forbid_unknown_fields=True, kw_only=True):
    request: _Request
    response: _Response | UnsetType = UNSET
    tolerance: float | _Tolerance = 0.0
    ignore: list[str] = []


def samples_in(folder: Path) -> list[Sample]:
    """Every sample of a folder, by name.

    Raises:
        SampleError: a file does not have the form of a sample, or there is no such folder.
    """
    if not folder.is_dir():
        raise SampleError(f"{folder} is not a folder. Give the folder that holds the samples.")
    found: dict[str, Sample] = {}
    for path in _requests_in(folder):
        sample = _read_sample(path)
        if sample.name in found:
            raise SampleError(f"{path} and {found[sample.name].file} are both named {sample.name}.")
        found[sample.name] = sample
    return [found[name] for name in sorted(found)]


def request_file(folder: Path, name: str, request: SampleRequest) -> Path:
    """Write a request as ``NAME.request.json``; its path."""
    document: dict[str, Any] = {}
    if request.method != "POST":
        document["method"] = request.method
    if request.path != "/score":
        document["path"] = request.path
    if request.headers:
        document["headers"] = dict(request.headers)
    if request.body is not None:
        document.update(_body_document(request.body))
    path = folder / f"{name}{_REQUEST}"
    _write(path, document)
    return path


def write_answer(sample: Sample, answer: AnswerLike) -> Path:
    """Write *answer* as the expected one; the path of the file.

    Tolerance, paths to ignore and the names of expected headers stay as they are.
    """
    path = sample.answer_file
    old = _read_json(path) if path.exists() else {}
    document = old if isinstance(old, dict) else {}
    is_whole = path == sample.file
    response = dict(document.get("response", {})) if is_whole else document
    kept = {key: response[key] for key in ("tolerance", "ignore") if key in response}
    headers = {name: answer.headers.get(name.lower()) for name in response.get("headers", {})}
    written: dict[str, Any] = {"status": answer.status}
    if headers:
        written["headers"] = headers
    body = body_as_expected(answer)
    if isinstance(body, Json) and not isinstance(body.value, str) and _is_standard(body.value):
        written["body"] = body.value
    else:
        written.update(_body_document(answer.body))
    written.update(kept)
    _write(path, {**document, "response": written} if is_whole else written)
    return path


def unused_files(folder: Path) -> list[Path]:
    """Files that belong to no sample: often a body that was meant to be sent."""
    used: set[Path] = set()
    for path in _requests_in(folder):
        used |= {path, path.with_name(f"{_name(path)}{_RESPONSE}")}
        used |= _bodies_of(path)
        answer = path.with_name(f"{_name(path)}{_RESPONSE}")
        if answer.exists():
            used |= _bodies_of(answer)
    return sorted(
        path
        for path in folder.iterdir()
        if path.is_file() and path not in used and not path.name.startswith((".", "README"))
    )


# --- files --------------------------------------------------------------------------------


def _name(path: Path) -> str:
    for suffix in (_REQUEST, _RESPONSE, _BOTH):
        if path.name.endswith(suffix):
            return path.name.removesuffix(suffix)
    return path.stem


def _requests_in(folder: Path) -> list[Path]:
    """The files that each are one request; what is the body of another is none."""
    files = sorted(path for path in folder.iterdir() if path.is_file())
    sidecars = [path for path in files if path.name.endswith(_REQUEST)]
    bodies = {body for path in sidecars for body in _bodies_of(path)}
    bodies |= {body for path in files if path.name.endswith(_RESPONSE) for body in _bodies_of(path)}
    return [
        path
        for path in files
        if path not in bodies
        and path.suffix in (".json", _TABLE, _ARRAY)
        and not path.name.endswith(_RESPONSE)
    ]


def _bodies_of(path: Path) -> set[Path]:
    """The files that a document names as bodies, and the sidecar's neighbour."""
    if path.suffix != ".json":
        return set()
    content = _read_json(path) if path.name.endswith((_REQUEST, _RESPONSE, _BOTH)) else None
    if not isinstance(content, dict):
        return set()
    parts = [content, content.get("request"), content.get("response")]
    named = {
        path.parent / part["body_file"]
        for part in parts
        if isinstance(part, dict) and isinstance(part.get("body_file"), str)
    }
    if path.name.endswith(_REQUEST) and not {"body", "body_base64", "body_file"} & content.keys():
        named |= set(_neighbours(path))
    return named


def _neighbours(sidecar: Path) -> list[Path]:
    """Files of the sidecar's name with another ending."""
    name = _name(sidecar)
    return [
        path
        for path in sorted(sidecar.parent.iterdir())
        if path.is_file() and path.stem == name and path.suffix and path != sidecar
    ]


def _read_sample(path: Path) -> Sample:
    name = _name(path)
    sidecar = path.with_name(f"{name}{_RESPONSE}")
    answer: _Response | UnsetType = UNSET
    answer_file = sidecar
    if path.name.endswith(_REQUEST):
        given = _convert(path, _read_json(path), _Request)
        request = _request(path, given, _neighbours(path))
    elif path.suffix == _TABLE:
        request = SampleRequest(headers={"Content-Type": "text/csv"}, body=path.read_bytes())
    elif path.suffix == _ARRAY:
        request = _json_request(SampleRequest(), _array_json(path, _PARAMETER))
    else:
        content = path.read_bytes()
        whole = _whole(path, content)
        if whole is None:
            request = _json_request(SampleRequest(), content)
        else:
            request = _request(path, whole.request, [])
            answer_file = path
            if whole.response is not UNSET:
                answer = whole.response
                if answer.tolerance is UNSET:
                    answer.tolerance = whole.tolerance
                answer.ignore = [*answer.ignore, *whole.ignore]
    if answer_file == sidecar and sidecar.exists():
        answer = _convert(sidecar, _read_json(sidecar), _Response)
    has_answer = answer is not UNSET
    expected = Expected() if answer is UNSET else _expected(answer_file, answer)
    return Sample(name, request, expected, path, answer_file, has_answer)


def _whole(path: Path, content: bytes) -> _Whole | None:
    """Request and answer in one file; None if it is a bare body."""
    try:
        document = json.loads(content)
    except ValueError as error:
        if path.name.endswith(_BOTH):
            raise SampleError(f"{path} is not JSON: {error}.") from error
        return None
    is_whole = (
        isinstance(document, dict)
        and isinstance(document.get("request"), dict)
        and document.keys() <= _WHOLE_KEYS
    )
    if not is_whole and not path.name.endswith(_BOTH):
        return None
    return _convert(path, document, _Whole)


def _convert(path: Path, document: Any, form: type[_Form]) -> _Form:
    try:
        # Through text, so that bodies stay as they were written.
        return msgspec.json.decode(json.dumps(document), type=form)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise SampleError(f"{path} does not have the form of a sample: {error}.") from error


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise SampleError(f"{path} is not JSON: {error}.") from error
    except OSError as error:
        raise SampleError(f"{path} cannot be read: {error.strerror}.") from error


def _write(path: Path, document: Any) -> None:
    """Replace the file at once: one that is read meanwhile is old or new, never half."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


# --- requests and answers -----------------------------------------------------------------


def _request(path: Path, given: _Request, neighbours: list[Path]) -> SampleRequest:
    request = SampleRequest(given.method, given.path, given.headers)
    if not given.is_given and neighbours:
        if len(neighbours) > 1:
            names = ", ".join(it.name for it in neighbours)
            raise SampleError(f"{path} may belong to {names}. Name one with body_file.")
        given.body_file = neighbours[0].name
    if isinstance(given.body_file, str) and (
        given.parameter is not UNSET
        or (path.parent / given.body_file in neighbours and given.body_file.endswith(_ARRAY))
    ):
        parameter = given.parameter if isinstance(given.parameter, str) else _PARAMETER
        return _json_request(request, _array_json(path.parent / given.body_file, parameter))
    body = _read_body(path, given)
    if isinstance(body, Json):
        return _json_request(request, json.dumps(body.value).encode())
    return SampleRequest(request.method, request.path, request.headers, body)


def _json_request(request: SampleRequest, body: bytes) -> SampleRequest:
    headers = dict(request.headers)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "application/json"
    return SampleRequest(request.method, request.path, headers, body)


def _expected(path: Path, given: _Response) -> Expected:
    tolerance = Tolerance()
    if isinstance(given.tolerance, _Tolerance):
        tolerance = Tolerance(given.tolerance.absolute, given.tolerance.relative)
    elif given.tolerance is not UNSET:
        tolerance = Tolerance.of(given.tolerance)
    body = _read_body(path, given)
    return Expected(given.status, given.headers, body, tolerance, tuple(given.ignore))


def _read_body(path: Path, given: _Body) -> bytes | Json | None:
    if isinstance(given.body_file, str):
        file = path.parent / given.body_file
        try:
            return file.read_bytes()
        except OSError as error:
            raise SampleError(
                f"{path} names {file.name}, which cannot be read: {error.strerror}."
            ) from error
    if isinstance(given.body_base64, str):
        try:
            return base64.b64decode(given.body_base64, validate=True)
        except binascii.Error as error:
            raise SampleError(f"{path}: body_base64 is not base64.") from error
    if isinstance(given.body, UnsetType):
        return None
    value = json.loads(bytes(given.body))
    return value.encode() if isinstance(value, str) else Json(value)


def _body_document(body: bytes) -> dict[str, Any]:
    """The shortest way to write a body so that it is read back the same."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        return {"body_base64": base64.b64encode(body).decode()}
    return {"body": text}


def _is_standard(value: Any) -> bool:
    """Whether the value has a JSON form: NaN and the infinities have none (RFC 8259, 6)."""
    try:
        json.dumps(value, allow_nan=False)
    except ValueError:
        return False
    return True


def _array_json(path: Path, parameter: str) -> bytes:
    """``{parameter: nested lists}`` of an array file, which may hold no Python objects."""
    try:
        import numpy
    except ImportError as error:
        raise SampleError(
            f"{path} needs NumPy, which is not installed: python -m pip install numpy"
        ) from error
    try:
        array = numpy.load(path, allow_pickle=False)
    except (ValueError, OSError) as error:
        raise SampleError(f"{path} is not an array that can be read: {error}") from error
    return json.dumps({parameter: array.tolist()}).encode()
