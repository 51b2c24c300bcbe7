"""What is written, where, and in what form (R6)."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.case import (
    Answer,
    Case,
    Exit,
    Expected,
    Raw,
    Setup,
    Started,
    ask,
    get,
    ok,
    post,
    serve,
)

TEXT = serve(folder="echo_text")
STAMP = r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} "
PRINTED = r" I \[\d+\] azmlinfsrv\.print - "
# Since 0:R6.4 a record says whose it is.
TAGGED = r"( \(request \S+\))?$"
CAPTURED = r" I \[\d+\] azmlinfsrv\.\w+ - "
SECRET_AGENT = "GET / HTTP/1.1"


def prints(
    name: str, body: str, ours: Expected, shows: str = "R6.4", reference: Any = None
) -> Case:
    """run(data) is *body*."""
    return Case(name, _script(body), post("x"), ours, shows, reference)


def _script(body: str, top: str = "") -> Setup:
    lines = "".join(f"    {line}\n" for line in body.split("\n"))
    return serve(f"import sys\n{top}\ndef init(): pass\ndef run(data):\n{lines}")


def logs(name: str, top: str, body: str, ours: Expected, reference: Any = None) -> Case:
    """A script that uses ``logging``."""
    decided = " 0:R6.3 D14" if reference else ""
    return Case(
        name, _script(body, f"import logging\n{top}"), post("x"), ours, f"R6.3{decided}", reference
    )


def customised(document: Any, **more: Any) -> Setup:
    """With a ``logging.json`` in the root."""
    text = document if isinstance(document, str) else json.dumps(document)
    return serve(folder="echo_text", files={"logging.json": text}, **more)


OWN_FORMAT = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "own": {
            "()": "azureml_inference_server_http.log_config.AMLLogFormatter",
            "fmt": "OWN %(levelname)s %(name)s %(message)s",
        }
    },
    "filters": {"probe": {"()": "azureml_inference_server_http.log_config.RootAccessFilter"}},
    "handlers": {
        "out": {
            "class": "logging.StreamHandler",
            "formatter": "own",
            "filters": ["probe"],
            "stream": "ext://sys.stdout",
        }
    },
    "loggers": {"azmlinfsrv": {"level": "INFO", "handlers": ["out"], "propagate": False}},
}

CASES = [
    # --- form and order
    Case(
        "records have the known form",
        TEXT,
        None,
        Started(
            log=(STAMP + r"I \[\d+\] azmlinfsrv\.user_script - Invoking user's init function$",)
        ),
        "R6.1 R6.2",
    ),
    Case(
        "the records of a worker's start, in order",
        serve(
            """
            print("imported")
            def init(): print("initialised")
            def run(data): return data
            """
        ),
        None,
        Started(
            log=(
                PRINTED + ".*imported$",
                "azmlinfsrv.user_script - Found user script at {root}/score.py$",
                r"azmlinfsrv.user_script - run\(\) is not decorated",
                "azmlinfsrv.user_script - Invoking user's init function$",
                PRINTED + ".*initialised$",
                "azmlinfsrv.user_script - Users's init has completed successfully$",
                "azmlinfsrv.swagger - Swaggers are prepared for the following versions",
                "azmlinfsrv - Scoring timeout is set to 3600000$",
                r"azmlinfsrv - Worker with pid \d+ ready for serving traffic$",
            )
        ),
        "R6.5 R3.8 R3.12",
    ),
    Case(
        "the address is on standard error",
        TEXT,
        None,
        Started(
            errors=(
                r" I \[\d+\] gunicorn\.error - Listening at: http://0\.0\.0\.0:{port} \(\d+\)$",
            )
        ),
        "R6.2 R1.8 R1.11",
    ),
    # --- one line a request
    Case(
        "a scored request",
        TEXT,
        post("x", target="/score?a=%20b"),
        Answer(
            200, log=(STAMP + r"I \[\d+\] azmlinfsrv - POST /score\?a=%20b 200 \d+\.\d{3}ms 28$",)
        ),
        "R6.6",
    ),
    Case(
        "a document",
        TEXT,
        get("/swagger.json?version=9"),
        Answer(404, log=(r"azmlinfsrv - GET /swagger.json\?version=9 404 \d+\.\d{3}ms \d+$",)),
        "R6.6",
    ),
    Case(
        "bad input",
        TEXT,
        post(b"\xff"),
        Answer(400, log=(r"azmlinfsrv - POST /score 400 \d+\.\d{3}ms \d+$",)),
        "R6.6",
    ),
    Case(
        "HEAD shows the length of the suppressed body",
        TEXT,
        ask("HEAD", "/score"),
        Answer(405, log=(r"azmlinfsrv - HEAD /score 405 \d+\.\d{3}ms 33$",)),
        "R6.6",
    ),
    *(
        Case(
            f"{name} is not logged",
            TEXT,
            request,
            Answer(status, unlogged=(rf"azmlinfsrv - {line}",)),
            "R6.6",
        )
        for name, request, line, status in (
            ("a probe", get("/"), "GET / 200", 200),
            ("an unknown path", get("/nothing"), "GET /nothing", 404),
            ("an unrouted method", ask("PUT", "/score"), "PUT /score", 405),
            ("a header that is too long", post("", X_Request_Id="i" * 101), "POST /score 431", 431),
        )
    ),
    Case(
        "a request is logged once",
        TEXT,
        post("x"),
        Answer(200, log=("azmlinfsrv - POST /score 200",), unlogged=(r"gunicorn\.access.*POST",)),
        "R6.6 0:R6.6 D31",
        reference=Answer(
            200,
            log=(
                "azmlinfsrv - POST /score 200",
                r"gunicorn\.access - 127\.0\.0\.1 - - \[.*\] "
                r"\"POST /score HTTP/1\.1\" 200 28 \"-\" \"-\"$",
            ),
        ),
    ),
    Case(
        "a probe leaves no line at all",
        TEXT,
        get("/"),
        Answer(200, unlogged=(r"\"GET / HTTP",)),
        "R6.7",
    ),
    Case(
        "an agent cannot hide a request",
        TEXT,
        post("x", User_Agent=SECRET_AGENT),
        Answer(200, log=("azmlinfsrv - POST /score 200",)),
        "R6.7 0:R6.7 D46",
    ),
    Case(
        "an agent cannot hide an access line",
        serve(folder="echo_text", environment={"AZMLINFSRV_ACCESS_LOG": "true"}),
        post("x", User_Agent=SECRET_AGENT),
        Answer(200, log=(r"\"POST /score HTTP/1\.1\" 200 28",)),
        "R6.7 0:R6.7 D46 0:R6.6",
        reference=Answer(200, unlogged=(r"gunicorn\.access.*POST",)),
        why="The access line is off unless asked for.",
    ),
    # --- print
    prints(
        "a print is a record",
        "print('hello', 1, sep='-')",
        ok("{}", log=(STAMP + PRINTED[1:] + ".*hello-1" + TAGGED,)),
    ),
    prints(
        "an explicit standard output is the same",
        "print('hello', file=sys.stdout)",
        ok("{}", log=(PRINTED + ".*hello" + TAGGED,)),
    ),
    prints(
        "standard error is left alone",
        "print('hello', file=sys.stderr)",
        ok("{}", unlogged=(PRINTED + ".*hello",)),
    ),
    prints(
        "another file is left alone",
        "import io\nf = io.StringIO()\nprint('hello', file=f)\nreturn f.getvalue()",
        ok('"hello\\n"', unlogged=(PRINTED + ".*hello",)),
    ),
    prints(
        "redirect_stdout captures",
        "import contextlib, io\nf = io.StringIO()\n"
        "with contextlib.redirect_stdout(f): print('hello')\nreturn f.getvalue()",
        ok('"hello\\n"'),
        "R6.4 0:R6.4 D15",
        ok('""', log=(PRINTED + "hello$",)),
    ),
    prints(
        "end is honoured: a line is a record",
        "print('one', end='')\nprint('-two')",
        ok("{}", log=(PRINTED + ".*one-two" + TAGGED,)),
        "R6.4 0:R6.4 D15",
        ok("{}", log=(PRINTED + "one$", PRINTED + "-two$")),
    ),
    prints(
        "sep=None is the default",
        "print('one', 'two', sep=None)",
        ok("{}", log=(PRINTED + ".*one two" + TAGGED,)),
        "R6.4 0:R6.4 D15",
        Answer(500),
    ),
    prints(
        "a line written to standard output is a record",
        "sys.stdout.write('written\\n'); sys.stdout.flush()",
        ok("{}", log=(CAPTURED + ".*written" + TAGGED,)),
        "R6.4 0:R6.4 D15",
        ok("{}", log=("^written$",)),
    ),
    prints(
        "a line of a subprocess is a record",
        "import subprocess\nsubprocess.run(['echo', 'from below'])",
        ok("{}", log=(CAPTURED + ".*from below" + TAGGED,)),
        "0:R6.4 D15",
        ok("{}", log=("^from below$",)),
    ),
    Case(
        "a print is tagged with the request's id",
        _script("print('hello')"),
        post("x", X_Request_Id="the-id-4711"),
        ok("{}", log=(PRINTED + r".*(the-id-4711.*hello|hello.*the-id-4711)",)),
        "0:R6.4",
        reference=ok("{}", log=(PRINTED + "hello$",)),
    ),
    # --- logging
    logs(
        "info through the root logger appears",
        "",
        "logging.info('hello')",
        ok("{}", either=("hello",)),
        ok("{}", unlogged=("hello",)),
    ),
    logs(
        "info through a named logger appears",
        "log = logging.getLogger('mine')",
        "log.info('hello')",
        ok("{}", either=("hello",)),
        ok("{}", unlogged=("hello",)),
    ),
    logs(
        "basicConfig neither doubles nor silences",
        "logging.basicConfig(level=logging.INFO)",
        "logging.info('hello')",
        ok("{}", either=("hello",), unlogged=("(?s)hello.*hello",)),
        ok("{}", unlogged=("hello",)),
    ),
    logs(
        "basicConfig chooses the level",
        "logging.basicConfig(level=logging.DEBUG)",
        "logging.getLogger('mine').debug('hello')",
        ok("{}", either=("hello",)),
        ok("{}", unlogged=("hello",)),
    ),
    logs(
        "a warning appears",
        "",
        "logging.warning('hello')",
        ok("{}", either=("hello",), unlogged=("(?s)hello.*hello",)),
    ),
    logs(
        "a level set on the root counts",
        "logging.getLogger().setLevel(logging.INFO)",
        "logging.info('hello')",
        ok("{}", either=("hello",)),
    ),
    logs(
        "a logger below azmlinfsrv appears in our form",
        "log = logging.getLogger('azmlinfsrv.mine')",
        "log.info('hello')",
        ok("{}", log=(r" I \[\d+\] azmlinfsrv\.mine - hello" + TAGGED,)),
    ),
    # --- logging.json
    Case(
        "a logging.json in the root is used",
        customised(OWN_FORMAT),
        post("x"),
        Answer(
            200,
            log=(
                "^OWN INFO azmlinfsrv.print .*run was called" + TAGGED,
                r"^OWN INFO azmlinfsrv POST /score 200 ",
            ),
        ),
        "R6.9 X7",
    ),
    Case(
        "its loading is logged",
        customised(OWN_FORMAT),
        None,
        Started(log=("Loaded logging config from {root}/logging.json$",)),
        "R6.9 R6.5",
    ),
    Case(
        "a logging.json beside the script is used",
        serve(
            files={
                "sub/score.py": "def init(): print('hello')\ndef run(data): return data\n",
                "sub/logging.json": json.dumps(OWN_FORMAT),
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        None,
        Started(log=("^OWN INFO azmlinfsrv.print .*hello$",)),
        "R6.9",
    ),
    *(
        Case(
            f"a logging.json that is {what} stops the start",
            customised(content),
            None,
            Exit(3, either=("Invalid config file",)),
            "R6.9 R1.10",
        )
        for what, content in (
            ("not JSON", "{nope"),
            ("empty", ""),
            ("without version", "{}"),
            ("naming no class", {"version": 1, "handlers": {"a": {"class": "no.such.Handler"}}}),
        )
    ),
    # --- streams
    Case(
        "a configuration problem is on standard output",
        serve(folder="echo_text", environment={"SCORING_TIMEOUT_MS": "soon"}),
        None,
        Exit(3, log=("SCORING_TIMEOUT_MS",)),
        "R6.10",
    ),
    Case(
        "a request with a broken line is no reason to log a traceback",
        TEXT,
        Raw(b"POST /score HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n"),
        Answer((400,), unlogged=("Traceback",)),
        "R4.8 0:R4.8",
    ),
]
