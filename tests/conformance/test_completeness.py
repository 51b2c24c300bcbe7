"""Nothing of the contract is without a case, unless it cannot be seen from outside.

`SEEN` and `DECISIONS` list the items a case must show, each in a few words of our own;
`UNSEEN` lists the rest, each with the reason.
"""

from __future__ import annotations

import re

from tests.conformance.case import Answer, Answers, Case, Request
from tests.conformance.catalogue import load
from tests.conformance.servers import NOT_ON

CASES = load()

# Rows of section 0, by the item each begins with.
DECISIONS = {
    "0:R1.3": "help exits 0, usage errors 2 with the range; --version; dashes in flags",
    "0:R1.4": "a script or file named in the environment is enough",
    "0:R1.5": "ports of the environment are ignored and never advertised",
    "0:R1.8": "the banner comes once, in time, with real addresses, after configuration errors",
    "0:R1.11": "every address by default; --host chooses",
    "0:R1.13": "nothing in the current folder is executed",
    "0:R2.4": "the file carries every setting; unknown keys are named; a named file must be there",
    "0:R3.1": "the script is a real module",
    "0:R3.4": "the script's folder is importable; nothing is shadowed",
    "0:R3.6": "one readable report for every failed start, exit 3",
    "0:R3.8": "async init and run, generator run",
    "0:R3.10": "*args and **kwargs where their meaning is clear",
    "0:R3.12": "raw mode by a mark on the script's own functions",
    "0:R3.14": "forms, multipart and compressed bodies reach a text-mode run as their text",
    "0:R3.18": "bad JSON and values of the wrong type are 400",
    "0:R3.26": "results that had no JSON form have one, or a message that names the place",
    "0:R3.27": "header values with commas of their own stay whole; nothing is doubled",
    "0:R3.29": "never a bare HTML page",
    "0:R3.33": "the limit covers streams; a broken stream is cut visibly",
    "0:R3.36": "a script error says where",
    "0:R3.38": "the limit is kept always, and told from the script's own TimeoutError",
    "0:R4.1": "405 has Allow; every response has ids and version; no static route",
    "0:R4.6": "a success has Server-Timing as well",
    "0:R4.8": "the HTTP layer never answers 5xx to a client's mistake",
    "0:R4.11": "an empty request id counts as absent",
    "0:R4.14": "hosts without scheme, wildcards for labels, no patterns",
    "0:R4.15": "bodies cut short, keep-alive, pipelining, size limit",
    "0:R5.2": "the default document is the script's lowest version",
    "0:R5.5": "any character in a service name",
    "0:R6.3": "logging in scripts works",
    "0:R6.4": "everything a script writes is a record a line, with the request's id",
    "0:R6.6": "one line a request",
    "0:R6.7": "the health filter cannot be fooled",
    "0:R7": "telemetry never buffers a stream",
    "0:R8.1": "a failed debugger ends the server once",
    "0:R8.2": "idle and slow connections cost nobody else anything",
    "0:R8.4": "the health port answers health only, always",
    "0:R8.7": "azureml.contrib.services in every import form",
    "0:R1.10": "worker counts below 1 are refused; a first start that fails ends the server",
}

