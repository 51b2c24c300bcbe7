"""The script and the application in the process of the test: no socket, no other thread.

The request goes through the same adapter, application, scorer and encoder as in a server;
only the pool is another. Nothing on that way has to wait, so no event loop runs: the
coroutine is driven by hand, and stops only to hand over a piece of a stream.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

import msgspec
from msgspec.structs import replace

from azmlinfsrv.adapters.body import declares_body, too_large
from azmlinfsrv.adapters.peer import BODILESS, Handle, answer
from azmlinfsrv.app.buffers import SMALL_BYTES, BodyShare
from azmlinfsrv.errors import Interruption, RequestError, ScoringFailed, ScriptError
from azmlinfsrv.messages import BUFFERS, Buffer, Headers, Request, Response
from azmlinfsrv.pool.call import StreamCut
from azmlinfsrv.pool.interface import FailedReload, Figures, Readiness
from azmlinfsrv.script.facts import ScriptFacts
from azmlinfsrv.script.loader import MODULE_NAME, script_path
from azmlinfsrv.script.location import Surroundings
from azmlinfsrv.script.schema import forget_script
from azmlinfsrv.servers.front_end import build_application
from azmlinfsrv.settings import environment, read_settings, removed_variables, script_environment
from azmlinfsrv.testing.answer import Head, IncompleteAnswer
from azmlinfsrv.testing.request import TestRequest
from azmlinfsrv.worker.answers import INTERNAL
from azmlinfsrv.worker.borrowed import Borrowed
from azmlinfsrv.worker.options import WorkerOptions
from azmlinfsrv.worker.reporter import Reporter
from azmlinfsrv.worker.startup import LoadedScript, Unusable, start_script

_T = TypeVar("_T")

_log = logging.getLogger("azmlinfsrv")

# One script at a time: its environment, its modules and its working folder are the process's.
_open_script = ""
_opening = threading.Lock()


class InProcess:
    """One script, loaded here.

    Args:
        flags: Settings by field name, as texts.
        variables: Of the environment, for settings and script.
    Raises:
        ScriptError: it cannot be served; the text is the report.
        SettingsError: a setting is malformed.
        RuntimeError: another script is loaded here already.
    """

    def __init__(self, flags: dict[str, str], variables: dict[str, str]) -> None:
        loaded = read_settings(flags, {**environment(), **variables}, Path.cwd())
        # One process, and a test's requests are in the test.
        settings = replace(
            loaded.settings, worker_count=1, record_dir=None, debug_port=None, log_format="text"
        )
        options = WorkerOptions.of(settings, parent_pid=0)
        where = Surroundings(
            script=script_path(options.entry_script, options.app_root),
            app_root=options.app_root,
            source_dir=options.source_dir,
            model_dir=options.model_dir,
        )
        hidden = removed_variables({**environment(), **variables})
        _claim(where.script)
        self._owner = 0
        self._turn = threading.Lock()
        self._borrowed = Borrowed(where, {**variables, **script_environment(loaded)}, hidden)
        self._script: LoadedScript | None = None
        try:
            self._borrowed.take()
            with self._borrowed.noticing():
                self._script = _start(options, where)
            pool = _ScriptPool(self._script, Reporter(options, where))
            self._handle = build_application(settings, pool).handle
        except BaseException:
            self.close()
            raise

    def send(self, request: TestRequest) -> tuple[Head, Generator[bytes]]:
        """The head of the answer, and its body."""
        if self._script is None:
            raise RuntimeError("the client is closed")
        if self._owner == threading.get_ident():
            raise RuntimeError(
                "the script is still sending a stream: read it to its end, or close it"
            )
        self._turn.acquire()
        self._owner = threading.get_ident()
        try:
            exchange = _Exchange(self._handle, request)
            with self._borrowed.noticing():
                exchange.advance()
        except BaseException:
            self._end_turn()
            raise
        if isinstance(exchange.whole, BUFFERS):
            self._end_turn()
            return exchange.head, _whole(bytes(exchange.whole))
        pieces = self._pieces(exchange)
        next(pieces)  # so that closing it reaches its `finally`
        return exchange.head, pieces

    def log(self) -> str:
        """Nothing: records go to the loggers of this process."""
        return ""

    def close(self) -> None:
        """Give back the process; a second time does nothing."""
        global _open_script
        if _open_script:
            if self._script is not None:
                _away_from_loop(self._script.scorer.close)
            self._script = None
            self._borrowed.give_back()
            _open_script = ""

    def _pieces(self, exchange: _Exchange) -> Generator[bytes]:
        try:
            yield b""
            while True:
                with self._borrowed.noticing():
                    piece = exchange.next_piece()
                if piece is None:
                    break
                yield piece
            if not exchange.is_complete:
                raise IncompleteAnswer
        finally:
            exchange.close()
            self._end_turn()

    def _end_turn(self) -> None:
        self._owner = 0
        self._turn.release()


def _claim(script: str) -> None:
    global _open_script
    with _opening:
        if _open_script:
            raise RuntimeError(
                f"{_open_script} is loaded in this process already, and scripts share its "
                "environment and modules. Close that client first, or use server=True."
            )
        _open_script = script


def _start(options: WorkerOptions, where: Surroundings) -> LoadedScript:
    # The next test may write another script to the same file within the same second.
    writes_bytecode, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        forget_script(MODULE_NAME)  # inference-schema knows the last script by the same name
        return _away_from_loop(lambda: start_script(options, where, lambda: None))
    except Unusable as unusable:
        # The report holds the traceback already.
        raise ScriptError(str(unusable)) from None
    finally:
        sys.dont_write_bytecode = writes_bytecode


def _away_from_loop(action: Callable[[], _T]) -> _T:
    """Do it here, or, in an asynchronous test, in a thread that is waited for.

    Where an event loop runs, an ``async def run`` could not have its own.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return action()
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(action())
        except BaseException as error:  # noqa: BLE001  # raised below, where it belongs
            errors.append(error)

    thread = threading.Thread(target=run, name="scoring")
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def _whole(body: bytes) -> Generator[bytes]:
    yield body


