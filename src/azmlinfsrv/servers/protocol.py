"""uvicorn's HTTP/1.1 protocol, with what the contract and the hot path ask beyond it."""

from __future__ import annotations

import asyncio
import re
import sys
import urllib.parse
from collections import deque
from functools import lru_cache, partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from azmlinfsrv.adapters.peer import CLOSE, Handle, answer
from azmlinfsrv.app.failures import NOSNIFF, response_for
from azmlinfsrv.errors import BadInput, RequestError
from azmlinfsrv.messages import Buffer, Request
from azmlinfsrv.pool.process_pool import ProcessPool
from azmlinfsrv.servers.answering import Answering
from azmlinfsrv.servers.exchange import STATUS_LINES, Exchange
from azmlinfsrv.servers.head_rules import check_head
from azmlinfsrv.servers.limits import Limits, head_late
from azmlinfsrv.servers.watch import Phase, Seen, Verdict, bytes_in_kernel

# Method and target of a request line (RFC 9112, 3; a method is a token, RFC 9110, 5.6.2).
_REQUEST_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+) (\S+) HTTP/1\.[01]\r\n")
# Chunk extensions and trailers in all, beside what ordinary chunks need for their framing.
_CHUNK_OVERHEAD_BYTES = 16 * 1024
_CHUNK_FRAME_BYTES = 64
# How long a peer that was refused may go on sending before it is cut off, in seconds.
_LINGER_S = 2.0


