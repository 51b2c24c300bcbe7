"""Frames out of any pieces, and nothing else."""

from __future__ import annotations

import struct

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from azmlinfsrv.messages import Buffer, Timings
from azmlinfsrv.worker import frames
from azmlinfsrv.worker.frames import (
    Answer,
    Cancel,
    Credit,
    Failure,
    FrameReader,
    Interrupt,
    ProtocolError,
    Ready,
    Record,
    Score,
    Skipped,
    Start,
    StartFailed,
    StreamEnd,
    StreamItem,
    StreamStart,
    ToFrontEnd,
    ToWorker,
    pack,
)

KIB = 1024

TO_WORKER: list[ToWorker] = [
    Start({"A": "1"}, ["B"], "/here", msgspec.msgpack.encode({"k": 1})),
    Score(
        7,
        True,
        "POST",
        "/score",
        b"a=1",
        [(b"host", b"x"), (b"host", b"\xff")],
        "http",
        "127.0.0.1",
        "localhost:5001",
        "1.1",
        "id",
        "client",
    ),
    Interrupt(7, "timeout"),
    Credit(7, 2**40),
    Cancel(2**62),
]
TO_FRONT_END: list[ToFrontEnd] = [
    Ready(7),
    StartFailed(),
    Answer(1, 200, [(b"Content-Type", b"text/plain")], "", Timings(0.1, 0.2, 0.3), True),
    Answer(1, 200, [], "I'm a teapot", None),
    Failure(1, "BadInput", "é\ud83d\ude00".encode("utf-16", "surrogatepass").decode("utf-16"), ""),
    StreamStart(1, 200, [], "", None),
    StreamItem(1),
    StreamEnd(1, False, True),
    Record(0, "azmlinfsrv.print", 20, 1.5),
    Skipped(3),
]


def wire(*messages: tuple[ToWorker | ToFrontEnd, Buffer]) -> bytes:
    return b"".join(bytes(part) for header, body in messages for part in pack(header, body))


def feed(
    reader: FrameReader[ToFrontEnd], data: bytes, sizes: list[int]
) -> list[tuple[ToFrontEnd, bytes]]:
    """Hand over *data* in pieces of *sizes*, repeated, never more than the reader has room for."""
    found: list[tuple[ToFrontEnd, bytes]] = []
    at = turn = 0
    while at < len(data):
        room = reader.buffer()
        count = min(len(room), sizes[turn % len(sizes)], len(data) - at)
        assert count > 0
        room[:count] = data[at : at + count]
        found += [(header, bytes(body)) for header, body in reader.received(count)]
        at += count
        turn += 1
    return found


def front_end_reader() -> FrameReader[ToFrontEnd]:
    return FrameReader(frames.to_front_end)


@pytest.mark.parametrize("header", TO_WORKER, ids=lambda it: type(it).__name__)
def test_a_frame_to_the_worker_arrives_as_it_was_sent(header: ToWorker) -> None:
    reader: FrameReader[ToWorker] = FrameReader(frames.to_worker)
    data = wire((header, b"body"))

    reader.buffer()[: len(data)] = data
    ((found, body),) = reader.received(len(data))

    assert type(found) is type(header)
    assert wire((found, body)) == data


@pytest.mark.parametrize("header", TO_FRONT_END, ids=lambda it: type(it).__name__)
def test_a_frame_to_the_front_end_arrives_as_it_was_sent(header: ToFrontEnd) -> None:
    assert feed(front_end_reader(), wire((header, b"body")), [10**6]) == [(header, b"body")]


BODY_SIZES = st.one_of(
    st.integers(0, 40),
    st.sampled_from([32 * KIB - 1, 32 * KIB, 32 * KIB + 1, 64 * KIB - 30, 64 * KIB, 200_000]),
)


