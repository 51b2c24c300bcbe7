"""The scoring route: the body is read, and the pool is asked."""

from __future__ import annotations

import math
from time import perf_counter

from azmlinfsrv.app.buffers import BodyBudget, BodyShare
from azmlinfsrv.app.content_coding import codings_of, decode
from azmlinfsrv.app.correlation import Correlation
from azmlinfsrv.app.deadline import callers_limit_s
from azmlinfsrv.app.failures import FUNCTION_FAILED
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.app.kept_body import KeptBody
from azmlinfsrv.errors import MethodNotAllowed, RequestError
from azmlinfsrv.messages import Request, Response
from azmlinfsrv.pool.interface import Pool

_NOT_ALLOWED = "Method not allowed"  # a text of the contract, to the letter
_HTML = (b"Content-Type", b"text/html; charset=utf-8")
_NO_CODINGS: list[str] = []


class Scoring:
    """Answers ``/score``.

    Args:
        bodies: What large bodies take.
        limit_s: Seconds a call may take from its arrival; 0.0 means no limit.
        max_body_bytes: Longer bodies are refused with 413.
    """

    def __init__(self, pool: Pool, bodies: BodyBudget, limit_s: float, max_body_bytes: int) -> None:
        self._pool = pool
        self._bodies = bodies
        self._limit_s = limit_s
        self._max_body_bytes = max_body_bytes

    async def score(self, request: Request, correlation: Correlation, caller: Caller) -> Response:
        """GET and POST: have run() called."""
        arrived_s = perf_counter()
        limit_s, limit_bytes = self._limit_s, self._max_body_bytes
        callers_s, codings, headers = math.inf, _NO_CODINGS, request.headers
        if not correlation.is_plain:
            callers_s = callers_limit_s(headers)
            codings = codings_of(headers)
        share: BodyShare | None = None
        scored = request
        try:
            body = caller.body_at_hand(limit_bytes)
            if body is None or codings:
                share = self._bodies.share()
                if body is None:
                    body = await caller.read_body(limit_bytes, share)
                if codings:
                    headers, body = await decode(codings, headers, body, limit_bytes)
                    share.grow_to(len(body))
                    if isinstance(caller, KeptBody):
                        caller.headers, caller.body = headers, body
            scored = Request(
                request.method,
                request.path,
                request.query,
                headers,
                body,
                request.scheme,
                request.client,
                request.server,
                request.http_version,
                correlation.request_id,
                correlation.client_request_id,
            )
            is_callers = callers_s < (limit_s or math.inf)
            return await self._pool.submit(
                scored,
                callers_s if is_callers else limit_s,
                caller.has_left,
                spent_s=perf_counter() - arrived_s,
                is_limit_callers=is_callers,
            )
        except RequestError as error:
            error.request = scored  # with its body
            raise
        finally:
            if share is not None:
                share.release()

    async def score_or_options(
        self, request: Request, correlation: Correlation, caller: Caller
    ) -> Response:
        """OPTIONS: a raw script answers itself, for others nothing is run (R3.16, R3.24)."""
        facts = await self._pool.facts(self._limit_s)
        if facts.is_raw:
            return await self.score(request, correlation, caller)
        return Response(200, [_HTML, (FUNCTION_FAILED, b"False")])

    async def score_or_refuse(
        self, request: Request, correlation: Correlation, caller: Caller
    ) -> Response:
        """HEAD: a raw script answers itself, for others it is 405 (R4.4)."""
        facts = await self._pool.facts(self._limit_s)
        if facts.is_raw:
            return await self.score(request, correlation, caller)
        raise MethodNotAllowed(_NOT_ALLOWED, headers=((b"Allow", b"GET, OPTIONS, POST"),))
