"""What crosses the wall between the front end and a scoring process.

A frame is a prefix (two little-endian 32-bit lengths), a msgpack header, and a raw
body. The header is one of the structs below, so a peer can send nothing that is not
one of them; there is no pickle, because a worker runs user code and the front end
does not trust it.

`FrameReader` has no I/O: it hands out the buffer to receive into and gives back the
frames that are whole. A body that does not fit the scratch buffer is received straight
into its own buffer, so a large body is copied out of the kernel once.
"""

from __future__ import annotations

import mmap
import struct
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import Struct

from azmlinfsrv.messages import Buffer, Headers, Timings

_PREFIX = struct.Struct("<II")
_PREFIX_BYTES = _PREFIX.size
_unpack_prefix = _PREFIX.unpack_from
_SCRATCH_BYTES = 64 * 1024
# A header holds names and numbers; what can be long (bodies, log text, reports,
# documents) travels in the body. The bound is against a worker gone mad.
MAX_HEADER_BYTES = 16 * 1024 * 1024
MAX_BODY_BYTES = 2**32 - 1
# Room for more than this is taken as the body arrives, not on a peer's word.
_AT_ONCE_BYTES = 16 * 1024 * 1024


class ProtocolError(Exception):
    """The peer sent something that is not a frame."""


# --- front end to worker ----------------------------------------------------------------


class Start(Struct, tag=1, array_like=True):
    """The first frame: how to load the script.

    Attributes:
        environment: Variables to set before anything of the user's is imported.
        forget: Variables to remove.
        path_head: Put in front of ``sys.path``, as ``python -m`` would; may be empty.
        options: The worker's settings (`azmlinfsrv.worker.options.WorkerOptions`), msgpack.
    """

    environment: dict[str, str]
    forget: list[str]
    path_head: str
    options: bytes


class Score(Struct, tag=2, array_like=True, gc=False):
    """One call; its body is the request's body. The other fields are `Request`'s.

    `is_ahead`: it was sent while another was being computed, and must be claimed.
    `more_in_batch`: so many calls follow that are to be computed together with it.
    """

    call_id: int
    is_ahead: bool
    method: str
    path: str
    query: bytes
    headers: Headers
    scheme: str
    client: str
    server: str
    http_version: str
    request_id: str
    client_request_id: str
    more_in_batch: int = 0


class Interrupt(Struct, tag=3, array_like=True):
    """End the call if it is still running. A signal follows, as the doorbell."""

    call_id: int
    reason: str


class Credit(Struct, tag=4, array_like=True):
    """The client has taken this many bytes of a stream; as many more may be sent."""

    call_id: int
    body_bytes: int


class Cancel(Struct, tag=5, array_like=True):
    """Nobody reads this stream any more: close the generator between two items."""

    call_id: int


# --- worker to front end ----------------------------------------------------------------


class Ready(Struct, tag=1, array_like=True):
    """``init()`` has returned. The body is a msgpack map of the script's facts.

    `pid` is the process's own: of a fork the front end does not know it otherwise. `slots`
    is how many calls it computes at once; `batch_size` and `batch_wait_s` are how calls
    are put together for one of them (`azmlinfsrv.script.batching`).
    """

    pid: int
    slots: int = 1
    batch_size: int = 1
    batch_wait_s: float = 0.0


class StartFailed(Struct, tag=2, array_like=True):
    """The script cannot be served; the body is the report, UTF-8. The process ends.

    `level` is the logging level of the report, `location` the user's line. `files` are those
    of `azmlinfsrv.script.facts.ScriptFacts`. `told` is the report as a struct
    (`azmlinfsrv.script.report.Report`, msgpack) in development mode.
    """

    level: int = 40
    location: str = ""
    files: list[str] = []
    told: bytes = b""


