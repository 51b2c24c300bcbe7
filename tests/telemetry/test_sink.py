"""Log lines leave without holding anything up, whatever the reader does."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from azmlinfsrv.telemetry.sink import Sink

Pipe = tuple[int, int]


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    read, write = os.pipe()
    yield read, write
    with contextlib.suppress(OSError):
        os.close(read)
    # A writer that is stuck ends now; before that its descriptor must not get another meaning.
    for thread in threading.enumerate():
        if thread.name == "log writer":
            thread.join(5)
    with contextlib.suppress(OSError):
        os.close(write)


def read_all(read: int, into: list[bytes]) -> None:
    while data := os.read(read, 65536):
        into.append(data)


def test_lines_arrive_in_order(pipe: Pipe) -> None:
    read, write = pipe
    sink = Sink(write)

    for number in range(1000):
        sink.write(f"{number}\n")
    sink.close()

    assert os.read(read, 65536).decode().split() == [str(number) for number in range(1000)]
    assert sink.dropped == 0


def test_what_cannot_be_encoded_is_escaped(pipe: Pipe) -> None:
    read, write = pipe
    sink = Sink(write)

    sink.write("é \udc80\n")
    sink.close()

    assert os.read(read, 100) == "é \\udc80\n".encode()


def test_a_stalled_reader_blocks_nobody_and_the_drops_are_told(pipe: Pipe) -> None:
    read, write = pipe
    sink = Sink(write, limit_bytes=100_000)
    line = "x" * 99 + "\n"

    began = time.monotonic()
    for _ in range(20_000):
        sink.write(line)
    took_s = time.monotonic() - began
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(read, found))
    reader.start()
    more = 0
    while b"dropped" not in b"".join(found):
        time.sleep(0.001)
        sink.write("more\n")
        more += 1
    sink.close()
    os.close(write)
    reader.join()

    text = b"".join(found).decode()
    told = re.findall(r"^(\d+) log lines were dropped: the reader is slow\.$", text, re.MULTILINE)
    assert took_s < 2.0
    assert sink.dropped > 15_000
    assert sum(map(int, told)) == sink.dropped
    assert text.count(line) + text.count("more\n") == 20_000 + more - sink.dropped


def test_a_stalled_reader_is_not_waited_for_at_the_end(pipe: Pipe) -> None:
    _, write = pipe
    sink = Sink(write, limit_bytes=1_000_000)
    for _ in range(5_000):
        sink.write("x" * 99 + "\n")

    began = time.monotonic()
    sink.close(timeout_s=0.1)

    assert 0.1 <= time.monotonic() - began < 1.0


def test_a_slow_reader_gets_everything_that_fits(pipe: Pipe) -> None:
    read, write = pipe
    sink = Sink(write)
    total = 3000
    for number in range(total):
        sink.write(f"{number:099}\n")
    found = b""
    while len(found) < total * 100:
        found += os.read(read, 1000)
    sink.close()

    assert [int(line) for line in found.split()] == list(range(total))
    assert sink.dropped == 0


def test_a_reader_that_has_gone_is_no_error(pipe: Pipe) -> None:
    read, write = pipe
    sink = Sink(write)
    os.close(read)

    sink.write("one\n")
    sink.close()
    sink.write("two\n")
    sink.close()

    assert sink.dropped >= 1


def test_the_room_of_lines_that_are_out_is_free_again(pipe: Pipe) -> None:
    """A count that drifts would drop everything in the end."""
    read, write = pipe
    sink = Sink(write, limit_bytes=4000)
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(read, found))
    reader.start()
    end = time.monotonic() + 0.5
    while time.monotonic() < end:
        sink.write("x" * 99 + "\n")
    sink.close()
    dropped = sink.dropped

    for _ in range(39):
        sink.write("y" * 99 + "\n")
    sink.close()
    os.close(write)
    reader.join()

    assert sink.dropped == dropped
    assert b"".join(found).count(b"y" * 99) == 39


def test_closing_does_not_wait_when_everything_is_out(pipe: Pipe) -> None:
    _, write = pipe
    took: list[float] = []
    for _ in range(20):
        sink = Sink(write)
        sink.write("x\n")
        began = time.monotonic()
        sink.close()
        took.append(time.monotonic() - began)

    assert max(took) < 0.5


def test_a_descriptor_made_non_blocking_by_somebody_is_written_to(pipe: Pipe) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    sink = Sink(write)
    for _ in range(2000):
        sink.write("x" * 99 + "\n")
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(read, found))
    reader.start()
    sink.close(timeout_s=10)
    os.close(write)
    reader.join()

    assert len(b"".join(found)) == 200_000


def test_a_stuck_thread_is_not_joined_by_others(pipe: Pipe) -> None:
    """Every close would leave one more behind: an arbiter closes before each fork."""
    read, write = pipe
    sink = Sink(write, limit_bytes=1_000_000)
    sink.write("x" * 500_000 + "\n")
    before = threading.active_count()

    for _ in range(5):
        sink.close(timeout_s=0.01)
        sink.write("more\n")
    threads = threading.active_count()
    found: list[bytes] = []
    reader = threading.Thread(target=read_all, args=(read, found))
    reader.start()
    sink.close(timeout_s=10)
    os.close(write)
    reader.join()

    assert threads == before
    assert b"".join(found) == b"x" * 500_000 + b"\n" + b"more\n" * 5


def test_a_child_of_a_fork_writes_its_own_lines_and_none_of_its_parents(pipe: Pipe) -> None:
    read, write = pipe
    code = f"""
import os, sys
from azmlinfsrv.telemetry.sink import Sink
sink = Sink({write})
sink.write("parent\\n")
child = os.fork()
if not child:
    sink.write("child\\n")
    sink.close()
    os._exit(0)
os.waitpid(child, 0)
sink.close()
"""
    subprocess.run([sys.executable, "-c", code], pass_fds=[write], check=True, timeout=30)

    assert sorted(os.read(read, 100).split()) == [b"child", b"parent"]
