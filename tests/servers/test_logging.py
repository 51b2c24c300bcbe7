"""What the real server logs, by default, in JSON, and under a user's logging.json."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.harness import START_S, Server, free_port

RECORD = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} ([DIWEC]) \[(\d+)\] ([\w.]+) - (.*)", re.ASCII
)

SCRIPT = """
import logging, os, sys

def init():
    logging.info("from init")

def run(data):
    print("printed")
    sys.stdout.write("written\\n")
    os.write(2, b"complained\\n")
    logging.getLogger("mine").warning(
        "found %d rows", 5, extra={"rows": 5, "path": os, "nested": {"a": [1]}})
    if "bad" in data:
        raise ValueError("row 7")
    try:
        1 / 0
    except ZeroDivisionError:
        logging.exception("caught")
    return 1
"""


def records(log: str) -> list[tuple[str, str, str]]:
    """Level letter, logger, first line of the text."""
    found = [RECORD.fullmatch(line) for line in log.splitlines()]
    return [(match[1], match[3], match[4]) for match in found if match]


def test_the_records_of_a_start_come_in_order(serve: Serve, tmp_path: Path) -> None:
    missing = str(tmp_path / "no-models")
    server = serve(
        SCRIPT,
        "--model_dir",
        missing,
        environ={"AML_CORS_ORIGINS": "https://a.example, https://b.example"},
    )

    log = server.wait_for_log("ready for serving traffic")

    (pid,) = [process.pid for process in server.workers()]
    assert "\nInitializing logger\n" in log
    after = records(log[log.index("Initializing logger") :])
    cors = (
        "I",
        "azmlinfsrv",
        "Enabling CORS for the following origins: https://a.example, https://b.example",
    )
    assert records(log).count(cors) == 1
    texts = [each for each in after if each[1] != "gunicorn.error" and each != cors]
    assert texts == [
        ("W", "azmlinfsrv.trace", f"Model directory is not set or does not exist: {missing}"),
        ("I", "azmlinfsrv.user_script", f"Found user script at {tmp_path}/score.py"),
        (
            "I",
            "azmlinfsrv.user_script",
            "run() is not decorated. Server will invoke it with the input in JSON string.",
        ),
        ("I", "azmlinfsrv.user_script", "Invoking user's init function"),
        ("I", "root", "from init"),
        ("I", "azmlinfsrv.user_script", "Users's init has completed successfully"),
        (
            "I",
            "azmlinfsrv.swagger",
            "Swaggers are prepared for the following versions: [2, 3, 3.1].",
        ),
        ("I", "azmlinfsrv", "Scoring timeout is set to 3600000"),
        ("I", "azmlinfsrv", f"Worker with pid {pid} ready for serving traffic"),
    ]


def test_requests_leave_their_lines_and_cannot_forge_any(serve: Serve) -> None:
    server = serve(SCRIPT, "--access_log")
    health = "GET / HTTP/1.1"

    server.score(b"bad", {"x-request-id": "first"})
    server.score(b"{}", {"x-request-id": 'a"b\x85forged', "User-Agent": health})
    server.get("/score?q=%0Aforged&a=%22", {"Referer": 'x" 200 1 "\x85forged'})
    server.get("/nowhere%0A%22forged")
    server.get("/?probe=1")
    server.request("HEAD", "/health/live")
    server.request("OPTIONS", "/")
    log = server.wait_for_log('"OPTIONS / ')

    lines = records(log)
    for text in ("printed", "written", "complained", "found 5 rows"):
        assert [line for line in lines if line[2] == f"{text} (request first)"], text
    assert ("E", "azmlinfsrv", "Encountered Exception: Traceback (most recent call last): "
            "(request first)") in lines  # fmt: skip
    assert ("I", "azmlinfsrv.print", 'printed (request a"b\\x85forged)') in lines
    assert not any(line.startswith("forged") for line in log.splitlines())

    own = [text for _, name, text in lines if name == "azmlinfsrv" and text[:4] in ("POST", "GET ")]
    assert [re.sub(r"\d+\.\d{3}ms", "TIME", text) for text in own] == [
        f"POST /score 500 TIME {own[0].split()[-1]}",
        "POST /score 200 TIME 1",
        "GET /score?q=%0Aforged&a=%22 200 TIME 1",
    ]
    access = [text for _, name, text in lines if name == "gunicorn.access"]
    shape = r'127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d \+0000\] (".*)'
    assert [re.fullmatch(shape, text)[1] for text in access] == [  # type: ignore[index]  # None fails the test
        f'"POST /score HTTP/1.1" 500 {own[0].split()[-1]} "-" "-"',
        f'"POST /score HTTP/1.1" 200 1 "-" "{health}"',
        '"GET /score?q=%0Aforged&a=%22 HTTP/1.1" 200 1 "x\\" 200 1 \\"\\x85forged" "-"',
        f'"GET /nowhere%0A%22forged HTTP/1.1" 404 {access[3].split()[-3]} "-" "-"',
        '"OPTIONS / HTTP/1.1" 200 0 "-" "-"',
    ]


def test_json_leaves_no_line_that_is_not_an_object(serve: Serve) -> None:
    server = serve(SCRIPT, "--log_format", "json", "--access_log")

    server.score(b"{}", {"x-request-id": "first"})
    server.score(b"bad", {"x-request-id": "second"})
    server.wait_for_log("POST /score 500")
    server.terminate()

    entries = [json.loads(line) for line in server.log().splitlines()]
    for entry in entries:
        assert list(entry)[:5] == ["time", "level", "pid", "logger", "message"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", entry["time"])
    by_text = {entry["message"]: entry for entry in entries}
    assert by_text["printed"]["request_id"] in ("first", "second")
    assert by_text["written"]["logger"] == "azmlinfsrv.print"
    rows = by_text["found 5 rows"]
    assert (rows["level"], rows["rows"], rows["nested"]) == ("WARNING", 5, {"a": [1]})
    assert rows["path"].startswith("<module 'os'")
    caught = by_text["caught"]
    assert caught["exception"].endswith("ZeroDivisionError: division by zero")
    failed = by_text["Encountered Exception: ValueError\nThe request's body: 3 bytes, content "
                     "type not given"]  # fmt: skip
    assert failed["exception"].rstrip().endswith("ValueError: row 7")
    (line,) = [each for text, each in by_text.items() if text.startswith("POST /score 200")]
    assert (line["request_id"], line["status"], line["bytes"]) == ("first", 200, 1)
    assert any("Server Settings" in text for text in by_text)
    assert {entry["logger"] for entry in entries} >= {"gunicorn.error", "gunicorn.access"}


def test_the_level_hides_what_is_below_it(serve: Serve) -> None:
    server = serve(SCRIPT, environ={"AZUREML_LOG_LEVEL": "WARNING"})

    server.score(b"{}")
    log = server.wait_for_log("ZeroDivisionError")

    assert {(letter, text) for letter, _, text in records(log) if "(request" not in text} == set()
    assert {text.split(" (")[0] for _, _, text in records(log)} == {
        "complained",  # standard error: nobody knows how important it is
        "found 5 rows",
        "caught",
    }


def document(**more: Any) -> dict[str, Any]:
    package = "azureml_inference_server_http.log_config"
    stream = {"class": "logging.StreamHandler", "formatter": "f", "stream": "ext://sys.stdout"}
    return {
        "version": 1,
        "formatters": {
            "f": {"()": f"{package}.AMLLogFormatter", "fmt": "<%(levelname)s|%(name)s> %(message)s"}
        },
        "filters": {"health": {"()": f"{package}.RootAccessFilter"}},
        "handlers": {"out": stream, "access": {**stream, "filters": ["health"]}},
        "loggers": {
            "azmlinfsrv": {"level": "INFO", "handlers": ["out"], "propagate": False},
            "gunicorn.access": {"level": "INFO", "handlers": ["access"], "propagate": False},
        },
        "root": {"level": "INFO", "handlers": ["out"]},
        **more,
    }


def write_document(folder: Path, content: object) -> Path:
    path = folder / "logging.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_a_document_forms_every_record_of_the_server(serve: Serve, tmp_path: Path) -> None:
    path = write_document(tmp_path, document())

    server = serve(SCRIPT, "--access_log")
    server.score(b"{}")
    server.get("/")
    server.get("/nowhere")
    log = server.wait_for_log('"GET /nowhere ')

    lines = log.splitlines()
    for line in (
        f"<INFO|azmlinfsrv> Loaded logging config from {path}",
        "Initializing logger",
        "<INFO|root> from init",
        "<INFO|azmlinfsrv.print> printed",
        "<INFO|azmlinfsrv.print> written",
        "<INFO|azmlinfsrv.stderr> complained",
        "<WARNING|mine> found 5 rows",
        "<ERROR|root> caught",
        "ZeroDivisionError: division by zero",
    ):
        assert line in lines, log
    assert re.search(r"^<INFO\|azmlinfsrv> POST /score 200 \d+\.\d{3}ms 1$", log, re.MULTILINE)
    access = [line for line in lines if line.startswith("<INFO|gunicorn.access>")]
    assert [re.search('"(.*?)"', line)[1] for line in access] == [  # type: ignore[index]  # None fails the test
        "POST /score HTTP/1.1",
        "GET /nowhere HTTP/1.1",
    ]


HANDLERS_OF_THEIRS = """
import logging