@settings(max_examples=150, deadline=None)
@given(
    sizes=st.lists(BODY_SIZES, min_size=1, max_size=6),
    texts=st.lists(st.sampled_from([0, 3, 70_000]), min_size=1, max_size=6),
    pieces=st.lists(st.one_of(st.integers(1, 50), st.integers(1, 100_000)), min_size=1, max_size=5),
)
def test_any_split_of_the_bytes_gives_the_same_frames(
    sizes: list[int], texts: list[int], pieces: list[int]
) -> None:
    sent: list[tuple[ToFrontEnd, Buffer]] = [
        (
            Failure(number, "BadInput", "m" * texts[number % len(texts)], ""),
            bytes([number % 256]) * size,
        )
        for number, size in enumerate(sizes)
    ]
    # Pieces of a few bytes over megabytes take long and find no more.
    data = wire(*sent)
    pieces = [max(piece, len(data) // 2000) for piece in pieces]

    assert feed(front_end_reader(), data, pieces) == sent


@pytest.mark.parametrize("piece", [1, 7, 65536, 10**9], ids=lambda it: f"{it}-bytes-a-piece")
def test_a_header_bigger_than_the_scratch_buffer_arrives(piece: int) -> None:
    big = Failure(1, "BadInput", "m" * 150_000, "")
    sent: list[tuple[ToFrontEnd, Buffer]] = [(StreamItem(1), b"x"), (big, b"y"), (Ready(7), b"")]

    assert feed(front_end_reader(), wire(*sent), [piece]) == sent


def test_a_large_body_is_received_into_its_own_buffer() -> None:
    reader = front_end_reader()
    body = bytes(range(256)) * (40 * KIB)
    data = wire((StreamItem(1), body))
    head_bytes = len(data) - len(body)
    first = 64 * KIB
    reader.buffer()[:first] = data[:first]
    assert reader.received(first) == []

    room = reader.buffer()

    assert len(room) == len(body) - (first - head_bytes)
    room[:] = data[first:]
    assert reader.received(len(room)) == [(StreamItem(1), bytearray(body))]


def test_a_body_on_the_way_does_not_take_the_frame_behind_it() -> None:
    sent: list[tuple[ToFrontEnd, Buffer]] = [
        (StreamItem(1), b"a" * 300_000),
        (StreamItem(2), b""),
        (StreamItem(3), b"b" * 65_536),
        (StreamEnd(3, True), b""),
    ]

    assert feed(front_end_reader(), wire(*sent), [65_536]) == sent


def prefix(head: bytes, body_bytes: int = 0) -> bytes:
    return struct.pack("<II", len(head), body_bytes) + head


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(prefix(b""), id="empty-header"),
        pytest.param(prefix(b"\xc1"), id="not-msgpack"),
        pytest.param(prefix(msgspec.msgpack.encode("text")), id="not-a-struct"),
        pytest.param(prefix(msgspec.msgpack.encode([99, 1])), id="unknown-tag"),
        pytest.param(prefix(msgspec.msgpack.encode([6])), id="field-missing"),
        pytest.param(prefix(msgspec.msgpack.encode([6, "seven"])), id="field-of-another-type"),
        pytest.param(prefix(msgspec.msgpack.encode([6, 1]) + b"\x00"), id="rubbish-behind"),
        pytest.param(prefix(msgspec.msgpack.encode([6, 1])[:-1]), id="cut-short"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="text"),
        pytest.param(b"\xff" * 8, id="huge-header"),
        pytest.param(struct.pack("<II", frames.MAX_HEADER_BYTES + 1, 0), id="over-the-limit"),
        pytest.param(prefix(b"\xc1", 10**6), id="not-msgpack-with-a-large-body"),
    ],
)
@pytest.mark.parametrize("piece", [1, 10**6], ids=["byte-by-byte", "at-once"])
def test_what_is_no_frame_is_a_protocol_error(data: bytes, piece: int) -> None:
    with pytest.raises(ProtocolError):
        feed(front_end_reader(), data + b"\0" * 100_000, [piece])


def test_a_frame_for_the_other_direction_is_a_protocol_error() -> None:
    with pytest.raises(ProtocolError):
        feed(front_end_reader(), wire((Interrupt(1, "timeout"), b"")), [100])


@settings(max_examples=200, deadline=None)
@given(data=st.binary(min_size=1, max_size=300), piece=st.integers(1, 300))
def test_rubbish_is_waited_for_or_refused_and_nothing_else(data: bytes, piece: int) -> None:
    try:
        feed(front_end_reader(), data, [piece])
    except ProtocolError:
        pass


def test_the_scratch_buffer_stays_as_it_is_however_much_passes_through() -> None:
    reader = front_end_reader()
    one = wire((StreamItem(1), b"x" * 1000))

    feed(reader, one * 5000, [777])

    assert len(reader.buffer()) <= 64 * KIB


def test_small_frames_are_one_buffer_and_large_bodies_are_not_copied() -> None:
    small = pack(StreamItem(1), b"x" * 100)
    body = memoryview(b"x" * 100_000)
    large = pack(StreamItem(1), body)

    assert len(small) == 1
    assert large[1] is body


def test_a_body_the_prefix_cannot_say_is_refused() -> None:
    class Huge(bytes):
        def __len__(self) -> int:
            return 2**32

    with pytest.raises(ProtocolError, match="4 GiB"):
        pack(StreamItem(1), Huge())
