from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.__main__ import main
from azmlinfsrv.settings import FIELDS

KEY = "01234567-89ab-cdef-0123-456789abcdef"
RECORD = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} %s \[\d+\] azmlinfsrv - %s"


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in FIELDS:
        for variable in field.variables:
            monkeypatch.delenv(variable, raising=False)
    monkeypatch.chdir(tmp_path)


def status_of(*argv: str) -> Any:
    with pytest.raises(SystemExit) as caught:
        main(argv)
    return caught.value.code


def configuration(capsys: pytest.CaptureFixture[str], *argv: str) -> dict[str, Any]:
    assert status_of("config", "--format", "json", *argv) == 0
    settings: dict[str, Any] = json.loads(capsys.readouterr().out)["settings"]
    return settings


@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["config", "--help"]])
def test_help_mentions_every_setting(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(*argv) == 0

    text = capsys.readouterr().out
    for field in FIELDS:
        shown = not field.setting.is_hidden
        assert ((field.setting.flag or field.setting.env[0]) in text) is shown, field.name
        if shown:
            assert field.setting.env[0] in text


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--version") == 0
    assert capsys.readouterr().out == "azmlinfsrv 2.0.0\n"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--port", "0"], "from 1 to 65535"),
        (["--port", "abc"], "from 1 to 65535"),
        (["--health_port=70000"], "from 1 to 65535"),
        (["--worker_count", "0"], "from 1 to 1024"),
        (["--server", "apache"], "gunicorn, waitress"),
        (["--port"], "expected a value"),
        (["--nonsense"], "--nonsense"),
        (["stray"], "stray"),
        (["--entry_script", "score.py", "stray"], "stray"),
        (["config", "stray"], "stray"),
        (["config", "--port", "0"], "from 1 to 65535"),
    ],
)
def test_usage_error_says_what_is_accepted(
    argv: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*argv) == 2

    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("Usage: azmlinfsrv")
    assert words in captured.err


@pytest.mark.parametrize("argv", [[], ["--entry_script", ""], ["--config_file="], ["--rest"]])
def test_nothing_to_serve_is_two_error_records(
    argv: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(*argv) == 1

    first, second = capsys.readouterr().out.splitlines()
    assert re.fullmatch(RECORD % ("E", "Error!"), first)
    assert second.endswith(
        "azmlinfsrv - Either provide an entry_script using --entry_script or provide a path to "
        "the configuration file using --config_file"
    )


def test_configuration_errors_come_before_the_banner(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORKER_COUNT", "0")
    monkeypatch.setenv("SCORING_TIMEOUT_MS", "abc")

    assert status_of("--entry_script", "score.py") == 3

    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 8
    assert re.fullmatch(RECORD % ("C", ""), lines[0])
    assert lines[1] == "===============Configuration Error================="
    assert lines[2].startswith("WORKER_COUNT: Input should be an integer from 1 to 1024")
    assert lines[2].endswith("(environment variable: WORKER_COUNT)")
    assert lines[3] == "==================================================="
    assert lines[6].startswith("SCORING_TIMEOUT_MS: ")


def test_config_file_that_is_missing_ends_the_start(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--config_file", "missing.json") == 3
    assert "missing.json does not exist" in capsys.readouterr().out


def test_config_shows_values_and_origins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"SERVICE_NAME": "mine"}', encoding="utf-8")
    monkeypatch.setenv("WORKER_COUNT", "3")

    settings = configuration(capsys, "--port=80", "--port", " 8_1 ", "--access-log")

    assert list(settings) == [field.name for field in FIELDS]
    assert settings["port"] == {"value": 81, "source": "flag", "name": "--port"}
    assert settings["access_log"] == {"value": True, "source": "flag", "name": "--access_log"}
    assert settings["worker_count"] == {
        "value": 3,
        "source": "environment",
        "name": "WORKER_COUNT",
    }
    assert settings["service_name"] == {"value": "mine", "source": "file", "name": "SERVICE_NAME"}
    assert settings["host"] == {"value": "0.0.0.0", "source": "default", "name": None}


def test_flags_before_the_command_count_as_well(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--port", "80", "--host", "a", "config", "--host", "b") == 0

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["port", "80", "flag", "--port"] in lines
    assert ["host", "b", "flag", "--host"] in lines


@pytest.mark.parametrize("format_", ["text", "json"])
def test_config_masks_secrets(format_: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("config", "--format", format_, "--appinsights_instrumentation_key", KEY) == 0

    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err
    assert "********" in captured.out


def test_secret_is_masked_in_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of("--appinsights_instrumentation_key", KEY, "--port", "0") == 2

    captured = capsys.readouterr()
    assert KEY not in captured.out + captured.err


@pytest.mark.parametrize(
    "module",
    ["azmlinfsrv", "azureml_inference_server_http", "azureml_inference_server_http.amlserver"],
)
def test_every_way_in_is_the_same(module: str, tmp_path: Path) -> None:
    environ = {**os.environ, "AML_APP_INSIGHTS_KEY": KEY}

    done = subprocess.run(
        [sys.executable, "-m", module, "config", "--port", "80"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environ,
        check=True,
    )

    assert re.search(r"^port +80 +flag --port$", done.stdout, re.MULTILINE)
    assert KEY not in done.stdout
    assert done.stderr == ""


def test_version_needs_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from azmlinfsrv.__main__ import main\n"
        "try: main(['--version'])\n"
        "except SystemExit: pass\n"
        "heavy = ('rich', 'asyncio', 'flask', 'gunicorn', 'uvicorn', 'numpy')\n"
        "print([name for name in heavy if name in sys.modules])\n"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.splitlines()[1] == "[]"
