from __future__ import annotations

from pathlib import Path

from azmlinfsrv.cli.banner import banner
from azmlinfsrv.settings import Loaded, read_settings

KEY = "01234567-89ab-cdef-0123-456789abcdef"


def load(cwd: Path, flags: dict[str, str], environ: dict[str, str] | None = None) -> Loaded:
    return read_settings(flags, environ or {}, cwd)


def test_default_banner_has_the_known_lines(tmp_path: Path) -> None:
    text = banner(load(tmp_path, {"entry_script": "score.py"}))

    assert (
        text
        == f"""\
The environment variable 'AZUREML_MODEL_DIR' has not been set.
Use the --model_dir command line argument to set it.

Azure ML Inferencing HTTP server v2.0.0


Server Settings
---------------
Entry Script Name: {tmp_path.resolve() / "score.py"}
Model Directory: None
Config File: None
Worker Count: 1
Worker Timeout (seconds): None
Server Port: 5001
Health Port: 5001
Application Insights Enabled: false
Application Insights Key: None
Inferencing HTTP server version: azmlinfsrv/2.0.0
CORS for the specified origins: None
Create dedicated endpoint for health: None
Scoring calls at once: 1
Threads of BLAS and OpenMP in each worker: their own choice
Memory for request bodies (at most): 1000 waiting x 1 MiB, 512 MiB for larger ones (each up to \
100 MiB)


Server Routes
---------------
Liveness Probe: GET   0.0.0.0:5001/
Score:          POST  0.0.0.0:5001/score

"""
    )


def test_banner_shows_what_was_given(tmp_path: Path) -> None:
    flags = {
        "model_dir": "m",
        "worker_count": "2",
        "port": "80",
        "health_port": "81",
        "app_insights_key": KEY,
        "cors_origins": "https://a.com",
        "host": "::1",
    }
    environ = {"WORKER_TIMEOUT": "300", "SEPERATE_HEALTH_ENDPOINT": "true", "HEALTH_PORT": "9"}

    lines = banner(load(tmp_path, flags, environ), slots=4).splitlines()

    assert lines[0] == "Valid Application Insights instrumentation key provided."
    for line in (
        "Model Directory: m",
        "Worker Count: 2",
        "Worker Timeout (seconds): 300",
        "Server Port: 80",
        "Health Port: 81",
        "Application Insights Enabled: true",
        "Application Insights Key: AppInsights key provided",
        "CORS for the specified origins: Enabling CORS for https://a.com",
        "Create dedicated endpoint for health: true",
        "Scoring calls at once: 8",
        "Liveness Probe: GET   [::1]:81/",
        "Score:          POST  [::1]:80/score",
    ):
        assert line in lines
    assert KEY not in "\n".join(lines)


def test_health_port_is_never_one_that_nobody_answers(tmp_path: Path) -> None:
    lines = banner(load(tmp_path, {"health_port": "81"}, {"HEALTH_PORT": "9"})).splitlines()

    assert "Health Port: 5001" in lines
    assert "Liveness Probe: GET   0.0.0.0:5001/" in lines


def test_the_playground_is_named_where_there_is_one(tmp_path: Path) -> None:
    address = "Playground:     GET   http://localhost:5001/playground"

    assert address in banner(load(tmp_path, {"playground": True}))
    assert "http://127.0.0.1:5001/playground" in banner(load(tmp_path, {"dev": True}))
    assert "Playground" not in banner(load(tmp_path, {}))
