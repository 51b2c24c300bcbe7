"""A script on one request, without a server: what a shell and a CI job see."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

ECHO = """
import json, os, time

def init():
    print("starting")

def run(data):
    order = json.loads(data or "{}")
    what = order.get("do") if isinstance(order, dict) else None
    if what == "fail":
        return order["missing"]
    if what == "exit":
        os._exit(5)
    if what == "segfault":
        import ctypes
        ctypes.string_at(0)
    if what == "sleep":
        time.sleep(60)
    if what == "object":
        return object()
    if what == "once":
        if os.path.exists("done"):
            raise ValueError("again")
        open("done", "w").close()
    print("running")
    return order
"""
RAW = """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse

def init():
    pass

@rawhttp
def run(request):
    told = [request.method, request.args.get("a"), request.headers.get("X-Mine"),
            request.get_data(as_text=True)]
    status = int(request.args.get("status", 200))
    return AMLResponse(told, status, json_str=True)
"""
STREAM = """
def init():
    pass

def run(data):
    yield "one,"
    yield "two"
    if data == '"fail"':
        raise ValueError("late")
"""


def invoke(
    folder: Path,
    source: str | None,
    *arguments: str,
    stdin: bytes = b"",
    command: Sequence[str] = (sys.executable, "-m", "azmlinfsrv"),
    **variables: str,
) -> subprocess.CompletedProcess[bytes]:
    """The outcome of ``azmlinfsrv invoke`` on a script given as text."""
    script = []
    if source is not None:
        (folder / "score.py").write_text(source, encoding="utf-8")
        script = ["--entry_script", "score.py"]
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AZ")}
    return subprocess.run(
        [*command, "invoke", *script, *arguments],
        cwd=folder,
        env={**environ, **variables},
        input=stdin,
        capture_output=True,
        timeout=60,
        check=False,
    )


def test_answer_alone_is_on_standard_output(tmp_path: Path) -> None:
    done = invoke(tmp_path, ECHO, "--data", '{"a": [1, 2]}')

    assert done.returncode == 0
    assert done.stdout == b'{"a": [1, 2]}'
    talk = done.stderr.decode()
    for text in ("starting", "running"):
        assert f"azmlinfsrv.print - {text}" in talk
    assert re.search(r"^status +200 ", talk, re.MULTILINE)
    assert re.search(r"^start +\d+\.\d{3} ms ", talk, re.MULTILINE)
    assert re.search(r"^first +\d+\.\d{3} ms  parse .* run .* encode ", talk, re.MULTILINE)
    assert re.search(r"^memory +\d+\.\d MiB ", talk, re.MULTILINE)
    assert "median" not in talk


@pytest.mark.parametrize("source", ["file", "standard input", "nothing"])
def test_body_comes_from_where_it_is_said(tmp_path: Path, source: str) -> None:
    (tmp_path / "request.json").write_bytes(b'{"n": 1}')
    data = {"file": ["--data", "@request.json"], "standard input": ["--data", "-"], "nothing": []}

    done = invoke(tmp_path, ECHO, *data[source], stdin=b'{"n": 1}')

    assert done.stdout == (b"{}" if source == "nothing" else b'{"n": 1}')


def test_repeated_calls_have_a_median(tmp_path: Path) -> None:
    done = invoke(tmp_path, ECHO, "--data", "{}", "--repeat", "20")

    assert (done.returncode, done.stdout) == (0, b"{}")
    assert re.search(r"^median +\d+\.\d{3} ms  of 19 more, \d", done.stderr.decode(), re.MULTILINE)


def test_keys_of_the_server_are_not_asked_for(tmp_path: Path) -> None:
    done = invoke(tmp_path, ECHO, "--data", "{}", AZMLINFSRV_AUTH_KEYS="k" * 32)

    assert (done.returncode, done.stdout) == (0, b"{}")


def test_one_failure_of_many_calls_is_a_failure(tmp_path: Path) -> None:
    done = invoke(tmp_path, ECHO, "--data", '{"do": "once"}', "--repeat", "3")

    assert done.returncode == 1
    assert done.stdout == b'{"do": "once"}'
    assert re.search(r"^failed +2 ", done.stderr.decode(), re.MULTILINE)


FAILURES = [
    ("fail", "ScoringFailed", "score.py:11 in run", "order has no 'missing'"),
    ("exit", "ScoringProcessEnded", "", "os._exit()"),
    ("segfault", "ScoringProcessEnded", "", "C extension"),
    ("sleep", "ScoringTimeout", "score.py:18 in run", ""),
    ("object", "EncodingFailed", "", ""),
]


@pytest.mark.parametrize(("what", "kind", "location", "hint"), FAILURES)
def test_failed_call_is_its_report(
    tmp_path: Path, what: str, kind: str, location: str, hint: str
) -> None:
    data = json.dumps({"do": what})

    done = invoke(tmp_path, ECHO, "--data", data, SCORING_TIMEOUT_MS="2000")

    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert (report["kind"], report["status"]) == (kind, 500)
    assert location in report["location"]
    assert hint in report["hint"]
    if what == "fail":
        assert '  > 11 |         return order["missing"]' in done.stderr.decode()


def test_bad_input_is_a_failure_too(tmp_path: Path) -> None:
    (tmp_path / "request").write_bytes(b"\xff")

    done = invoke(tmp_path, ECHO, "--data", "@request")

    assert done.returncode == 1
    assert json.loads(done.stdout)["kind"] == "BadInput"


def test_raw_request_is_what_was_said(tmp_path: Path) -> None:
    done = invoke(
        tmp_path, RAW, "--raw", "--method", "PUT", "--header", "X-Mine: yes", "--query", "a=%201",
        "--data", "body",
    )  # fmt: skip

    assert done.returncode == 1  # the route takes GET, POST, OPTIONS and HEAD only
    done = invoke(
        tmp_path, RAW, "--raw", "--header", "X-Mine: yes", "--query", "a=%201", "--data", "body"
    )
    assert (done.returncode, json.loads(done.stdout)) == (0, ["POST", " 1", "yes", "body"])
    done = invoke(tmp_path, RAW, "--raw", "--method", "GET")
    assert json.loads(done.stdout) == ["GET", None, None, ""]


@pytest.mark.parametrize(("status", "returned"), [("404", 0), ("503", 1)])
def test_answer_of_the_scripts_own_fails_from_500_on(
    tmp_path: Path, status: str, returned: int
) -> None:
    done = invoke(tmp_path, RAW, "--raw", "--query", f"status={status}")

    assert done.returncode == returned
    assert json.loads(done.stdout)[0] == "POST"


def test_stream_is_written_whole(tmp_path: Path) -> None:
    done = invoke(tmp_path, STREAM, "--data", '"x"')

    assert (done.returncode, done.stdout) == (0, b"one,two")


def test_stream_that_breaks_is_a_failure(tmp_path: Path) -> None:
    done = invoke(tmp_path, STREAM, "--data", '"fail"')

    assert done.returncode == 1
    assert "ValueError: late" in done.stderr.decode()


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def init():\n    return models['a']\n\ndef run(data):\n    pass\n", "score.py:2 in init"),
        ("import notinstalledanywhere\n", "install notinstalledanywhere"),
        ("def init():\n    pass\n", "def run(data):"),
        ("import os\ndef init():\n    os._exit(9)\n\ndef run(data):\n    pass\n", "status 9"),
    ],
)
def test_script_that_cannot_be_served_is_told_apart(
    tmp_path: Path, source: str, words: str
) -> None:
    done = invoke(tmp_path, source, "--data", "{}")

    assert done.returncode == 3
    assert done.stdout == b""
    assert words in done.stderr.decode()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--data", "@nowhere.json"], "nowhere.json cannot be read"),
        (["--method", "GET"], "need --raw"),
        (["--query", "a=1"], "need --raw"),
        (["--raw", "--header", "no colon"], "is not of the form 'Name: value'"),
        (["--raw", "--header", "a: b\nc: d"], "is not of the form 'Name: value'"),
        (["--raw", "--method", "A B"], "is no HTTP method"),
        (["--repeat", "0"], "0"),
        (["--repeat", "x"], "x"),
        (["--nonsense"], "nonsense"),
    ],
)
def test_wrong_usage_is_told_before_the_script_runs(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = invoke(tmp_path, ECHO, *arguments)

    assert done.returncode == 2
    assert done.stdout == b""
    assert words in done.stderr.decode()
    assert "starting" not in done.stderr.decode()


def test_no_script_is_wrong_usage(tmp_path: Path) -> None:
    done = invoke(tmp_path, None, "--data", "{}")

    assert done.returncode == 2
    assert "--entry_script" in done.stderr.decode()


def test_json_log_keeps_to_standard_error(tmp_path: Path) -> None:
    done = invoke(tmp_path, ECHO, "--data", "{}", "--log_format", "json")

    assert done.stdout == b"{}"
    lines = [line for line in done.stderr.decode().splitlines() if line.startswith("{")]
    assert "running" in {json.loads(line)["message"] for line in lines}
