"""Flags, usage errors, the banner, exit statuses (R1)."""

from __future__ import annotations

from typing import Any

from tests.conformance import scenarios
from tests.conformance.case import (
    Answer,
    Case,
    Exit,
    Expected,
    Json,
    NeverReady,
    Outcome,
    Setup,
    Started,
    ok,
    post,
    serve,
)

TEXT = serve(folder="echo_text")
KEY = "12345678-1234-1234-1234-123456789abc"
NAMES = (
    "AML_APP_ROOT AZUREML_ENTRY_SCRIPT AZUREML_MODEL_DIR AZUREML_CONFIG_FILE WORKER_COUNT "
    "SERVER_PORT HEALTH_PORT AML_APP_INSIGHTS_ENABLED AML_APP_INSIGHTS_KEY AML_CORS_ORIGINS"
)
ONE_NEEDED = (
    "Either provide an entry_script using --entry_script or provide a path to the configuration "
    "file using --config_file"
)


def flags(*arguments: str, **more: Any) -> Setup:
    """The echo script, started with these arguments."""
    return serve(folder="echo_text", arguments=arguments, **more)


SCRIPT = ("--entry_script", "score.py")


def usage(name: str, ours: str, reference: str, *arguments: str) -> Case:
    """A command line that is wrong: ours exits 2, and says why on standard error."""
    return Case(
        name,
        flags(*arguments, port=False),
        None,
        Exit(2, errors=(ours,)),
        "R1.3 R1.10 0:R1.3 D28",
        reference=Exit(1, log=("--entry_script",), errors=(reference,)),
    )


