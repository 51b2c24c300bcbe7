"""What a request means: ids, routes, errors, the one line in the log. No sockets here."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import TYPE_CHECKING, Any

from msgspec import Struct
from msgspec.structs import replace

from azmlinfsrv.app.authentication import Authentication, is_preflight
from azmlinfsrv.app.batch import batch_headers
from azmlinfsrv.app.buffers import BodyBudget
from azmlinfsrv.app.correlation import Correlation, correlate
from azmlinfsrv.app.cors import Cors
from azmlinfsrv.app.failed_reload import reload_header, reload_response
from azmlinfsrv.app.failures import FUNCTION_FAILED, NOSNIFF, report_response, response_for
from azmlinfsrv.app.interface import Caller
from azmlinfsrv.app.kept_body import KeptBody
from azmlinfsrv.app.scoring import Scoring
from azmlinfsrv.errors import (
    MethodNotAllowed,
    NotFound,
    RequestError,
    Unauthorized,
    Unavailable,
)
from azmlinfsrv.messages import BUFFERS, Headers, Request, Response, Timings
from azmlinfsrv.pool.call import CallerLeft
from azmlinfsrv.pool.interface import Pool
from azmlinfsrv.script.swagger import pick_version
from azmlinfsrv.settings import Secret, split_keys
from azmlinfsrv.telemetry import logs

if TYPE_CHECKING:
    from azmlinfsrv.app.metrics import Metrics  # its library is an extra
    from azmlinfsrv.telemetry.capture import Capture  # 10 ms that most servers do not need

_log = logging.getLogger("azmlinfsrv")

# Texts of the contract, to the letter.
_NOT_FOUND = (
    "The requested URL was not found on the server. If you entered the URL manually please "
    "check your spelling and try again."
)
_NOT_ROUTED = "The method is not allowed for the requested URL."
_INTERNAL = "An unexpected internal error occurred. Check the logs for more info."

# What proxies log for a client that left before it was answered; nobody is sent it.
_CALLER_LEFT = 499

# An ordinary answer has these two: its type, and whether run() failed.
_OWN_HEADERS = 2

_HTML = (b"Content-Type", b"text/html; charset=utf-8")
_JSON = (b"Content-Type", b"application/json")

Handler = Callable[[Request, Correlation, Caller], Coroutine[Any, Any, Response]]


class Policy(Struct, frozen=True):
    """What the settings decide about requests.

    Attributes:
        max_body_bytes: Longer bodies are refused with 413.
        limit_s: Seconds a call may take from its arrival; 0.0 means no limit.
        max_buffered_bytes: What all large bodies together may take.
        server_version: Value of ``x-ms-server-version``; empty means no such header.
        cors_origins: Value of ``AML_CORS_ORIGINS``; empty means no such headers.
        health_port: A port that answers probes and nothing else (R8.4); 0 means none.
        has_access_log: Every request gets a line in the common access log format as well.
        auth_keys: One of them must come with every request that is no probe; None means
            everybody may call.
        dev: A call that fails is answered with everything that is known about it.
        reload: Every answer says so while the script on disk cannot be served.
        playground: Path of the entry script, if there is to be a page to try it from; empty
            means there is none.
        metrics: Requests are counted, and ``/metrics`` says what was.
    """

    max_body_bytes: int
    limit_s: float
    server_version: str
    max_buffered_bytes: int = 2**62
    cors_origins: str = ""
    health_port: int = 0
    has_access_log: bool = False
    auth_keys: Secret | None = None
    dev: bool = False
    reload: bool = False
    playground: str = ""
    metrics: bool = False


class Route(Struct, frozen=True):
    """One path.

    Attributes:
        path: Exact; also its name in metrics.
        methods: What the path answers; anything else is 405.
        is_logged: One line a request (R6.6); probes are not logged.
        is_open: Answered without a key, whatever the policy says.
    """

    path: str
    methods: dict[str, Handler]
    is_logged: bool = True
    is_open: bool = False

    @property
    def allow(self) -> bytes:
        """The value of ``Allow``."""
        return ", ".join(sorted(self.methods)).encode()


class Application:
    """Answers requests with the help of a pool; knows no server.

    Attributes:
        bodies: What large bodies take, for a server that reads them by itself.
    """

    def __init__(self, pool: Pool, policy: Policy, capture: Capture | None = None) -> None:
        self._pool = pool
        self._policy = policy
        self.bodies = BodyBudget(policy.max_buffered_bytes)
        self._capture = capture
        version = policy.server_version.encode("latin-1", "replace")
        self._constant: Headers = [NOSNIFF]
        if version:
            self._constant.append((b"x-ms-server-version", version))
        keys = policy.auth_keys
        self._authentication = None if keys is None else Authentication(split_keys(keys))
        self._cors = Cors(policy.cors_origins) if policy.cors_origins else None
        if self._cors is not None:
            listed = ", ".join(self._cors.origins)
            _log.info("Enabling CORS for the following origins: %s", listed)
        self._health_address = f":{policy.health_port}" if policy.health_port else ""
        health: dict[str, Handler] = {
            "GET": self._health,
            "HEAD": self._health,
            "OPTIONS": self._options,
        }
        swagger: dict[str, Handler] = {
            "GET": self._swagger,
            "HEAD": self._swagger,
            "OPTIONS": self._options,
        }
        live: dict[str, Handler] = {"GET": self._live, "HEAD": self._live}
        ready: dict[str, Handler] = {"GET": self._ready, "HEAD": self._ready}
        scoring = Scoring(pool, self.bodies, policy.limit_s, policy.max_body_bytes)
        score: dict[str, Handler] = {
            "GET": scoring.score,
            "POST": scoring.score,
            "OPTIONS": scoring.score_or_options,
            "HEAD": scoring.score_or_refuse,
        }
        routes = [
            Route("/", health, is_logged=False, is_open=True),
            Route("/score", score),
            Route("/swagger.json", swagger),
            Route("/health/live", live, is_logged=False, is_open=True),
            Route("/health/ready", ready, is_logged=False, is_open=True),
        ]
        if policy.dev and policy.reload:
            last: dict[str, Handler] = {"GET": self._last_reload, "HEAD": self._last_reload}
            routes.append(Route("/dev/reload", last, is_logged=False))
        if policy.playground:
            routes += self._playground_routes(policy)
        self._metrics = self._make_metrics() if policy.metrics else None
        if self._metrics is not None:
            figures: dict[str, Handler] = {
                "GET": self._figures,
                "HEAD": self._figures,
                "OPTIONS": self._options,
            }
            routes.append(Route("/metrics", figures, is_logged=False))  # asked for every minute
        self._routes = {route.path: route for route in routes}
        self._probes = {
            path: route
            for path, route in self._routes.items()
            if route.is_open and not route.is_logged
        }

    def _playground_routes(self, policy: Policy) -> list[Route]:
        from azmlinfsrv.app.playground import Playground  # most servers have none

        playground = Playground(policy.playground, dev=policy.dev, bodies=self.bodies)
        return [
            Route(
                "/playground",
                {"GET": playground.page, "HEAD": playground.page},
                is_open=True,  # where its reader types the key
            ),
            Route("/playground/samples", {"GET": playground.samples, "POST": playground.save}),
        ]

    def _make_metrics(self) -> Metrics:
        from azmlinfsrv.app.metrics import Metrics  # its library is an extra

        return Metrics(self._pool, self.bodies)

    async def handle(self, request: Request, caller: Caller) -> Response:
        """Answer one request.

        Raises:
            CallerLeft: nobody waits for the answer any more.
        """
        began = perf_counter()
        correlation = correlate(request.headers)
        route = self._find(request)
        kept: KeptBody | None = None
        if self._capture is not None and route is self._routes["/score"]:
            caller = kept = KeptBody(caller)
        try:
            response = await self._routed(request, caller, correlation, route)
        except RequestError as error:
            if self._policy.dev and request.path == "/score":
                response = report_response(error, request, correlation.request_id)
            else:
                response = response_for(error)
        except CallerLeft:
            # There is nobody to answer; the line says how long somebody waited.
            if route is not None and route.is_logged:
                seconds = perf_counter() - began
                logs.request_line(request, _CALLER_LEFT, seconds, 0, correlation.request_id)
            if self._metrics is not None:
                self._count(route, _CALLER_LEFT, perf_counter() - began, None)
            raise
        except Exception:  # noqa: BLE001  # a fault of ours must not cost the caller an answer
            _log.exception("Encountered Exception")
            response = response_for(RequestError(_INTERNAL))  # R4.7, row G
        if self._metrics is not None:
            self._count(route, response.status, perf_counter() - began, response.timings)
        more: Headers = []
        if route is not None and request.method not in route.methods:
            route = None  # neither CORS headers nor a line in the log (R4.14, R6.6)
        if self._cors is not None and route is not None:
            more = self._cors.headers_for(request, response)
        if self._policy.reload and (failed := self._pool.failed_reload()) is not None:
            more = [*more, reload_header(failed)]
        response = self._finish(response, more, correlation)
        if route is not None and route.is_logged and correlation.error is None:
            body = response.body
            length = len(body) if isinstance(body, BUFFERS) else None
            seconds = perf_counter() - began
            logs.request_line(request, response.status, seconds, length, correlation.request_id)
        if self._policy.has_access_log:
            logs.access_line(request, response, perf_counter() - began)
        if self._capture is not None and kept is not None and route is not None:
            seconds, request_id = perf_counter() - began, correlation.request_id
            if kept.headers is not None:
                request = replace(request, headers=kept.headers)
            response = self._capture.take(request, kept.body, response, seconds, request_id)
        return response

    def _count(
        self, route: Route | None, status: int, seconds: float, timings: Timings | None
    ) -> None:
        assert self._metrics is not None
        path = "other" if route is None else route.path
        self._metrics.requests.answered(path, status, seconds, timings)

    def admits(self, head: Request) -> bool:
        """Whether a request whose body has not been read yet may come in, as far as keys go."""
        route = self._find(head)
        if self._authentication is None or (route is not None and route.is_open):
            return True
        try:
            self._authentication.admit(head)
        except Unauthorized:
            return False
        return True

    def _find(self, request: Request) -> Route | None:
        routes, path = self._routes, request.path
        if self._health_address and request.server.endswith(self._health_address):
            routes = self._probes
        route = routes.get(path)
        if route is None and path.startswith("//"):
            return routes.get("/" + path.lstrip("/"))  # R4.2
        return route

    def _routed(
        self, request: Request, caller: Caller, correlation: Correlation, route: Route | None
    ) -> Coroutine[Any, Any, Response]:
        """What answers the request, if it is one that is answered."""
        handler = None if route is None else route.methods.get(request.method)
        if self._authentication is not None and (route is None or not route.is_open):
            if handler is not None and is_preflight(request):
                # Browsers send no key with it: answered here, never by a script.
                handler = self._options
            else:
                request = self._authentication.admit(request)
        if route is None:
            raise NotFound(_NOT_FOUND)
        if handler is None:
            raise MethodNotAllowed(_NOT_ROUTED, headers=((b"Allow", route.allow),))
        if correlation.error is not None:
            raise correlation.error
        return handler(request, correlation, caller)

    def _finish(self, response: Response, more: Headers, correlation: Correlation) -> Response:
        """Add what every response carries, in the order of R4.6."""
        headers = response.headers
        if len(headers) > _OWN_HEADERS:
            # R3.31: the server's ids stand, whatever the script says.
            ours = {name for name, _ in correlation.headers if name != b"TraceId"}
            ours.add(NOSNIFF[0].lower())
            headers = [pair for pair in headers if pair[0].lower() not in ours]
        timings = response.timings
        if timings is not None:
            run_ms = b"%.3f" % (timings.run_s * 1000)
            # W3C Server Timing, 3.1: names and milliseconds, in the order they happen.
            all_ms = b"queue;dur=%.3f, parse;dur=%.3f, run;dur=%b, encode;dur=%.3f" % (
                timings.queue_s * 1000,
                timings.parse_s * 1000,
                run_ms,
                timings.encode_s * 1000,
            )
            timed = ((b"x-ms-run-fn-exec-ms", run_ms), (b"Server-Timing", all_ms))
            headers = [*headers, *timed]
            if self._policy.dev:
                headers += batch_headers(timings.batch)
        return Response(
            response.status,
            [*headers, *more, *self._constant, *correlation.headers],
            response.body,
            timings,
            response.reason,
        )

    # --- probes -------------------------------------------------------------------------

    async def _health(
        self, _request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """``/``: healthy once a script is loaded; until then as if nobody answered (X11)."""
        readiness = self._pool.readiness()
        if not readiness.is_ready:
            raise Unavailable(readiness.reason, headers=((b"Retry-After", b"1"),))
        return Response(200, [_HTML], b"Healthy")

    async def _live(
        self, _request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """The front end is up."""
        return Response(200, [_HTML], b"Healthy")

    async def _ready(self, request: Request, correlation: Correlation, caller: Caller) -> Response:
        """A worker can score; what is wrong all the same is said."""
        response = await self._health(request, correlation, caller)
        note = self._pool.readiness().reason
        return replace(response, body=f"Healthy\n{note}\n".encode()) if note else response

    async def _last_reload(
        self, _request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """``/dev/reload``: how the last reload failed, with the report; ``null`` if it did not."""
        return reload_response(self._pool.failed_reload())

    async def _options(
        self, request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        route = self._find(request)
        allow = route.allow if route is not None else b""
        return Response(200, [_HTML, (b"Allow", allow)])

    # --- documents ----------------------------------------------------------------------

    async def _swagger(
        self, request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """``/swagger.json?version=…`` (R5.1, R5.2)."""
        facts = await self._pool.facts(self._policy.limit_s)
        document = facts.documents.answer(pick_version(request.query))
        return Response(200, [_JSON, (FUNCTION_FAILED, b"False")], document)

    async def _figures(
        self, request: Request, _correlation: Correlation, _caller: Caller
    ) -> Response:
        """``/metrics``: of the front end's own knowledge, so that it never waits."""
        assert self._metrics is not None
        text, content_type = self._metrics.text(request.header(b"accept"))
        return Response(200, [(b"Content-Type", content_type)], text)