SEEN = {
    "R1.1": "console script and module",
    "R1.2": "flags and their effect",
    "R1.3": "help and usage errors",
    "R1.4": "script or file is needed",
    "R1.5": "flag, environment, file, default",
    "R1.6": "variables left for the script",
    "R1.7": "validation of the telemetry key",
    "R1.8": "start-up output in order",
    "R1.9": "rows of the settings table",
    "R1.10": "exit statuses",
    "R1.11": "the address it listens on",
    "R1.12": "signals",
    "R1.13": "implicit Gunicorn settings",
    "R2.1": "variables of the launcher",
    "R2.2": "settings of the workers",
    "R2.3": "names in any case",
    "R2.4": "which file is read",
    "R2.5": "what a file may hold",
    "R2.6": "the warning about extra keys",
    "R2.7": "conversion of values",
    "R2.8": "the report of a wrong value",
    "R2.9": "environment beats file",
    "R3.1": "the module's name and place",
    "R3.2": "main without a script",
    "R3.3": "suffix, byte order mark, coding line",
    "R3.4": "what is importable",
    "R3.5": "init and run must be there",
    "R3.6": "failures while importing",
    "R3.7": "driver modules",
    "R3.8": "init is called once",
    "R3.9": "failures of init",
    "R3.10": "signatures of run",
    "R3.11": "request_headers",
    "R3.12": "the three modes",
    "R3.13": "arguments by keyword",
    "R3.14": "POST in text mode",
    "R3.15": "GET in text mode",
    "R3.16": "OPTIONS and HEAD in text mode",
    "R3.17": "content type in schema mode",
    "R3.18": "bodies in schema mode",
    "R3.19": "GET in schema mode",
    "R3.20": "OPTIONS in schema mode",
    "R3.21": "which parameters are inputs",
    "R3.22": "conversion of values",
    "R3.23": "the raw request",
    "R3.24": "methods in raw mode",
    "R3.25": "results in raw mode",
    "R3.26": "results and their JSON",
    "R3.27": "AMLResponse",
    "R3.28": "5xx is always failed",
    "R3.29": "responses that cannot be sent",
    "R3.30": "the time of run",
    "R3.31": "headers the server overwrites",
    "R3.32": "what streams",
    "R3.33": "how it streams",
    "R3.34": "streams that fail",
    "R3.35": "streams with telemetry on",
    "R3.36": "exceptions in run",
    "R3.37": "exits in run",
    "R3.38": "the scoring timeout",
    "R3.39": "a TimeoutError of the script's own",
    "R3.41": "limits of 0, below, and absurd",
    "R3.42": "the worker timeout",
    "R4.1": "routes and methods",
    "R4.2": "path matching",
    "R4.3": "the message of a 404",
    "R4.4": "the three kinds of 405",
    "R4.5": "the form of an error",
    "R4.6": "the order of headers",
    "R4.7": "the catalogue of errors",
    "R4.8": "errors of the HTTP layer",
    "R4.9": "the version header",
    "R4.10": "the matrix of ids",
    "R4.11": "empty ids",
    "R4.12": "ids that are too long",
    "R4.13": "TraceId",
    "R4.14": "cross-origin headers",
    "R4.15": "connections and bodies",
    "R5.1": "three versions, built after init",
    "R5.2": "errors of the document route",
    "R5.3": "lines in the log",
    "R5.4": "files of the user",
    "R5.5": "name, version and prefix",
    "R5.6": "input and output schemas",
    "R5.7": "versions a script supports",
    "R5.8": "fragments of each sample",
    "R5.9": "fixed content",
    "R6.1": "the form of a record",
    "R6.2": "loggers and streams",
    "R6.3": "logging in scripts",
    "R6.4": "print",
    "R6.5": "records of a worker's start",
    "R6.6": "records of requests",
    "R6.7": "the health filter",
    "R6.8": "the model tree",
    "R6.9": "logging.json",
    "R6.10": "which stream holds problems",
    "R6.11": "the banner, once more",
    "R8.1": "the debugger",
    "R8.2": "a worker's thread and its connections",
    "R8.3": "preloading",
    "R8.4": "the health port",
    "R8.5": "under another WSGI server",
    "R8.7": "compatibility imports",
    "R8.8": "public modules",
    "R8.9": "the distribution",
    "R8.10": "the fault handler",
    "X1": "text in, list out",
    "X2": "logging.info in scripts",
    "X3": "the main thread is the script's",
    "X4": "title-cased request_headers",
    "X5": "habits of raw scripts",
    "X6": "habits of schema scripts",
    "X7": "names in users' files",
    "X8": "the command of an image",
    "X9": "Model.get_model_path",
    "X10": "a model's own config.json",
    "X11": "probes",
    "X12": "reason phrases; calls at once",
    "X13": "platform headers",
}

UNSEEN = {
    "R3.40": "our servers keep the limit everywhere, so there is no server without it to look at "
    "(0:R3.38); `test_conformance` runs the cases of R3.38 under Waitress as well",
    "X14": "advice about a package that is not installed here; the hint is tried in "
    "`tests/script`, where hints are",
    "R8.6": "needs Windows; Waitress itself is one of the servers the cases are run over",
}


def _numbered(prefix: str, last: int) -> set[str]:
    return {f"{prefix}{number}" for number in range(1, last + 1)}


ALL_ITEMS = (
    _numbered("R1.", 13)
    | _numbered("R2.", 9)
    | _numbered("R3.", 42)
    | _numbered("R4.", 15)
    | _numbered("R5.", 9)
    | _numbered("R6.", 11)
    | _numbered("R8.", 10)
    | _numbered("X", 14)
)


def _shown() -> set[str]:
    return {item for case in CASES for item in case.items}


def test_every_item_is_in_one_of_the_two_tables() -> None:
    assert SEEN.keys() | UNSEEN.keys() == ALL_ITEMS
    assert not SEEN.keys() & UNSEEN.keys()


def test_every_item_that_can_be_seen_is_shown_by_a_case() -> None:
    assert SEEN.keys() - _shown() == set()


def test_every_decision_is_shown_by_a_case() -> None:
    assert DECISIONS.keys() - _shown() == set()


def test_cases_name_known_items_only() -> None:
    known = ALL_ITEMS | DECISIONS.keys()
    unknown = {item for item in _shown() if item not in known and not re.fullmatch(r"D\d+", item)}

    assert unknown == set()


def test_exemptions_name_cases_that_exist() -> None:
    unknown = {
        what
        for exempt in NOT_ON.values()
        for what in exempt
        if not any(case.id.startswith(what) for case in CASES)
    }

    assert unknown == set()


def test_there_are_enough_requests_and_scripts() -> None:
    scripts = {(case.setup.folder, case.setup.source, case.setup.files) for case in CASES}

    assert sum(map(_requests, CASES)) >= 250
    assert len(scripts) >= 60


def _requests(case: Case) -> int:
    if isinstance(case.expected, Answers):
        return len(case.expected.each)
    return int(isinstance(case.request, Request) or isinstance(case.expected, Answer))