class Shouting(logging.Formatter):
    def format(self, record):
        return super().format(record).upper()
"""


def test_what_a_script_brings_along_stays_where_it_runs(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "theirs.py").write_text(HANDLERS_OF_THEIRS, encoding="utf-8")
    write_document(tmp_path, document(formatters={"f": {"()": "theirs.Shouting"}}))

    server = serve(SCRIPT)
    server.score(b"{}")
    log = server.wait_for_log("POST /score 200")

    assert "\nPRINTED\n" in log
    texts = [text for _, name, text in records(log) if name == "azmlinfsrv"]
    assert any("logging.json names theirs.Shouting" in text for text in texts)
    assert any(text.startswith("POST /score 200") for text in texts)
    assert not any("theirs" in each.path for each in server.front_end().memory_maps(grouped=True))


def test_a_slow_handler_holds_up_no_request(serve: Serve, tmp_path: Path) -> None:
    """A file handler of the user's runs beside the requests; its file has every line."""
    target = tmp_path / "server.log"
    handler = {"class": "logging.FileHandler", "filename": str(target), "formatter": "f"}
    loggers = {"azmlinfsrv": {"level": "INFO", "handlers": ["file"], "propagate": False}}
    write_document(
        tmp_path,
        document(handlers={"file": handler}, loggers=loggers, root={"handlers": ["file"]}),
    )

    server = serve(SCRIPT)
    for _ in range(20):
        server.score(b"{}")
    assert server.terminate() == 0

    text = target.read_text(encoding="utf-8")
    assert text.count("<INFO|azmlinfsrv> POST /score 200") == 20
    assert text.count("<INFO|azmlinfsrv.print> printed") == 20
    assert "printed" not in server.log()