class _Exchange:
    """One request on its way through the application (see `adapters.peer.Peer`)."""

    def __init__(self, handle: Handle, request: TestRequest) -> None:
        self.head = Head(0, "", [])
        self.whole: Buffer | None = None
        self.is_complete = False
        self._has_left = False
        self._body = request.body or b""
        self._piece: bytes | None = None
        path, _, query = request.target.partition("?")
        self._is_body_read = False
        self._request = Request(
            request.method,
            unquote(path),
            query.encode("latin-1", "replace"),
            [
                (name.lower().encode("latin-1"), value.encode("latin-1"))
                for name, value in request.headers
            ],
            client="127.0.0.1",
            server=f"127.0.0.1:{request.port}",
        )
        self._coroutine: Coroutine[Any, Any, None] = answer(handle, self._request, self)

    def advance(self) -> None:
        """Go on to the end, or to the first piece of a stream."""
        self._piece = self._advance()

    def next_piece(self) -> bytes | None:
        """A piece of a stream; None at its end."""
        piece, self._piece = self._piece, None
        return piece if piece is not None else self._advance()

    def close(self) -> None:
        """Nobody reads any more."""
        self._has_left = True
        _away_from_loop(self._coroutine.close)

    def _advance(self) -> bytes | None:
        try:
            piece: bytes = _away_from_loop(lambda: self._coroutine.send(None))
        except StopIteration:
            return None
        return piece

    # --- the peer -----------------------------------------------------------------------

    def body_at_hand(self, limit_bytes: int) -> Buffer | None:
        """See `azmlinfsrv.app.interface.Caller`."""
        if len(self._body) > min(limit_bytes, SMALL_BYTES):
            return None
        self._is_body_read = True
        return self._body

    async def read_body(self, limit_bytes: int, share: BodyShare) -> Buffer:
        """See `azmlinfsrv.app.interface.Caller`."""
        if len(self._body) > limit_bytes:
            raise too_large(limit_bytes)
        share.grow_to(len(self._body))
        self._is_body_read = True
        return self._body

    def has_left(self) -> bool:
        """See `azmlinfsrv.app.interface.Caller`."""
        return self._has_left

    def leaves_body(self) -> bool:
        """See `azmlinfsrv.adapters.peer.Peer`: the answer says what a server's would."""
        return not self._is_body_read and declares_body(self._request.headers)

    def respond(self, status: int, reason: str, headers: Headers, body: Buffer) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        self._begin(status, reason, headers)
        # RFC 9110, 9.3.2 and 15.3.5.
        self.whole = b"" if self._request.method == "HEAD" or status in BODILESS else body
        self.is_complete = True

    async def begin(self, status: int, reason: str, headers: Headers) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        self._begin(status, reason, headers)

    async def send(self, item: bytes) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        await _HandedOver(item)

    async def end(self) -> None:
        """See `azmlinfsrv.adapters.peer.Peer`."""
        self.is_complete = True

    def _begin(self, status: int, reason: str, headers: Headers) -> None:
        phrase = reason or (HTTPStatus(status).phrase.upper() if _is_known(status) else "")
        pairs = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
        self.head = Head(status, phrase, pairs)


