from __future__ import annotations

from pathlib import Path

import pytest

from azmlinfsrv.settings import read_settings, removed_variables, script_environment

ALWAYS = {
    "WORKER_COUNT": "1",
    "SERVER_PORT": "5001",
    "HEALTH_PORT": "5001",
    "TRANSPORT_PROTOCOL": "grpc",
    "AML_APP_INSIGHTS_ENABLED": "false",
    "HTTP_X_MS_SERVER_VERSION": "azmlinfsrv/2.0.0",
}


def test_defaults_that_are_none_are_not_exported(tmp_path: Path) -> None:
    variables = script_environment(read_settings({}, {}, tmp_path))

    assert variables == {**ALWAYS, "AML_APP_ROOT": str(tmp_path)}


def test_given_values_are_exported(tmp_path: Path) -> None:
    (tmp_path / "c.json").write_text('{"AZUREML_MODEL_DIR": "model"}', encoding="utf-8")
    flags = {
        "entry_script": "score.py",
        "port": "80",
        "app_insights_key": "k",
        "cors_origins": "*",
        "config_file": "c.json",
        "transport_protocol": "rest",
    }

    variables = script_environment(read_settings(flags, {"HEALTH_PORT": "9"}, tmp_path))

    assert variables == {
        **ALWAYS,
        "AML_APP_ROOT": str(tmp_path),
        "AZUREML_ENTRY_SCRIPT": str(tmp_path / "score.py"),
        "AZUREML_MODEL_DIR": "model",
        "AZUREML_CONFIG_FILE": str(tmp_path / "c.json"),
        "AML_APP_INSIGHTS_KEY": "k",
        "AML_CORS_ORIGINS": "*",
        "SERVER_PORT": "80",
        "HEALTH_PORT": "80",
        "TRANSPORT_PROTOCOL": "rest",
    }


def test_health_port_is_the_one_that_answers(tmp_path: Path) -> None:
    alone = read_settings({"health_port": "6000"}, {}, tmp_path)
    separate = read_settings(
        {"health_port": "6000"}, {"SEPERATE_HEALTH_ENDPOINT": "true"}, tmp_path
    )

    assert script_environment(alone)["HEALTH_PORT"] == "5001"
    assert script_environment(separate)["HEALTH_PORT"] == "6000"


def test_entry_script_of_the_file_is_not_exported(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"AZUREML_ENTRY_SCRIPT": "s.py"}', encoding="utf-8")

    loaded = read_settings({}, {}, tmp_path)

    assert loaded.settings.entry_script == "s.py"
    assert "AZUREML_ENTRY_SCRIPT" not in script_environment(loaded)


def test_key_of_application_insights_stays_for_the_script() -> None:
    assert removed_variables({"AML_APP_INSIGHTS_KEY": "k", "PATH": ""}) == ()


@pytest.mark.parametrize(
    ("flags", "environ", "threads"),
    [
        ({}, {}, None),  # one worker: the libraries take what they like
        ({"worker_count": "100"}, {}, "1"),
        ({"threads": "100"}, {}, "1"),
        ({"worker_count": "100"}, {"OMP_NUM_THREADS": "3"}, None),  # the user has chosen
        ({"worker_count": "100"}, {"MKL_NUM_THREADS": "3"}, None),
    ],
)
def test_workers_share_the_cores(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    flags: dict[str, str],
    environ: dict[str, str],
    threads: str | None,
) -> None:
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environ.items():
        monkeypatch.setenv(name, value)

    variables = script_environment(read_settings(flags, environ, tmp_path))

    assert variables.get("OPENBLAS_NUM_THREADS") == threads
    assert variables.get("OMP_NUM_THREADS") == threads
