"""What a script prints and logs, in a process set up as a worker's."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

# Runs the code given and lists the records that were made.
BOOT = """
import json, logging, sys
from azmlinfsrv.worker.output import Printer, configure_logging, keep_server_loggers

records = []

class Keep(logging.Handler):
    def emit(self, record):
        records.append([record.name, record.levelname, record.getMessage()])

printer = Printer(sys.stdout)
configure_logging(Keep(logging.NOTSET), "INFO")
keep_server_loggers()
printer.install()
exec(compile(sys.argv[1], "score.py", "exec"), {"__name__": "entry_module"})
printer.finish_line()
with open(sys.argv[2], "w") as file:
    json.dump(records, file)
"""


@dataclass
class Outcome:
    records: list[list[str]]
    stdout: str
    stderr: str

    @property
    def printed(self) -> list[str]:
        return [text for name, _, text in self.records if name == "azmlinfsrv.print"]


Run = Callable[[str], Outcome]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    def run(code: str) -> Outcome:
        argv = [sys.executable, "-c", BOOT, textwrap.dedent(code), str(tmp_path / "records")]
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return Outcome(json.loads((tmp_path / "records").read_text()), done.stdout, done.stderr)

    return run


PRINTED = {
    "one line": ("print('a')", ["a"]),
    "values are joined": ("print('a', 1, None)", ["a 1 None"]),
    "nothing": ("print()", [""]),
    "sep": ("print(1, 2, sep='-')", ["1-2"]),
    "sep of None": ("print(1, 2, sep=None)", ["1 2"]),
    "sep with line ends": ("print(1, 2, sep='\\n')", ["1", "2"]),
    "end of None": ("print(1, end=None)", ["1"]),
    "a line in parts": ("print('a', end=''); print('b', end=' '); print('c')", ["ab c"]),
    "a line without an end": ("print('a', end='')", ["a"]),
    "an end of its own": ("print('a', end=';\\n')", ["a;"]),
    "several lines": ("print('a\\nb')", ["a", "b"]),
    "several lines, the last open": ("print('a\\nb', end=''); print('c')", ["a", "bc"]),
    "an empty line between": ("print('a\\n\\nb')", ["a", "", "b"]),
    "flush": ("print('a', flush=True)", ["a"]),
    "file is standard output": ("import sys; print('a', file=sys.stdout)", ["a"]),
    "file of None": ("print('a', file=None)", ["a"]),
    "a lone surrogate": ("print('\\udc80')", ["\udc80"]),
    "percent signs": ("print('100 %s %d')", ["100 %s %d"]),
    "from a thread": (
        "import threading; t = threading.Thread(target=print, args=('a',)); t.start(); t.join()",
        ["a"],
    ),
    "print passed on": ("list(map(print, 'ab'))", ["a", "b"]),
}


@pytest.mark.parametrize(("code", "printed"), PRINTED.values(), ids=list(PRINTED))
def test_print_makes_a_record_of_every_line(run: Run, code: str, printed: list[str]) -> None:
    outcome = run(code)

    assert outcome.printed == printed
    assert outcome.stdout == ""


def test_print_to_a_file_of_the_scripts_goes_there_alone(run: Run) -> None:
    outcome = run(
        """
        import io, sys
        into = io.StringIO()
        print("there", file=into)
        print("error", file=sys.stderr)
        print(into.getvalue().strip())
        """
    )

    assert outcome.printed == ["there"]
    assert outcome.stderr == "error\n"


def test_redirect_stdout_captures_print(run: Run) -> None:
    outcome = run(
        """
        import contextlib, io
        into = io.StringIO()
        with contextlib.redirect_stdout(into):
            print("inside")
        print("got", into.getvalue().strip())
        """
    )

    assert outcome.printed == ["got inside"]


def test_a_replaced_sys_stdout_gets_what_is_printed_and_is_flushed(run: Run) -> None:
    outcome = run(
        """
        import io, sys
        sys.stdout = io.TextIOWrapper(sys.stdout.buffer, encoding="utf-8")
        print("wrapped")
        print.finish_line()  # as when a call is over
        import os; os.write(1, b"after")
        """
    )

    assert outcome.stdout == "wrapped\nafter"


@pytest.mark.parametrize("name", ["sep", "end"])
def test_print_refuses_what_python_refuses(run: Run, name: str) -> None:
    outcome = run(
        f"""
        try:
            print(1, {name}=5)
        except TypeError as error:
            print(error)
        """
    )

    assert outcome.printed == [f"{name} must be None or a string, not int"]


LOGGED = {
    "root": ("logging.info('a')", [["root", "INFO", "a"]]),
    "root below the level": ("logging.debug('a')", []),
    "a named logger": ("logging.getLogger('m').info('a')", [["m", "INFO", "a"]]),
    "a level of its own": (
        "log = logging.getLogger('m'); log.setLevel('DEBUG'); log.debug('a')",
        [["m", "DEBUG", "a"]],
    ),
    "the root's level lowered": (
        "logging.getLogger().setLevel('DEBUG'); logging.debug('a')",
        [["root", "DEBUG", "a"]],
    ),
    "under our name": (
        "logging.getLogger('azmlinfsrv.mine').info('a')",
        [["azmlinfsrv.mine", "INFO", "a"]],
    ),
    # What libraries do, so that Python is quiet about a missing configuration.
    "a library with a NullHandler": (
        "log = logging.getLogger('lib'); log.addHandler(logging.NullHandler()); log.warning('a')",
        [["lib", "WARNING", "a"]],
    ),
    "a handler that takes errors only": (
        "log = logging.getLogger('m'); h = logging.StreamHandler(); h.setLevel('ERROR')\n"
        "log.addHandler(h); log.info('a')",
        [["m", "INFO", "a"]],
    ),
}


@pytest.mark.parametrize(("code", "records"), LOGGED.values(), ids=list(LOGGED))
def test_logging_appears_without_any_configuration(
    run: Run, code: str, records: list[list[str]]
) -> None:
    outcome = run("import logging\n" + code)

    assert outcome.records == records
    assert outcome.stderr == ""


CONFIGURED = {
    "basicConfig": "logging.basicConfig(format='own %(message)s')",
    "basicConfig with a level": "logging.basicConfig(level=logging.INFO, format='own %(message)s')",
    "basicConfig by force": "logging.basicConfig(force=True, format='own %(message)s')",
    "a handler on the root": (
        "h = logging.StreamHandler(); h.setFormatter(logging.Formatter('own %(message)s'))\n"
        "logging.getLogger().addHandler(h)"
    ),
    "dictConfig": (
        "import logging.config\n"
        "logging.config.dictConfig({'version': 1,\n"
        "  'formatters': {'f': {'format': 'own %(message)s'}},\n"
        "  'handlers': {'h': {'class': 'logging.StreamHandler', 'formatter': 'f'}},\n"
        "  'root': {'level': 'INFO', 'handlers': ['h']}})"
    ),
}


@pytest.mark.parametrize("code", CONFIGURED.values(), ids=list(CONFIGURED))
def test_a_scripts_own_configuration_neither_doubles_nor_silences(run: Run, code: str) -> None:
    outcome = run(f"import logging\n{code}\nlogging.info('a')\nlogging.getLogger('m').info('b')")

    assert outcome.stderr.splitlines() == ["own a", "own b"]
    assert outcome.records == []


def test_a_handler_on_a_named_logger_does_not_double(run: Run) -> None:
    outcome = run(
        """
        import logging
        logger = logging.getLogger("m")
        logger.addHandler(logging.StreamHandler())
        logger.info("own")
        logging.info("ours")
        """
    )

    assert outcome.stderr == "own\n"
    assert outcome.records == [["root", "INFO", "ours"]]


def test_basic_config_reads_as_pythons(run: Run) -> None:
    outcome = run(
        """
        import logging
        logging.basicConfig()
        print(len(logging.getLogger().handlers), type(logging.getLogger().handlers[0]).__name__)
        """
    )

    assert outcome.printed == ["1 StreamHandler"]


@pytest.mark.parametrize(
    "config",
    ["{'version': 1}", "{'version': 1, 'root': {'level': 'ERROR'}}"],
    ids=["empty", "root"],
)
def test_dict_config_does_not_silence_print_or_the_servers_own_records(
    run: Run, config: str
) -> None:
    """``disable_existing_loggers`` is true unless a script says otherwise."""
    outcome = run(
        f"""
        import logging, logging.config
        logging.config.dictConfig({config})
        print("printed")
        logging.getLogger("azmlinfsrv").error("Encountered Exception")
        logging.getLogger("azmlinfsrv.user_script").info("ours")
        """
    )

    assert outcome.records == [
        ["azmlinfsrv.print", "INFO", "printed"],
        ["azmlinfsrv", "ERROR", "Encountered Exception"],
        ["azmlinfsrv.user_script", "INFO", "ours"],
    ]