class Answer(Struct, tag=3, array_like=True, gc=False):
    """What ``run()`` returned, whole; the body is the response's body.

    `has_output`: bytes written to stdout or stderr during the call wait in the pipes.
    """

    call_id: int
    status: int
    headers: Headers
    reason: str
    timings: Timings | None
    has_output: bool = False


class Failure(Struct, tag=4, array_like=True):
    """A `RequestError`, by the name of its class.

    The body is the report (`azmlinfsrv.script.report.Report`, msgpack) in development mode.
    """

    call_id: int
    kind: str
    message: str
    location: str
    has_output: bool = False


class StreamStart(Struct, tag=5, array_like=True):
    """The head of a streamed response; its items follow."""

    call_id: int
    status: int
    headers: Headers
    reason: str
    timings: Timings | None


class StreamItem(Struct, tag=6, array_like=True, gc=False):
    """The body is one item, as the script produced it."""

    call_id: int


class StreamEnd(Struct, tag=7, array_like=True):
    """The stream is over; `complete` is False if the generator raised or was interrupted."""

    call_id: int
    complete: bool
    has_output: bool = False


class Record(Struct, tag=8, array_like=True):
    """A log record of the worker; the body is its text, UTF-8.

    `call_id` is 0 outside a call; `created_s` is seconds since the epoch; the last
    `tail_bytes` of the body are the exception and the stack; `extra` is what the script
    passed with ``extra={...}``, if the log format shows it.
    """

    call_id: int
    logger: str
    level: int
    created_s: float
    tail_bytes: int = 0
    extra: dict[str, Any] | None = None


class Formatted(Struct, tag=10, array_like=True, gc=False):
    """The body is a line that a handler of the script's has formatted, with its end, UTF-8.

    It goes to the front end's own standard output (`descriptor` 1) or error (2) as it is.
    """

    descriptor: int


class Skipped(Struct, tag=9, array_like=True):
    """A call that was sent ahead had been taken back when its turn came."""

    call_id: int


# --- to and from the process that workers are forked from -------------------------------


class Fork(Struct, tag=6, array_like=True):
    """Make a worker (`azmlinfsrv.worker.preload`).

    Three descriptors come with it, in this order: its socket, its standard output, its
    standard error.
    """

    number: int


class ForkEnded(Struct, tag=11, array_like=True):
    """A worker has ended: its exit status, or minus the signal's number."""

    number: int
    return_code: int


ToTemplate = Start | Fork
FromTemplate = Record | Formatted | ForkEnded

ToWorker = Start | Score | Interrupt | Credit | Cancel
ToFrontEnd = (
    Ready
    | StartFailed
    | Answer
    | Failure
    | StreamStart
    | StreamItem
    | StreamEnd
    | Record
    | Skipped
    | Formatted
)

M = TypeVar("M")

_encode = msgspec.msgpack.Encoder().encode
to_worker: msgspec.msgpack.Decoder[ToWorker] = msgspec.msgpack.Decoder(ToWorker)
to_template: msgspec.msgpack.Decoder[ToTemplate] = msgspec.msgpack.Decoder(ToTemplate)
from_template: msgspec.msgpack.Decoder[FromTemplate] = msgspec.msgpack.Decoder(FromTemplate)
to_front_end: msgspec.msgpack.Decoder[ToFrontEnd] = msgspec.msgpack.Decoder(ToFrontEnd)

# Up to here one copy is cheaper than a second buffer in the system call.
_JOIN_BYTES = 32 * 1024


def pack(
    header: ToWorker | ToFrontEnd | ToTemplate | FromTemplate, body: Buffer = b""
) -> list[Buffer]:
    """The buffers of one frame, to be written in order.

    Raises:
        ProtocolError: the body is over 4 GiB, which the prefix cannot say.
    """
    head = _encode(header)
    if len(body) > MAX_BODY_BYTES:
        raise ProtocolError(f"a body of {len(body)} bytes is over the 4 GiB of a frame")
    prefix = _PREFIX.pack(len(head), len(body))
    if len(body) <= _JOIN_BYTES:
        return [b"".join((prefix, head, body))]
    return [prefix + head, body]