def environment(
    name: str,
    arguments: tuple[str, ...],
    variables: dict[str, str],
    seen: dict[str, Any],
    shows: str = "R1.6",
    reference: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    """What run() finds in its environment."""
    return Case(
        name,
        serve(folder="environment", arguments=arguments, environment=variables, **more),
        post(" ".join(seen)),
        ok(Json(seen)),
        shows,
        reference=ok(Json(reference)) if reference else None,
    )


def insights(name: str, variables: dict[str, str], expected: Expected) -> Case:
    return Case(
        f"application insights: {name}",
        serve(folder="echo_text", environment=variables),
        None,
        expected,
        "R1.7 R1.8",
    )


CASES = [
    # --- help and usage
    Case(
        "help is on standard output",
        flags("--help", port=False),
        None,
        Exit(0, log=("(?i)usage", "--entry_script", "--port")),
        "R1.2 R1.3 0:R1.3 D28",
        reference=Exit(1, log=("usage", "--entry_script", "--port")),
    ),
    Case(
        "-h is help",
        flags("-h", port=False),
        None,
        Exit(0, log=("(?i)usage",)),
        "R1.2 R1.3 0:R1.3 D28",
        reference=Exit(1, log=("usage",)),
    ),
    Case(
        "--version says the version",
        flags("--version", port=False),
        None,
        Exit(0, log=(r"\d+\.\d+\.\d+",)),
        "R1.1 0:R1.3 D28",
        reference=Exit(1, errors=("unrecognized arguments|the following arguments",)),
    ),
    usage(
        "an unknown flag", "--nonsense", "unrecognized arguments: --nonsense", *SCRIPT, "--nonsense"
    ),
    usage("a missing value", "entry.script", "expected one argument", "--entry_script"),
    usage(
        "a port of 0 names the range",
        r"(?s)port.*1.*65535",
        r"argument --port: invalid validate_port value: '0'",
        *SCRIPT,
        "--port",
        "0",
    ),
    usage(
        "a port that is a word",
        r"(?s)port.*abc",
        r"argument --port: invalid validate_port value: 'abc'",
        *SCRIPT,
        "--port",
        "abc",
    ),
    usage(
        "a port of 65536",
        r"(?s)port.*65535",
        "argument --port: invalid",
        *SCRIPT,
        "--port",
        "65536",
    ),
    usage(
        "a worker count of 0",
        r"(?s)worker.count",
        r"argument --worker_count: invalid validate_worker_count value: '0'",
        *SCRIPT,
        "--worker_count",
        "0",
    ),
    usage(
        "a positional argument", "score.py", "unrecognized arguments: score.py", *SCRIPT, "score.py"
    ),
    Case(
        "neither script nor config file",
        flags(),
        None,
        Exit(1, either=(ONE_NEEDED,)),
        "R1.4 R1.10",
    ),
    Case(
        "an empty script name is none",
        flags("--entry_script", ""),
        None,
        Exit(1, either=(ONE_NEEDED,)),
        "R1.4",
    ),
    Case(
        "a script in the environment is enough",
        flags(environment={"AZUREML_ENTRY_SCRIPT": "score.py"}),
        post("x"),
        ok('{"type": "str", "text": "x"}'),
        "R1.4 0:R1.4",
        reference=Exit(1, log=(ONE_NEEDED,)),
    ),
    Case(
        "a config file in the environment is enough",
        flags(
            environment={"AZUREML_CONFIG_FILE": "mine.json"},
            files={"mine.json": '{"AZUREML_ENTRY_SCRIPT": "score.py"}'},
        ),
        post("x"),
        ok('{"type": "str", "text": "x"}'),
        "R1.4 0:R1.4",
        reference=Exit(1, log=(ONE_NEEDED,)),
    ),
    # --- argparse's habits
    Case("flag=value", flags("--entry_script=score.py"), post("x"), Answer(200), "R1.2"),
    Case("an abbreviation", flags("--entry", "score.py"), post("x"), Answer(200), "R1.2"),
    Case(
        "the last repetition wins",
        flags("--entry_script", "nowhere.py", "--entry_script", "score.py"),
        post("x"),
        Answer(200),
        "R1.2",
    ),
    Case("--rest is accepted", flags(*SCRIPT, "--rest"), post("x"), Answer(200), "R1.2"),
    Case(
        "a count with blanks and underscores is a count",
        flags(*SCRIPT, "--worker_count", " 0_1 "),
        None,
        Started(log=("Worker Count: 1$",)),
        "R1.2",
    ),
    Case(
        "flags with dashes",
        flags("--entry-script", "score.py", "--worker-count", "1", "--model-dir", "."),
        post("x"),
        Answer(200),
        "0:R1.3 D28",
        reference=Exit(1, errors=("unrecognized arguments",)),
    ),
    Case(
        "started as a module",
        serve(folder="echo_text", as_module=True),
        post("x"),
        ok('{"type": "str", "text": "x"}'),
        "R1.1 X7",
    ),
    # --- where it listens
    Case(
        "it listens on every address",
        TEXT,
        scenarios.other_loopback,
        Outcome({"127.0.0.2": True}),
        "R1.11 0:R1.11",
    ),
    Case(
        "--host chooses the address",
        flags(*SCRIPT, "--host", "127.0.0.1"),
        scenarios.other_loopback,
        Outcome({"127.0.0.2": False}),
        "0:R1.11 D44",
        reference=Outcome({"exit": 1}),
    ),
    Case(
        "so does its variable",
        flags(*SCRIPT, environment={"AZMLINFSRV_HOST": "127.0.0.1"}),
        scenarios.other_loopback,
        Outcome({"127.0.0.2": False}),
        "0:R1.11 D44",
        reference=Outcome({"127.0.0.2": True}),
    ),
    Case("a port in use", TEXT, scenarios.port_in_use, Outcome({"exit": 1}), "R1.10"),
    # --- precedence
    Case(
        "SERVER_PORT in the environment is ignored",
        flags(*SCRIPT, environment={"SERVER_PORT": "1"}),
        None,
        Started(log=("Server Port: {port}$",)),
        "R1.5 0:R1.5 R2.1",
    ),
    Case(
        "HEALTH_PORT in the environment is never advertised",
        flags(*SCRIPT, environment={"HEALTH_PORT": "1"}),
        None,
        Started(log=("Health Port: {port}$", r"Liveness Probe: GET   \S+:{port}/$")),
        "R1.5 0:R1.5 D12",
    ),
    Case(
        "--health_port without a health listener is ignored",
        flags(*SCRIPT, "--health_port", "{free_port}"),
        None,
        Started(log=("Health Port: {port}$",)),
        "R1.2 R1.5",
    ),
    Case(
        "the flag beats the environment",
        flags("--entry_script", "score.py", environment={"AZUREML_ENTRY_SCRIPT": "nowhere.py"}),
        post("x"),
        Answer(200),
        "R1.5 R2.9",
    ),
    Case(
        "a relative script is found from the current folder, not the root",
        serve(
            files={"sub/score.py": "def init(): pass\ndef run(data): return data\n"},
            arguments=("--entry_script", "score.py"),
            environment={"AML_APP_ROOT": "{root}"},
            working_folder="sub",
        ),
        post("x"),
        ok('"x"'),
        "R1.2 R1.5",
    ),
    # --- what the script finds
    environment(
        "variables by default",
        SCRIPT,
        {},
        {
            "AML_APP_ROOT": "{root}",
            "AZUREML_ENTRY_SCRIPT": "{root}/score.py",
            "AZUREML_MODEL_DIR": None,
            "AZUREML_CONFIG_FILE": None,
            "WORKER_COUNT": "1",
            "SERVER_PORT": "{port}",
            "HEALTH_PORT": "{port}",
            "AML_APP_INSIGHTS_ENABLED": "false",
            "AML_APP_INSIGHTS_KEY": None,
            "AML_CORS_ORIGINS": None,
        },
    ),
    environment(
        "variables from flags",
        (
            *SCRIPT,
            "--model_dir",
            "./models",
            "--config_file",
            "mine.json",
            "--access_control_allow_origins",
            "https://a.com",
            "--appinsights_instrumentation_key",
            "bad",
        ),
        {"AML_APP_ROOT": "{root}"},
        {
            "AZUREML_MODEL_DIR": "./models",
            "AZUREML_CONFIG_FILE": "{root}/mine.json",
            "AML_CORS_ORIGINS": "https://a.com",
            "AML_APP_INSIGHTS_ENABLED": "false",
            "AML_APP_INSIGHTS_KEY": "bad",
        },
        "R1.2 R1.6",
        files={"mine.json": '{"SERVICE_NAME": "x"}'},
    ),
    environment(
        "a symbolic link is resolved",
        ("--entry_script", "sub/../score.py"),
        {},
        {"AZUREML_ENTRY_SCRIPT": "{root}/score.py"},
        "R1.2 R1.6",
        files={"sub": None},
    ),
    environment(
        "what was there stays there",
        SCRIPT,
        {"MY_VARIABLE": "kept", "AZUREML_MODEL_DIR": "/models"},
        {"MY_VARIABLE": "kept", "AZUREML_MODEL_DIR": "/models"},
    ),
    # --- the banner
    Case(
        "the banner",
        serve(folder="echo_text", arguments=(*SCRIPT, "--worker_count", "1")),
        None,
        Started(
            log=(
                r"^Azure ML Inferencing HTTP server v\d+\.\d+\.\d+\S*$",
                r"^Server Settings$",
                r"^---------------$",
                r"^Entry Script Name: {root}/score\.py$",
                r"^Model Directory: None$",
                r"^Config File: None$",
                r"^Worker Count: 1$",
                r"^Worker Timeout \(seconds\): None$",
                r"^Server Port: {port}$",
                r"^Health Port: {port}$",
                r"^Application Insights Enabled: false$",
                r"^Application Insights Key: None$",
                r"^Inferencing HTTP server version: azmlinfsrv/\d+\.\d+\.\d+\S*$",
                r"^CORS for the specified origins: None$",
                r"^Create dedicated endpoint for health: None$",
                r"^Server Routes$",
                r"^---------------$",
                r"^Liveness Probe: GET   \S+:{port}/$",
                r"^Score:          POST  \S+:{port}/score$",
            )
        ),
        "R1.8 R1.9",
    ),
    Case(
        "the banner with everything set",
        serve(
            folder="echo_text",
            arguments=(
                *SCRIPT,
                "--model_dir",
                "models",
                "--config_file",
                "mine.json",
                "--worker_count",
                "2",
            ),
            files={"mine.json": '{"SERVICE_NAME": "x"}', "models": None},
            environment={
                "WORKER_TIMEOUT": "77",
                "AML_CORS_ORIGINS": "https://a.com",
                "AML_APP_INSIGHTS_KEY": "bad",
            },
        ),
        None,
        Started(
            log=(
                r"^Model Directory: models$",
                r"^Config File: {root}/mine\.json$",
                r"^Worker Count: 2$",
                r"^Worker Timeout \(seconds\): 77$",
                r"^Application Insights Enabled: false$",
                r"^Application Insights Key: AppInsights key provided$",
                r"^CORS for the specified origins: Enabling CORS for https://a\.com$",
            )
        ),
        "R1.9 R1.2",
    ),
    Case(
        "the banner is printed once",
        TEXT,
        scenarios.banner_count,
        Outcome({"banners": 1}),
        "R1.8 R6.11 0:R1.8 D11",
        reference=Outcome({"banners": 2}),
    ),
    Case(
        "the banner is there before the first answer",
        TEXT,
        None,
        Started(log=("^Server Routes$", "ready for serving traffic")),
        "R1.8 0:R1.8 D11",
    ),
    Case(
        "a configuration error comes before the banner",
        flags(*SCRIPT, environment={"SCORING_TIMEOUT_MS": "soon"}),
        None,
        Exit(3, either=("SCORING_TIMEOUT_MS",), unlogged=("Server Settings",)),
        "R1.8 R2.8 0:R1.8 D11",
        reference=Exit(3, log=("Server Settings", "SCORING_TIMEOUT_MS")),
    ),
    Case(
        "no model folder is said",
        TEXT,
        None,
        Started(
            log=(
                r"^The environment variable 'AZUREML_MODEL_DIR' has not been set\.$",
                r"^Use the --model_dir command line argument to set it\.$",
                r"^Azure ML Inferencing HTTP server",
            )
        ),
        "R1.8",
    ),
    Case(
        "how many calls are scored at once is said",
        TEXT,
        None,
        Started(
            either=(r"(?i)(at once|concurren|parallel).*\b1\b|\b1\b.*(at once|concurren|parallel)",)
        ),
        "X12 0:R1.8",
        reference=Started(unlogged=("(?i)at once|concurren",)),
    ),
    # --- application insights
    insights(
        "a valid key",
        {"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": KEY},
        Started(
            log=(
                r"^Valid Application Insights instrumentation key provided\.$",
                "^Application Insights Enabled: true$",
                "^Application Insights Key: AppInsights key provided$",
            ),
            unlogged=(KEY,),
        ),
    ),
    insights(
        "a malformed key",
        {"AML_APP_INSIGHTS_ENABLED": "true", "AML_APP_INSIGHTS_KEY": "InstrumentationKey=" + KEY},
        Started(
            log=(
                r"^Invalid Application Insights instrumentation key provided\.$",
                r"^Application Insights has been disabled\.$",
                "^Application Insights Enabled: false$",
            )
        ),
    ),
    insights(
        "enabled without a key",
        {"AML_APP_INSIGHTS_ENABLED": "true"},
        Started(log=("^Application Insights Enabled: false$",), unlogged=("instrumentation key",)),
    ),
    insights(
        "a key without the switch",
        {"AML_APP_INSIGHTS_KEY": KEY},
        Started(
            log=(
                "^Application Insights Enabled: false$",
                "^Application Insights Key: AppInsights key provided$",
            ),
            unlogged=(KEY,),
        ),
    ),
    insights(
        "the switch in another case",
        {"AML_APP_INSIGHTS_ENABLED": "True", "AML_APP_INSIGHTS_KEY": KEY},
        Started(log=("^Application Insights Enabled: false$",)),
    ),
    Case(
        "application insights: the flag switches it on",
        flags(*SCRIPT, "--appinsights_instrumentation_key", KEY.upper()),
        None,
        Started(log=("^Valid Application", "^Application Insights Enabled: true$")),
        "R1.7 R1.2",
    ),
    # --- worker settings
    Case(
        "a worker count of 0 in the environment",
        flags(*SCRIPT, environment={"WORKER_COUNT": "0"}, ready_s=3.0),
        None,
        Exit(3, either=("WORKER_COUNT",)),
        "R1.5 R1.10 0:R1.10 D13",
        reference=NeverReady(),
    ),
    Case(
        "a worker count that is a word",
        flags(*SCRIPT, environment={"WORKER_COUNT": "abc"}),
        None,
        Exit(3, either=("WORKER_COUNT",)),
        "R1.5 R1.10 0:R1.10",
        reference=Exit(1, errors=("ValueError",)),
    ),
    Case(
        "a worker timeout that is a word",
        flags(*SCRIPT, environment={"WORKER_TIMEOUT": "abc"}),
        None,
        Exit(3, either=("WORKER_TIMEOUT",)),
        "R1.5 R1.10 0:R3.38",
        reference=Exit(2, errors=("abc",)),
    ),
    Case(
        "a worker count in the environment counts",
        flags(*SCRIPT, environment={"WORKER_COUNT": "2"}),
        None,
        Started(log=("^Worker Count: 2$", "ready for serving", "ready for serving")),
        "R1.5 R2.1",
    ),
    Case(
        "the flag beats the worker count in the environment",
        flags(*SCRIPT, "--worker_count", "1", environment={"WORKER_COUNT": "7"}),
        None,
        Started(log=("^Worker Count: 1$",)),
        "R1.5",
    ),
    # --- Gunicorn's own settings
    Case(
        "a gunicorn.conf.py in the current folder is not executed",
        serve(
            folder="environment",
            files={"gunicorn.conf.py": "import os\nos.environ['FROM_CONF'] = '1'\n"},
        ),
        post("FROM_CONF"),
        ok(Json({"FROM_CONF": None})),
        "R1.13 0:R1.13 D45",
        reference=ok(Json({"FROM_CONF": "1"})),
    ),
    Case(
        "GUNICORN_CMD_ARGS is not read",
        serve(folder="environment", environment={"GUNICORN_CMD_ARGS": "--env FROM_ARGS=1"}),
        post("FROM_ARGS"),
        ok(Json({"FROM_ARGS": None})),
        "R1.13 0:R1.13 D45",
        reference=ok(Json({"FROM_ARGS": "1"})),
    ),
    # --- exit
    *(
        Case(
            f"{number.name} ends it with 0",
            TEXT,
            scenarios.end_by(number),
            Outcome({"exit": 0}),
            "R1.10 R1.12",
        )
        for number in scenarios.ENDING
    ),
    Case(
        "SIGTERM lets a request finish",
        serve(
            """
            import time
            def init(): pass
            def run(data):
                print("run has begun")
                time.sleep(1.0)
                return data
            """
        ),
        scenarios.term_lets_a_request_finish,
        Outcome({"answered": 200, "exit": 0}),
        "R1.12",
    ),
    Case(
        "SIGHUP reloads the script",
        serve(
            """
            def init(): pass
            def run(data): return "before"
            """
        ),
        scenarios.hup_reloads_the_script,
        Outcome({"before": '"before"', "changed": True, "lives": True}),
        "R1.12",
    ),
]
