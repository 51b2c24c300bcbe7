"""Requests that a process scores before it is given calls (``--warmup_requests``).

The first call of a process is often its slowest: caches are cold, libraries compile or
allocate. These calls are nobody's, so their answers are dropped; but a script that cannot
answer them is not served.
"""

from __future__ import annotations

import asyncio
import math
import mimetypes
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from azmlinfsrv.errors import RequestError, SettingsError
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.call import Call, Stream, StreamCut

if TYPE_CHECKING:
    from azmlinfsrv.pool.process import WorkerProcess

_JSON = "application/json"


class WarmUpRequest(Struct, frozen=True):
    """A request, and the file it came from."""

    name: str
    request: Request


def read_warm_up(folder: str) -> list[WarmUpRequest]:
    """The requests of a folder, by name: a file is a body, its type that of its name.

    Of a JSON object with ``request`` in it (a sample with its expected ``response``) that
    part is sent. Hidden files, folders and ``NAME.response.json`` are left out.

    Raises:
        SettingsError: it cannot be read, or holds none.
    """
    try:
        files = sorted(
            path
            for path in Path(folder).iterdir()
            if path.is_file()
            and not path.name.startswith(".")
            and not path.name.endswith(".response.json")
        )
        found = [WarmUpRequest(path.name, _request(path)) for path in files]
    except OSError as error:
        problem = f"{folder} cannot be read: {error.strerror}."
        raise SettingsError([("--warmup_requests", problem)]) from error
    if not found:
        problem = f"{folder} has no files. Put the bodies of requests there, a file each."
        raise SettingsError([("--warmup_requests", problem)])
    return found


def _request(path: Path) -> Request:
    body = path.read_bytes()
    kind = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    if kind == _JSON:
        try:
            content = msgspec.json.decode(body, type=dict[str, msgspec.Raw])
        except msgspec.MsgspecError:
            content = {}
        body = bytes(content.get("request", body))
    headers = [(b"content-type", kind.encode()), (b"content-length", b"%d" % len(body))]
    return Request("POST", "/score", headers=headers, body=body, request_id=f"warm-up {path.name}")


async def warm_up(process: WorkerProcess, requests: Sequence[WarmUpRequest]) -> str:
    """Have *process* score *requests*, one after the other; what went wrong, or nothing.

    Whatever the script answers with a status below 500 will do.
    """
    loop = asyncio.get_running_loop()
    for number, sample in enumerate(requests, 1):
        answered: asyncio.Future[Response] = loop.create_future()
        call = Call(-number, sample.request, answered, lambda: False, 0.0, math.inf, loop.time())
        process.dispatch([call])
        try:
            response = await answered
            if isinstance(response.body, Stream):
                async for _ in response.body:
                    pass
        except StreamCut:
            return f"The warm-up request {sample.name} failed while it was streamed."
        except RequestError as error:
            place = f" ({error.location})" if error.location else ""
            return f"The warm-up request {sample.name} failed: {error.message}{place}"
        if response.status >= 500:
            return f"The warm-up request {sample.name} was answered with status {response.status}."
    return ""