class HttpProtocol(HttpToolsProtocol):
    """httptools parses, uvicorn keeps the connection, `Exchange` is one request of it.

    Added: what the parser takes and RFC 9112 does not is refused, heads have limits, a
    truncated body is answered, a whole response is written at once, and a connection can
    tell what it waits for (`observe`), so that it needs no timers.

    Args:
        limits: How much of a request is taken.
        handle: Answers the requests.
    Attributes:
        cycle: The last request that came, as uvicorn calls it; None before the first.
        is_broken: Nothing is read any more.
        sent_bytes: Handed to the transport.
    """

    cycle: Exchange | None  # type: ignore[assignment]  # uvicorn asks what it has in common with its own
    is_broken = False
    sent_bytes = 0
    _data = b""
    _is_held = False
    # The head that is arriving, and how much of it has come.
    _is_in_head = True
    _heads = 0
    _counted_head = 0
    _head_bytes = 0
    # The body that is arriving, if it is chunked: what is not body of what has come.
    _is_chunked = False
    _chunk_overhead = 0
    _received_bytes = 0
    _body_bytes = 0
    # Has come, and is not being answered yet.
    _arrived: Exchange | None = None

    def __init__(
        self, limits: Limits, handle: Handle, pool: ProcessPool, *args: Any, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self._pool = pool
        self._limits = limits
        self._handle = handle
        # In the order they came; the first is being answered.
        self._unanswered: deque[Exchange] = deque()

    # --- the connection -----------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """A peer has connected."""
        super().connection_made(transport)
        self._client = self.client[0] if self.client else ""
        self._server = f"{self.server[0]}:{self.server[1]}" if self.server else ""

    def connection_lost(self, exc: Exception | None) -> None:
        """The peer has gone."""
        for exchange in self._unanswered:
            exchange.leave()
        self._unanswered.clear()
        self.cycle = None
        super().connection_lost(exc)

    def write(self, data: Buffer) -> None:
        """Send bytes."""
        self.sent_bytes += len(data)
        self.transport.write(data)

    # --- bytes --------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Bytes have arrived; what follows something malformed is not looked at."""
        if self.is_broken:
            return
        self._data = data
        count, body_bytes, was_chunked = len(data), self._body_bytes, self._is_chunked
        self._received_bytes += count
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserError:
            self.send_400_response("")
        except httptools.HttpParserUpgrade:
            self._unsupported_upgrade_warning()
        if self._is_in_head:
            self._head_goes_on(count)
        else:
            self._head_bytes = 0
            if was_chunked and self._is_chunked:
                self._chunks_go_on(count - (self._body_bytes - body_bytes))
        self._data = b""  # an idle connection holds nothing
        if self._arrived is not None:
            # Not before: mostly its body has come with it.
            exchange, self._arrived = self._arrived, None
            step = self._answering(exchange).step
            # While calls wait, many are quicker one step of all after the other.
            if self._pool.sends_at_once:
                step()
            else:
                self.loop.call_soon(step)

    def _head_goes_on(self, count: int) -> None:
        """The parser has no limit for the head of a request."""
        if self._counted_head == self._heads:
            self._head_bytes += count
        else:
            # Something else may have come before it in the same piece.
            self._counted_head = self._heads
            self._head_bytes = 1 + self._parsed_head_bytes()
        if self._head_bytes > self._limits.head_bytes and not self.is_broken:
            self._refuse(self._limits.head_too_long())

    def _parsed_head_bytes(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _chunks_go_on(self, overhead_bytes: int) -> None:
        """The parser has no limit for chunk extensions and trailers either."""
        self._chunk_overhead += overhead_bytes
        if self._chunk_overhead > _CHUNK_OVERHEAD_BYTES and not self.is_broken:
            self.send_400_response("")

    def on_chunk_header(self) -> None:
        """A chunk begins."""
        self._chunk_overhead -= _CHUNK_FRAME_BYTES

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(body)
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete:
            exchange.put(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete:
            exchange.end_body()

    # --- heads --------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._is_in_head = True
        self._heads += 1
        self.url = b""
        self.headers = []
        self.expect_100_continue = False

    def on_headers_complete(self) -> None:
        """The head of a request is here; its task starts in the next turn of the loop."""
        limits, headers = self._limits, self.headers
        if len(self.url) > limits.target_bytes:
            raise limits.target_too_long()
        if len(headers) > limits.header_count:
            raise limits.too_many_headers()
        # What came in one small piece cannot be over the limit.
        is_small = not self._head_bytes and len(self._data) <= limits.head_bytes
        if not is_small and self._parsed_head_bytes() > limits.head_bytes:
            raise limits.head_too_long()
        if b"#" in self.url:
            raise BadInput("The request's target has a fragment.")  # RFC 9112, 3.2
        parser = self.parser
        version = parser.get_http_version()
        self._is_chunked = check_head(headers, version)
        self._chunk_overhead = 0
        path, query = split_target(self.url)
        self._begin(
            parser.get_method().decode("ascii"),
            path,
            query,
            version,
            # RFC 9110, 10.1.1
            awaits_continue=self.expect_100_continue and version == "1.1",
            keep_alive=version == "1.1" and parser.should_keep_alive(),
        )
        # Trailers come through the same door as header fields. They must not pass for
        # those (RFC 9110, 6.5.1), and nothing asks for them: they go nowhere.
        self.headers = []

    def _begin(
        self,
        method: str,
        path: str,
        query: bytes,
        version: str,
        *,
        awaits_continue: bool,
        keep_alive: bool,
    ) -> Exchange:
        """Answer a request, once those before it on the connection are answered."""
        self._is_in_head = False
        scheme = self.scheme or ""
        request = Request(
            method, path, query, self.headers, b"", scheme, self._client, self._server, version
        )
        self.cycle = exchange = Exchange(
            self, request, awaits_continue=awaits_continue, keep_alive=keep_alive
        )
        self._unanswered.append(exchange)
        if len(self._unanswered) == 1:
            self._arrived = exchange
        else:
            self.flow.pause_reading()
        return exchange

    def _answering(self, exchange: Exchange) -> Answering:
        return Answering(
            answer(self._handle, exchange.request, exchange),
            self.loop,
            self._begun,
            partial(self._answered, exchange),
        )

    def _begun(self, task: asyncio.Task[None]) -> None:
        self.tasks.add(task)  # uvicorn waits for them when it stops
        task.add_done_callback(self.tasks.discard)

    def _answered(self, exchange: Exchange, error: BaseException | None) -> None:
        if not exchange.response_complete:
            # Cut: a client of a stream can tell by this that it is not whole (R3.38).
            self.transport.close()
        if error is not None:
            self.logger.error("A request was not answered.", exc_info=error)

    # --- refusals -----------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Something malformed has arrived; called by uvicorn where it catches the parser's error.

        A request under way has the only answer there will be: if its own body is
        malformed, that answer is 400; otherwise the connection closes behind it.
        """
        self.is_broken = True
        exchange = self.cycle
        if exchange is not None and not exchange.response_complete:
            self._end_body(exchange)
            return
        line = _REQUEST_LINE.match(self._data)
        error = sys.exc_info()[1]
        if isinstance(error, httptools.HttpParserInvalidMethodError) and line is not None:
            self._answer_unknown_method(line[1], line[2])
            return
        reason = error.__context__ if error is not None else None  # what a callback raised
        if not isinstance(reason, RequestError):
            reason = BadInput("The request is not valid HTTP/1.1.")
        self._refuse(reason)

    def _refuse(self, error: RequestError) -> None:
        """Answer what never became a request."""
        self.is_broken = True
        response = response_for(error)
        assert isinstance(response.body, bytes)
        length = (b"Content-Length", b"%d" % len(response.body))
        parts = [STATUS_LINES[response.status]]
        for name, value in (*response.headers, NOSNIFF, length, CLOSE):
            parts += (name, b": ", value, b"\r\n")
        self.transport.write(b"".join([*parts, b"\r\n", response.body]))
        self.linger()

    def _unsupported_upgrade_warning(self) -> None:
        """An upgrade is asked for that is not made; called by uvicorn where the parser stops.

        It is an ordinary request then (RFC 9110, 7.8): Java's client asks for h2c with every
        first POST. The parser has skipped its body; another reads that.
        """
        error = sys.exc_info()[1]
        exchange = self.cycle
        assert exchange is not None
        exchange.keep_alive = False
        framing = [
            (name, value)
            for name, value in exchange.request.headers
            if name in (b"content-length", b"transfer-encoding")
        ]
        if error is None or not framing:
            return
        exchange.more_body = True
        self.parser = httptools.HttpRequestParser(_BodyOnly(self))
        head = b"".join(b"%b: %b\r\n" % field for field in framing)
        self.parser.feed_data(b"POST / HTTP/1.1\r\n%b\r\n" % head)
        if rest := self._data[error.args[0] :]:
            self.data_received(rest)

    def _answer_unknown_method(self, method: bytes, target: bytes) -> None:
        """The parser knows the registered methods only; to the application any is a method."""
        self.on_message_begin()
        path, _, query = target.partition(b"?")
        exchange = self._begin(
            method.decode("ascii"),
            urllib.parse.unquote(path.decode("ascii", "replace")),
            query,
            "1.1",
            awaits_continue=False,
            keep_alive=False,
        )
        exchange.end_body()

    def _end_body(self, exchange: Exchange) -> None:
        """There will be no more of this request; if its body is not whole it is refused."""
        exchange.keep_alive = False
        if exchange.more_body:
            exchange.is_truncated = True
            exchange.end_body()

    def linger(self) -> None:
        """Close so that the peer gets to read its answer.

        A connection closed with bytes unread is reset, and the reset takes the answer with
        it (RFC 9112, 9.6): first no more is said, and what the peer still says is dropped.
        """
        self.is_broken = True
        if self.transport.is_closing():
            return
        if self.transport.can_write_eof():  # TLS cannot: there the length says where it ends
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio takes a bool here
        """The peer sends no more.

        In the middle of a body that is a client error with an answer (D10): the
        connection stays open to be written to. Anywhere else the peer has left.
        """
        exchange = self.cycle
        if exchange is None or exchange.response_complete or not exchange.more_body:
            return False
        if not self.transport.can_write_eof():
            return False  # TLS: what was said has ended, and with it the connection
        self._end_body(exchange)
        return True

    # --- what it waits for ----------------------------------------------------------------

    def on_response_complete(self) -> None:
        """An answer is written: the next request, unless this one is still to be taken.

        Otherwise a peer that asks and never reads would fill our memory.
        """
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.flow.write_paused:
            self._is_held = True
            self.flow.pause_reading()
            return
        if self.flow.read_paused:
            self.flow.resume_reading()
        self._unanswered.popleft()
        if self._unanswered:
            # Not at once: we are in the answer to the one before it.
            self.loop.call_soon(self._answering(self._unanswered[0]).step)

    def resume_writing(self) -> None:
        """The peer takes again what it is sent."""
        super().resume_writing()
        if self._is_held:
            self._is_held = False
            self.server_state.total_requests -= 1
            self.on_response_complete()

    def observe(self) -> Seen:
        """What the connection waits for now."""
        transport = self.transport
        exchange = self.cycle
        unsent = transport.get_write_buffer_size()
        taken = 0
        if unsent:
            descriptor = transport.get_extra_info("socket").fileno()
            taken = self.sent_bytes - unsent - bytes_in_kernel(descriptor)
        phase = Phase.BUSY
        request: object = exchange
        if self.is_broken or transport.is_closing():
            pass
        elif exchange is not None and not exchange.response_complete:
            if exchange.more_body and not self.flow.read_paused:
                phase = Phase.BODY
        elif self._head_bytes:
            phase, request = Phase.HEAD, self._counted_head
        else:
            phase = Phase.NEW if exchange is None else Phase.IDLE
        return Seen(phase, request, self._received_bytes, unsent, taken)

    def obey(self, verdict: Verdict) -> None:
        """Do what the connection's watch has decided."""
        if verdict is Verdict.CUT:
            self.transport.abort()
        elif verdict is Verdict.HEAD_LATE:
            self._refuse(head_late())
        elif verdict is Verdict.BODY_LATE:
            exchange = self.cycle
            assert exchange is not None
            self.is_broken = exchange.is_late = True
            self._end_body(exchange)
        else:
            self.transport.close()


class _BodyOnly:
    """What a parser tells that reads the rest of a request whose head is known."""

    def __init__(self, protocol: HttpProtocol) -> None:
        self.on_body = protocol.on_body
        self.on_chunk_header = protocol.on_chunk_header
        self.on_message_complete = protocol.on_message_complete


@lru_cache(maxsize=256)
def split_target(target: bytes) -> tuple[str, bytes]:
    """Path and query of a request target (RFC 9112, 3.2).

    Raises:
        HttpParserInvalidURLError: it is none.
    """
    parsed = httptools.parse_url(target)
    path = parsed.path.decode("ascii")
    return urllib.parse.unquote(path) if "%" in path else path, parsed.query or b""
