"""What a script writes, by whatever means, becomes lines tagged with its request."""

from __future__ import annotations

from pathlib import Path

import pytest

from azmlinfsrv.errors import ScoringProcessEnded
from tests.pool.bench import Bench, pool_of, run

SOURCE = """
import ctypes, os, subprocess, sys, threading, time

def init():
    print("from init")
    os.write(1, b"raw from init\\n")

def run(data):
    exec(data, globals())
    return "ran"
"""

# Code, the logger, and the lines it makes there.
WAYS = {
    "print": ("print('a'); print('b')", "azmlinfsrv.print", ["a", "b"]),
    "print without an end": ("print('a', end='')", "azmlinfsrv.print", ["a"]),
    "sys.stdout.write": ("sys.stdout.write('a\\nb\\n')", "azmlinfsrv.print", ["a", "b"]),
    "sys.stdout.write, no line end": (
        "sys.stdout.write('a'); sys.stdout.flush()",
        "azmlinfsrv.print",
        ["a"],
    ),
    "sys.stderr": ("sys.stderr.write('a\\n')", "azmlinfsrv.stderr", ["a"]),
    "print to stderr": ("print('a', file=sys.stderr)", "azmlinfsrv.stderr", ["a"]),
    "os.write": ("os.write(1, b'a\\nb')", "azmlinfsrv.print", ["a", "b"]),
    "puts": ("ctypes.CDLL(None).puts(b'from C')", "azmlinfsrv.print", ["from C"]),
    "printf": ("ctypes.CDLL(None).printf(b'%d apples\\n', 3)", "azmlinfsrv.print", ["3 apples"]),
    "a subprocess": (
        "subprocess.run(['sh', '-c', 'echo a; echo b'])",
        "azmlinfsrv.print",
        ["a", "b"],
    ),
    "a subprocess on stderr": (
        "subprocess.run(['sh', '-c', 'echo a >&2'])",
        "azmlinfsrv.stderr",
        ["a"],
    ),
    "binary": ("os.write(1, b'\\xff\\x00\\n')", "azmlinfsrv.print", ["\\xff\x00"]),
    "carriage returns": ("os.write(1, b'a\\r\\nb\\r\\n')", "azmlinfsrv.print", ["a", "b"]),
    "an empty line": ("os.write(1, b'\\na\\n')", "azmlinfsrv.print", ["", "a"]),
    "a root logger": ("import logging; logging.info('a')", "root", ["a"]),
    "a named logger": ("import logging; logging.getLogger('m').warning('a')", "m", ["a"]),
    "a wrapped stdout": (
        "import io; old = sys.stdout\n"
        "sys.stdout = io.TextIOWrapper(old.buffer, encoding='utf-8', write_through=False)\n"
        "print('a')",
        "azmlinfsrv.print",
        ["a"],
    ),
}


def test_every_way_of_writing_makes_tagged_lines(tmp_path: Path) -> None:
    async def main() -> dict[str, list[tuple[str, str]]]:
        found: dict[str, list[tuple[str, str]]] = {}
        async with pool_of(tmp_path, SOURCE) as bench:
            for name, (code, logger, _) in WAYS.items():
                before = len(bench.lines)
                await bench.ask(code, request_id=name)
                found[name] = [
                    (line.text, line.request_id)
                    for line in bench.lines[before:]
                    if line.logger == logger
                ]
        return found

    found = run(main())

    assert found == {name: [(text, name) for text in lines] for name, (_, _, lines) in WAYS.items()}