def test_a_minimal_document_silences_the_server_but_not_the_script(
    serve: Serve, tmp_path: Path
) -> None:
    write_document(tmp_path, {"version": 1})

    server = serve(SCRIPT)
    server.score(b"{}", {"x-request-id": "first"})
    server.score(b"{}", {"x-request-id": "second"})
    log = server.wait_for_log("complained (request second)")

    names = {name for _, name, _ in records(log)}
    assert "azmlinfsrv" not in names
    assert names >= {"azmlinfsrv.print", "azmlinfsrv.user_script", "root", "mine"}


WRONG = [
    ("not json", "", "JSONDecodeError"),
    ("no version", "{}", "ValueError: dictionary doesn't specify a version"),
    (
        "no such class",
        json.dumps({"version": 1, "handlers": {"h": {"class": "nowhere.Handler"}}}),
        "No module named 'nowhere'",
    ),
]


@pytest.mark.parametrize(("_why", "content", "reason"), WRONG, ids=[why for why, _, _ in WRONG])
def test_a_wrong_document_ends_the_start_with_one_report(
    _why: str, content: str, reason: str, tmp_path: Path
) -> None:
    path = write_document(tmp_path, content)
    script = tmp_path / "score.py"
    script.write_text(SCRIPT, encoding="utf-8")
    server = Server(script, "--worker_count", "2", root=tmp_path)
    try:
        assert server.exit_status() == 3
        log = server.log()
    finally:
        server.close()

    reports = [text for letter, _, text in records(log) if letter in "EC"]
    assert reports[0] == "Invalid config file!: Traceback (most recent call last):"
    assert log.count("Invalid config file!") == 1
    assert reason in log
    assert str(path) in log


def test_a_script_that_cannot_start_is_reported_whatever_a_document_says(tmp_path: Path) -> None:
    write_document(tmp_path, {"version": 1})
    script = tmp_path / "score.py"
    script.write_text("def init():\n    raise OSError('no model')\n\ndef run(data): ...\n")
    server = Server(script, root=tmp_path)
    try:
        assert server.exit_status() == 3
        assert "no model" in server.log()
    finally:
        server.close()


@pytest.mark.parametrize("environ", [{}, {"SCORING_TIMEOUT_MS": "abc"}], ids=["port", "setting"])
def test_a_start_that_fails_early_is_json_too(
    environ: dict[str, str], serve: Serve, tmp_path: Path
) -> None:
    port = serve(SCRIPT).port if not environ else free_port()
    command = [sys.executable, "-m", "azmlinfsrv", "--entry_script", "score.py"]

    ended = subprocess.run(
        [*command, "--port", str(port), "--log_format", "json"],
        cwd=tmp_path,
        env={"PATH": "/usr/bin", **environ},
        capture_output=True,
        text=True,
        timeout=START_S,
        check=False,
    )

    entries = [json.loads(line) for line in (ended.stdout + ended.stderr).splitlines()]
    assert ended.returncode == (3 if environ else 1)
    assert entries[-1]["level"] == "CRITICAL"