class _HandedOver:
    """Stops the coroutine until the reader wants the next piece."""

    def __init__(self, piece: bytes) -> None:
        self._piece = piece

    def __await__(self) -> Generator[bytes, None, None]:
        yield self._piece


def _is_known(status: int) -> bool:
    return status in HTTPStatus._value2member_map_


class _ScriptPool:
    """Asks the script at once, in the thread of the caller (see `pool.interface.Pool`)."""

    def __init__(self, script: LoadedScript, reporter: Reporter) -> None:
        self._scorer = script.scorer
        self._facts = msgspec.msgpack.decode(script.facts, type=ScriptFacts)
        self._reporter = reporter

    async def submit(
        self,
        request: Request,
        limit_s: float,
        has_left: Callable[[], bool],
        *,
        spent_s: float = 0.0,
        is_limit_callers: bool = False,
    ) -> Response:
        """See `Pool`; there is no limit here."""
        try:
            response = self._scorer.score(request)
        except RequestError as error:
            cause = error.__cause__
            if cause is not None and not isinstance(cause, Exception | SystemExit):
                raise cause  # noqa: B904  # Ctrl-C, or a test runner that ends the test
            # What comes from a scoring process has these and no more.
            crossed = type(error)(error.message, location=error.location)
            crossed.report = self._reporter.failure(error, request, request.body)
            raise crossed from None
        except (Exception, Interruption) as error:  # noqa: BLE001  # ours: never lose a call
            self._reporter.exception(error)
            raise ScoringFailed(INTERNAL) from None
        if isinstance(response.body, BUFFERS):
            return response
        return replace(response, body=_Items(response.body, self._reporter.exception))  # type: ignore[arg-type]  # a plain iterator where the script runs

    async def facts(self, limit_s: float) -> ScriptFacts:
        """See `Pool`."""
        return self._facts

    def readiness(self) -> Readiness:
        """See `Pool`."""
        return Readiness(is_ready=True)

    def failed_reload(self) -> FailedReload | None:
        """See `Pool`."""
        return None

    def figures(self) -> Figures:
        """See `Pool`; nothing waits here, and nothing is counted."""
        return Figures()


class _Items(AsyncIterator[bytes]):
    """The items of the script's stream, as the pool would give them."""

    def __init__(self, items: Iterator[bytes], log: Callable[[BaseException], None]) -> None:
        self._items = items
        self._log = log

    async def __anext__(self) -> bytes:
        try:
            for item in self._items:
                if item:
                    return item
        except Exception as error:  # noqa: BLE001  # their generator: anything can come out
            self._log(error)
            raise StreamCut from None
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Close the generator; what it raises then is logged."""
        try:
            if (close := getattr(self._items, "close", None)) is not None:
                close()
        except Exception as error:  # noqa: BLE001  # their `finally:` block
            self._log(error)