def test_output_of_init_has_no_request(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.until(lambda: bench.said("azmlinfsrv.print"))
            lines = [
                (line.logger, line.text, line.request_id)
                for line in bench.lines
                if "from init" in line.text
            ]
            assert sorted(lines) == [
                ("azmlinfsrv.print", "from init", ""),
                ("azmlinfsrv.print", "raw from init", ""),
            ]

    run(main())


@pytest.mark.parametrize(
    ("code", "logger"),
    [
        ("for n in range(100_000): print('x' * 49)", "azmlinfsrv.print"),
        ("os.write(1, b'')\nsys.stdout.write(('x' * 49 + '\\n') * 100_000)", "azmlinfsrv.print"),
    ],
    ids=["print", "write"],
)
def test_megabytes_of_lines_arrive_whole(tmp_path: Path, code: str, logger: str) -> None:
    async def main() -> list[str]:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.ask(code)
            return [t for t in bench.said(logger) if "init" not in t]

    lines = run(main())

    assert len(lines) == 100_000
    assert set(lines) == {"x" * 49}


def test_a_line_without_an_end_is_cut_and_memory_bounded(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.ask("sys.stdout.write('x' * 10_000_000)")
            lines = [t for t in bench.said("azmlinfsrv.print") if t.startswith("x")]

            assert sum(map(len, lines)) == 10_000_000
            assert max(map(len, lines)) <= 64 * 1024

    run(main())


def test_last_words_of_a_crash_are_heard(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            with pytest.raises(ScoringProcessEnded):
                await bench.ask("os.write(2, b'terminate called'); os._exit(6)", request_id="id-1")

            (line,) = [line for line in bench.lines if line.text == "terminate called"]
            assert (line.logger, line.request_id) == ("azmlinfsrv.stderr", "id-1")

    run(main())


@pytest.mark.parametrize(
    "code",
    [
        "os.close(0)",
        "os.close(1)",
        "os.close(2)",
        "os.close(0); os.close(1); os.close(2)",
        "sys.stdout.close()",
        "sys.stdout = sys.stderr = None",
        "sys.stdout = open(os.devnull, 'w')",
        "os.dup2(os.open(os.devnull, os.O_RDWR), 1)",
        "import logging; logging.shutdown()",
        "import builtins; builtins.print = None",
    ],
)
def test_a_script_may_do_to_its_streams_what_it_likes(tmp_path: Path, code: str) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.ask(code)
            assert await bench.value("pass") == "ran"
            await bench.ask("raise_ = 1")
            assert "ended" not in bench.log()

    run(main())


def test_a_child_that_writes_all_the_time_does_not_hold_up_answers(tmp_path: Path) -> None:
    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.ask("child = subprocess.Popen(['yes'])")
            for _ in range(3):
                await bench.ask("pass")
            await bench.ask("child.kill(); child.wait()")

    run(main())  # which has a limit; the child has none


def test_a_thread_that_logs_between_calls_is_not_taken_for_the_next(tmp_path: Path) -> None:
    code = """
go = threading.Event()
def speak():
    go.wait()
    print("in between")
    said.set()
said = threading.Event()
threading.Thread(target=speak).start()
"""

    async def main() -> None:
        async with pool_of(tmp_path, SOURCE) as bench:
            await bench.ask(code, request_id="first")
            await bench.ask("threading.Timer(0.05, go.set).start()", request_id="second")
            await bench.until(lambda: "in between" in bench.said("azmlinfsrv.print"))

            (line,) = [line for line in bench.lines if line.text == "in between"]
            assert line.request_id == ""

    run(main())


SOCKET = """
import socket
def link(fd):
    try:
        return os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""
ours = next(fd for fd in range(3, 50) if link(fd).startswith("socket:"))
"""


@pytest.mark.parametrize(
    "garbage",
    ["b'HTTP/1.1 200 OK\\r\\n\\r\\n' * 100_000", "b'\\xff' * 9", "bytes(100_000)"],
    ids=["text", "huge-header", "zeros"],
)
def test_a_worker_that_writes_rubbish_is_replaced(tmp_path: Path, garbage: str) -> None:
    async def main() -> Bench:
        async with pool_of(tmp_path, SOURCE) as bench:
            write = "while data: data = data[os.write(ours, data):]"
            code = f"{SOCKET}\ndata = memoryview({garbage})\n{write}\ntime.sleep(60)"
            with pytest.raises(ScoringProcessEnded):
                await bench.ask(code)

            assert await bench.value("pass") == "ran"
            return bench

    bench = run(main())

    (line,) = [line for line in bench.lines if "it is being replaced" in line.text]
    assert line.level == "ERROR"