class FrameReader(Generic[M]):
    """Puts frames together from whatever pieces arrive."""

    def __init__(self, decoder: msgspec.msgpack.Decoder[M]) -> None:
        self._decode = decoder.decode
        self._scratch = bytearray(_SCRATCH_BYTES)
        self._view = memoryview(self._scratch)
        self._end = 0  # of what has been received and is not whole yet
        self._header: Any = None  # of the frame whose body is being received
        self._body: bytearray | memoryview | None = None
        self._rest: memoryview | None = None

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        if self._rest is not None:
            return self._rest
        return self._view[self._end :]

    def received(self, count: int) -> list[tuple[M, Buffer]]:
        """Take note that *count* bytes were put into `buffer`; the frames now whole.

        Raises:
            ProtocolError: the bytes are not frames of this direction.
        """
        if self._rest is not None:
            self._rest = self._rest[count:]
            if self._rest:
                return []
            frame = (self._header, self._body)
            self._header = self._body = self._rest = None
            return [frame]  # type: ignore[list-item]  # the body is set while rest is
        self._end += count
        return self._split()

    def _split(self) -> list[tuple[M, Buffer]]:
        frames: list[tuple[M, Buffer]] = []
        start, end, view, decode = 0, self._end, self._view, self._decode
        try:
            while end - start >= _PREFIX_BYTES:
                head_bytes, body_bytes = _unpack_prefix(view, start)
                head_end = start + _PREFIX_BYTES + head_bytes
                frame_end = head_end + body_bytes
                if frame_end > end:
                    start = self._begin_long(start, head_bytes, body_bytes)
                    break
                header = decode(view[start + _PREFIX_BYTES : head_end])
                frames.append((header, bytes(view[head_end:frame_end]) if body_bytes else b""))
                start = frame_end
        except msgspec.MsgspecError as error:
            raise ProtocolError(f"a frame header that is none of ours: {error}") from error
        if start == self._end:
            self._end = 0
        elif start:
            self._compact(start)
        return frames

    def _begin_long(self, start: int, head_bytes: int, body_bytes: int) -> int:
        """Get ready for a frame that is not whole; where it starts, or the end if it has moved."""
        if head_bytes > MAX_HEADER_BYTES:
            raise ProtocolError(f"a frame header of {head_bytes} bytes")
        head_end, end = start + _PREFIX_BYTES + head_bytes, self._end
        if head_end <= end and _PREFIX_BYTES + head_bytes + body_bytes > len(self._scratch):
            self._header = self._decode(self._view[start + _PREFIX_BYTES : head_end])
            self._body = _room_for(body_bytes)
            have = end - head_end
            self._body[:have] = self._view[head_end:end]
            self._rest = memoryview(self._body)[have:]
            return end
        if _PREFIX_BYTES + head_bytes > len(self._scratch):
            self._grow(start, _PREFIX_BYTES + head_bytes)
            return 0
        return start

    def _compact(self, start: int) -> None:
        """Leave room behind what is waiting for its rest."""
        waiting = self._end - start
        self._scratch[:waiting] = self._scratch[start : self._end]
        self._end = waiting

    def _grow(self, start: int, size: int) -> None:
        waiting = bytes(self._view[start : self._end])
        self._scratch = bytearray(size + _SCRATCH_BYTES)
        self._view = memoryview(self._scratch)
        self._scratch[: len(waiting)] = waiting
        self._end = len(waiting)


def _room_for(body_bytes: int) -> bytearray | memoryview:
    """A buffer of that size; a large one takes memory only where bytes are put into it."""
    if body_bytes <= _AT_ONCE_BYTES:
        return bytearray(body_bytes)
    try:
        return memoryview(mmap.mmap(-1, body_bytes))
    except (OSError, OverflowError, ValueError) as error:
        raise ProtocolError(f"no room for a body of {body_bytes} bytes") from error
