from __future__ import annotations

import click
import pytest

from azmlinfsrv.cli.options import expand_flags, given_flags

TAKES_VALUE = {
    "--help": False,
    "--version": False,
    "--entry_script": True,
    "--model_dir": True,
    "--max_body_bytes": True,
    "--port": True,
    "--host": True,
    "--health_port": True,
    "--worker_count": True,
    "--worker_timeout": True,
    "--access_log": False,
    "--access_control_allow_origins": True,
    "--server": True,
    "--server_version": True,
}


@pytest.mark.parametrize(
    ("args", "expanded"),
    [
        (["--entry", "x.py"], ["--entry_script", "x.py"]),
        (["--entry-script=x.py"], ["--entry_script=x.py"]),
        (["--entry-scr", "a-b"], ["--entry_script", "a-b"]),
        (["--port", "-1"], ["--port", "-1"]),
        (["--host=a=b"], ["--host=a=b"]),
        (["--model_dir="], ["--model_dir="]),
        # Abbreviations of the reference server keep their meaning beside newer flags.
        (["--m", "d"], ["--model_dir", "d"]),
        (["--w", "2"], ["--worker_count", "2"]),
        (["--access", "*"], ["--access_control_allow_origins", "*"]),
        (["--access_l"], ["--access_log"]),
        (["--ho", "h"], ["--host", "h"]),
        (["--server", "waitress"], ["--server", "waitress"]),
        (["--unknown", "x"], ["--unknown", "x"]),
        (["--port", "1", "config", "--po", "2"], ["--port", "1", "config", "--po", "2"]),
        (["--", "--po"], ["--", "--po"]),
    ],
)
def test_flags_are_written_out(args: list[str], expanded: list[str]) -> None:
    assert expand_flags(args, TAKES_VALUE) == expanded


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["--h", "x"], "ambiguous: --health_port, --help"),
        (["--serv", "x"], "ambiguous: --server, --server_version"),
        (["--port"], "expected a value"),
        (["--entry_script", "--port", "5"], "--entry_script: expected a value"),
    ],
)
def test_unclear_flags_are_refused(args: list[str], words: str) -> None:
    with pytest.raises(click.UsageError) as caught:
        expand_flags(args, TAKES_VALUE)

    assert words in caught.value.message


def test_only_flags_that_were_given_are_passed_on() -> None:
    params = {"port": "80", "host": None, "access_log": False, "in_process": True}

    assert given_flags(params) == {"port": "80", "in_process": "true"}
    assert given_flags({"transport_protocol": True}) == {"transport_protocol": "rest"}


def test_flags_may_follow_the_arguments_of_a_command() -> None:
    args = ["folder", "--entry-script", "a.py", "more", "--rest"]

    assert expand_flags(args, TAKES_VALUE, goes_on=True) == [
        "folder",
        "--entry_script",
        "a.py",
        "more",
        "--rest",
    ]
    assert expand_flags(args, TAKES_VALUE) == args
