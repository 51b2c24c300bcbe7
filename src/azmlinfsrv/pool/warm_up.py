"""Requests that a process scores before it is given calls (``--warmup_requests``).

The first call of a process is often its slowest: caches are cold, libraries compile or
allocate. These calls are nobody's, so their answers are dropped; but a script that cannot
answer them is not served.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from azmlinfsrv.errors import RequestError, SettingsError
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.awaited import Awaited
from azmlinfsrv.pool.call import Call, Stream, StreamCut

if TYPE_CHECKING:
    from azmlinfsrv.pool.process import WorkerProcess
    from azmlinfsrv.samples import SampleRequest


class WarmUpRequest(Struct, frozen=True):
    """A request, and the file it came from."""

    name: str
    request: Request


def read_warm_up(folder: str) -> list[WarmUpRequest]:
    """The requests to ``/score`` among the samples of a folder, by name.

    Raises:
        SettingsError: one cannot be read, or there is none.
    """
    from azmlinfsrv.samples import SampleError, samples_in  # most starts need none

    try:
        samples = samples_in(Path(folder))
    except (SampleError, OSError) as error:
        raise SettingsError([("--warmup_requests", str(error))]) from error
    found = [
        WarmUpRequest(sample.file.name, _request(sample.name, sample.request))
        for sample in samples
        if sample.request.path.partition("?")[0] == "/score"
    ]
    if not found:
        problem = f"{folder} has no sample of a request to /score (docs/samples.md)."
        raise SettingsError([("--warmup_requests", problem)])
    return found


def _request(name: str, sample: SampleRequest) -> Request:
    body = sample.body or b""
    headers = [
        (key.lower().encode("latin-1"), value.encode("latin-1", "replace"))
        for key, value in sample.headers.items()
    ]
    headers.append((b"content-length", b"%d" % len(body)))
    path, _, query = sample.path.partition("?")
    return Request(sample.method, path, query.encode(), headers, body, request_id=f"warm-up {name}")


async def warm_up(process: WorkerProcess, requests: Sequence[WarmUpRequest]) -> str:
    """Have *process* score *requests*, one after the other; what went wrong, or nothing.

    Whatever the script answers with a status below 500 will do.
    """
    loop = asyncio.get_running_loop()
    for number, sample in enumerate(requests, 1):
        answered: Awaited[Response] = Awaited(loop=loop)
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
