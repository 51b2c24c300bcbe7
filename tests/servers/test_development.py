"""Development mode: whoever sent the request learns all that is known about its failure."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.script.summary import MAX_BYTES
from tests.conftest import Serve
from tests.harness import Server, free_port, serving, until

SCRIPT = """
import json
import os
import time

def init():
    pass

def run(data):
    order = json.loads(data)
    if order["do"] == "sleep":
        time.sleep(60)
    if order["do"] == "swallow":
        while True:
            try:
                time.sleep(60)
            except BaseException:
                pass
    if order["do"] == "exit":
        os._exit(7)
    if order["do"] == "object":
        return {"rows": [1, object()]}
    if order["do"] == "markup":
        raise ValueError("<script>alert(1)</script> & \\x1b[31m")
    if order["do"] == "stream":
        return (1 / number for number in (0,))
    return order["missing"]
"""
KEYS = {
    "message", "location", "status", "kind", "error", "source", "traceback", "arguments", "hint",
    "replay", "request_id",
}  # fmt: skip
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    root = tmp_path_factory.mktemp("dev")
    (root / "score.py").write_text(SCRIPT, encoding="utf-8")
    limits = {"SCORING_TIMEOUT_MS": "500", "AZMLINFSRV_INTERRUPT_GRACE_S": "0.3"}
    with serving(root / "score.py", "--dev", root=root, environ=limits) as started:
        yield started


def line_of(text: str) -> int:
    """The number of the line of the script that holds *text*."""
    return next(n for n, line in enumerate(SCRIPT.splitlines(), 1) if text in line)


def report_on(server: Server, body: bytes, status: int = 500) -> dict[str, Any]:
    answer = server.score(body)
    assert answer.status == status
    assert answer.headers["content-type"] == "application/json"
    report: dict[str, Any] = json.loads(answer.body)
    assert report.keys() == KEYS
    assert report["status"] == status
    assert report["request_id"] == answer.headers["x-request-id"]
    return report


def test_script_error_is_told_whole(server: Server) -> None:
    number = line_of('order["missing"]')

    report = report_on(server, b'{"do": "x"}')

    assert report["message"] == FAILED
    assert report["location"] == f"score.py:{number} in run"
    assert report["kind"] == "ScoringFailed"
    assert report["error"] == {"type": "KeyError", "text": "'missing'"}
    (failing,) = [line for line in report["source"] if line["is_failing"]]
    assert failing == {"number": number, "text": '    return order["missing"]', "is_failing": True}
    assert report["traceback"].startswith("Traceback (most recent call last):\n")
    assert "azmlinfsrv" not in report["traceback"]
    assert report["arguments"]["data"]["json"]["keys"] == {"do": {"type": "str", "length": 1}}
    assert "order.get('missing')" in report["hint"]


def test_timeout_says_where_the_script_was(server: Server) -> None:
    report = report_on(server, b'{"do": "sleep"}')

    assert report["message"] == "Scoring timeout after 500 ms"
    assert (report["kind"], report["error"]) == ("ScoringTimeout", None)
    assert report["location"] == f"score.py:{line_of('time.sleep(60)')} in run"
    assert "time.sleep(60)" in report["traceback"]
    assert report["arguments"]["data"]["length"] == 15


def test_script_that_cannot_be_interrupted_is_answered_all_the_same(server: Server) -> None:
    report = report_on(server, b'{"do": "swallow"}')

    assert report["message"] == "Scoring timeout after 500 ms"
    assert report["source"] == []
    server.wait_until_ready()


def test_process_that_ended_is_told_with_a_hint(server: Server) -> None:
    report = report_on(server, b'{"do": "exit"}')

    assert report["kind"] == "ScoringProcessEnded"
    assert "exited with status 7" in report["message"]
    assert "os._exit()" in report["hint"]
    server.wait_until_ready()


def test_result_that_cannot_be_written_is_told_with_its_place(server: Server) -> None:
    report = report_on(server, b'{"do": "object"}')

    assert report["kind"] == "EncodingFailed"
    assert 'object at ["rows"][1]' in report["message"]
    assert report["error"] is None
    assert report["arguments"]["data"]["type"] == "str"


def test_stream_that_fails_before_its_first_item_is_told(server: Server) -> None:
    report = report_on(server, b'{"do": "stream"}')

    assert report["error"]["type"] == "ZeroDivisionError"
    assert report["location"].startswith(f"score.py:{line_of('1 / number')} in ")


def test_bad_input_is_told_with_what_came(server: Server) -> None:
    report = report_on(server, b"\xff\xfe", status=400)

    assert report["message"].startswith("Input cannot be decoded as UTF-8")
    assert report["kind"] == "BadInput"
    assert report["arguments"] == {"(body)": {"type": "bytes", "bytes": 2}}
    assert report["replay"].count("@request.bin") == 1


def test_refusal_of_the_front_end_is_told_too(server: Server) -> None:
    answer = server.request("PUT", "/score", b"{}")

    report = json.loads(answer.body)
    assert answer.status == 405
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert report["message"] == "The method is not allowed for the requested URL."
    assert report["kind"] == "MethodNotAllowed"


def test_other_paths_answer_as_ever(server: Server) -> None:
    assert json.loads(server.get("/nowhere").body).keys() == {"message"}


def test_replay_line_repeats_the_request(server: Server) -> None:
    first = server.score(b'{"do": "it\'s $HOME"}', {"Content-Type": "application/json"})
    line = json.loads(first.body)["replay"]

    done = subprocess.run(["sh", "-c", f"{line} --silent"], capture_output=True, check=True)

    again = json.loads(done.stdout)
    assert again["error"] == json.loads(first.body)["error"]
    assert again["arguments"] == json.loads(first.body)["arguments"]


def test_secrets_of_the_caller_are_in_no_report(server: Server) -> None:
    headers = {"Authorization": "Bearer s3cr3t", "api-key": "s3cr3t", "Cookie": "a=s3cr3t"}

    answer = server.request("POST", "/score?sig=s3cr3t", b'{"do": "x"}', headers)

    assert answer.status == 500
    assert b"authorization: ***" in answer.body
    assert b"s3cr3t" not in answer.body


class _Page(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.addresses: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_browser_gets_a_page_in_which_nothing_can_start(server: Server) -> None:
    browser = {"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}

    answer = server.score(b'{"do": "markup"}', browser)

    assert answer.status == 500
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")
    page = _Page(answer.body.decode())
    assert "script" not in page.tags
    assert page.addresses == []
    assert "<script>alert(1)</script> &" in page.text
    assert f"score.py:{line_of('raise ValueError')} in run" in page.text
    assert "prefers-color-scheme: dark" in answer.body.decode()


def test_report_stays_small_whatever_was_sent(server: Server) -> None:
    body = json.dumps({"do": "x", **{f"k{n}": [[n] * 9] * 9 for n in range(2000)}}).encode()

    report = report_on(server, body)

    assert len(json.dumps(report["arguments"])) <= MAX_BYTES
    assert "@request.bin" in report["replay"]


def test_log_has_the_report_without_the_arguments(serve: Serve) -> None:
    server = serve(SCRIPT)
    number = line_of('order["missing"]')

    answer = server.score(b'{"do": "x", "patient": 4711}')
    log = server.wait_for_log("The request's body: ")

    assert json.loads(answer.body) == {"message": FAILED, "location": f"score.py:{number} in run"}
    assert f'  > {number} |     return order["missing"]' in log
    assert "Hint: order has no 'missing'." in log
    assert "4711" not in log
    assert "patient" not in log


def test_json_log_has_the_place_and_the_hint_as_fields(serve: Serve) -> None:
    server = serve(SCRIPT, "--log_format", "json")

    server.score(b'{"do": "x"}')
    log = server.wait_for_log("Encountered Exception: KeyError")

    (entry,) = [json.loads(line) for line in log.splitlines() if "Encountered" in line]
    assert entry["location"] == f"score.py:{line_of('missing')} in run"
    assert entry["hint"].startswith("order has no 'missing'.")
    assert "KeyError: 'missing'" in entry["exception"]


@pytest.mark.parametrize("flags", [("--in_process",), ("--server", "waitress")])
def test_every_server_reports(serve: Serve, flags: tuple[str, ...]) -> None:
    report = report_on(serve(SCRIPT, "--dev", *flags), b'{"do": "x"}')

    assert report["error"] == {"type": "KeyError", "text": "'missing'"}


def test_it_is_for_this_machine_unless_told_otherwise(serve: Serve, tmp_path: Path) -> None:
    log = serve(SCRIPT, "--dev").log()

    assert "Development mode: on" in log
    assert "Score:          POST  127.0.0.1:" in log
    open_log = serve(SCRIPT, "--dev", environ={"AZMLINFSRV_HOST": "0.0.0.0"}).log()
    assert "Score:          POST  0.0.0.0:" in open_log
    assert "answers whoever can reach 0.0.0.0 with source code" in open_log


def test_it_is_off_by_default(serve: Serve) -> None:
    assert "Development mode" not in serve(SCRIPT).log()


@pytest.mark.parametrize(("variable", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_report_has_colours_on_a_terminal(
    tmp_path: Path, variable: dict[str, str], coloured: bool
) -> None:
    # init() fails: a report without a request, and a server that ends by itself.
    (tmp_path / "score.py").write_text(
        "def init():\n    raise ValueError('\\x1b]0;title')\n\ndef run(data):\n    pass\n"
    )
    ours, theirs = pty.openpty()
    environ = {name: value for name, value in os.environ.items() if name != "NO_COLOR"}
    command = [sys.executable, "-m", "azmlinfsrv", "--entry_script", "score.py"]
    process = subprocess.Popen(
        [*command, "--port", str(free_port())],
        cwd=tmp_path,
        env={**environ, "TERM": "xterm-256color", **variable},
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 65536):
            shown += piece
    except OSError:
        pass  # the other end has closed
    finally:
        os.close(ours)
    until(lambda: process.poll() is not None, 30, lambda: "it did not end")

    text = shown.decode()
    assert process.returncode == 3
    assert "  > 2 |     raise ValueError" in text
    assert ("\x1b[1;31m  > 2 |" in text) is coloured
    if coloured:
        assert "\x1b]0;title" not in text  # it could command the terminal
