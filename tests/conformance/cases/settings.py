"""Environment, configuration file, which of them wins, and values that make no sense (R2)."""

from __future__ import annotations

import json
from typing import Any

from tests.conformance.case import (
    ABSENT,
    Answer,
    Case,
    Exit,
    Expected,
    Json,
    Setup,
    Started,
    get,
    like,
    ok,
    post,
    serve,
)

SCRIPT = ("--entry_script", "score.py")


def env(**variables: str) -> Setup:
    return serve(folder="echo_text", environment=variables)


def configured(
    content: Any, folder: str = "echo_text", arguments: tuple[str, ...] = SCRIPT, **variables: str
) -> Setup:
    """Started with ``--config_file mine.json``."""
    return serve(
        folder=folder,
        arguments=(*arguments, "--config_file", "mine.json"),
        files={"mine.json": content if isinstance(content, str) else json.dumps(content)},
        environment=variables,
    )


def titled(title: str) -> Answer:
    """The service name, as the Swagger document shows it."""
    return Answer(200, like(r'.*"title": "' + title + '".*'))


def timeout(value: int) -> Started:
    """The scoring timeout, as the log shows it."""
    return Started(log=(f"azmlinfsrv - Scoring timeout is set to {value}$",))


def invalid(name: str, variable: str, value: str) -> Case:
    """A value that is refused, in the known shape of a configuration error."""
    return Case(
        f"{variable}={value!r} is refused ({name})",
        env(**{variable: value}),
        None,
        Exit(
            3,
            either=(
                r"=+Configuration Error=+\n"
                rf"{variable}: .+ \(environment variable: {variable}\)\n=+$",
            ),
        ),
        "R2.7 R2.8 R1.10 R6.10",
    )


def accepted(variable: str, value: str, expected: Expected) -> Case:
    return Case(
        f"{variable}={value!r} is accepted", env(**{variable: value}), None, expected, "R2.7"
    )


SWAGGER = get("/swagger.json")
UNKNOWN = {"SERVICE_NAME": "Iris", "NOT_A_SETTING": 1, "ALSO_NOT": 2}

CASES = [
    # --- environment
    Case("SERVICE_NAME", env(SERVICE_NAME="Iris"), SWAGGER, titled("Iris"), "R2.2"),
    Case("names in any case", env(service_name="Iris"), SWAGGER, titled("Iris"), "R2.3"),
    Case(
        "bare attribute names are not read",
        env(cors_origins="*", app_root="/nowhere"),
        get("/", Origin="https://a.com"),
        Answer(200, "Healthy", {"access-control-allow-origin": ABSENT}),
        "R2.3",
    ),
    Case("the default scoring timeout", env(), None, timeout(3600000), "R2.2"),
    Case(
        "AZUREML_SOURCE_DIRECTORY is importable",
        serve(
            """
            import from_source
            def init(): pass
            def run(data): return from_source.MARK
            """,
            files={"src/code/from_source.py": "MARK = 'found'\n"},
            environment={"AZUREML_SOURCE_DIRECTORY": "src/code"},
        ),
        post("x"),
        ok('"found"'),
        "R2.2 R3.4",
    ),
    Case(
        "a debug variable of old logs a warning",
        env(AML_DBG_MODEL_INFO="1"),
        None,
        Started(log=(r" W \[\d+\] azmlinfsrv - The debuggability features have been removed\. ",)),
        "R2.1",
    ),
    # --- conversion
    accepted("SCORING_TIMEOUT_MS", " 5_000 ", timeout(5000)),
    accepted("SCORING_TIMEOUT_MS", "5000.0", timeout(5000)),
    *(
        accepted("APP_INSIGHTS_LOG_RESPONSE_ENABLED", value, timeout(3600000))
        for value in ("Yes", "f", "0", "ON")
    ),
    invalid("a word", "SCORING_TIMEOUT_MS", "soon"),
    invalid("empty", "SCORING_TIMEOUT_MS", ""),
    invalid("a fraction", "SCORING_TIMEOUT_MS", "1.5"),
    invalid("a word", "APP_INSIGHTS_LOG_RESPONSE_ENABLED", "maybe"),
    invalid("empty", "APP_INSIGHTS_LOG_RESPONSE_ENABLED", ""),
    Case(
        "every wrong value is reported",
        env(SCORING_TIMEOUT_MS="x", AZUREML_DEBUG_PORT="y"),
        None,
        Exit(3, either=("(?m)^SCORING_TIMEOUT_MS: ", "(?m)^AZUREML_DEBUG_PORT: ")),
        "R2.8",
    ),
    # --- the file
    Case(
        "the file is read",
        configured({"SERVICE_NAME": "Iris"}),
        SWAGGER,
        titled("Iris"),
        "R2.4 R2.5",
    ),
    Case(
        "the environment beats the file",
        configured({"SERVICE_NAME": "Iris", "SERVICE_VERSION": "7"}, SERVICE_NAME="Rose"),
        SWAGGER,
        Answer(200, like(r'.*"title": "Rose".*"version": "7".*')),
        "R1.5 R2.9",
    ),
    Case(
        "a number in the file",
        configured({"SCORING_TIMEOUT_MS": 1234}),
        None,
        timeout(1234),
        "R2.5 R2.2",
    ),
    Case(
        "a string for a number in the file",
        configured({"SCORING_TIMEOUT_MS": "1234"}),
        None,
        timeout(1234),
        "R2.7",
    ),
    Case(
        "null counts as absent",
        configured({"SCORING_TIMEOUT_MS": None, "SERVICE_NAME": None}),
        None,
        timeout(3600000),
        "R2.5",
    ),
    Case(
        "a number for a string is refused",
        configured({"SERVICE_NAME": 5}),
        None,
        Exit(3, either=("SERVICE_NAME: ",)),
        "R2.7 R2.8",
    ),
    Case(
        "the entry script from the file",
        configured({"AZUREML_ENTRY_SCRIPT": "score.py"}, arguments=()),
        post("x"),
        ok('{"type": "str", "text": "x"}'),
        "R2.2 R2.5 R3.1",
    ),
    Case(
        "the banner does not know the script of the file",
        configured({"AZUREML_ENTRY_SCRIPT": "score.py"}, arguments=()),
        None,
        Started(log=("^Entry Script Name: ",)),
        "R1.9",
    ),
    *(
        Case(
            f"{what} is refused",
            configured(content),
            None,
            Exit(3, either=("Invalid config file",)),
            "R2.5 R1.10",
        )
        for what, content in (("a file that is not JSON", "{nope"), ("a JSON list", "[1]"))
    ),
    Case(
        "unknown keys get a warning that names them",
        configured(UNKNOWN),
        None,
        Started(
            log=(
                r" W \[\d+\] azmlinfsrv\S* - [^\n]*\n?[^\n]*"
                r"(NOT_A_SETTING.*ALSO_NOT|ALSO_NOT.*NOT_A_SETTING)",
            )
        ),
        "R2.5 R2.6 0:R2.4 D19",
        reference=Started(log=("ready for serving",), unlogged=("NOT_A_SETTING",)),
    ),
    Case(
        "known settings from the environment are never called extra",
        env(SERVICE_NAME="Iris"),
        None,
        Started(log=("ready for serving",), unlogged=("Found extra keys",)),
        "R2.6 0:R2.4 D19",
        reference=Started(
            log=(
                r" W \[\d+\] azmlinfsrv - Found extra keys in the config file that are not "
                r"supported by the server\.\nExtra keys = \[.*'SERVICE_NAME'.*\]$",
            )
        ),
    ),
    Case(
        "origins from the file",
        configured({"AML_CORS_ORIGINS": "*"}),
        get("/", Origin="https://a.com"),
        Answer(200, headers={"access-control-allow-origin": "https://a.com"}),
        "R2.2 0:R2.4 D19",
        reference=Answer(200, headers={"access-control-allow-origin": ABSENT}),
    ),
    Case(
        "the model folder from the file reaches the script",
        configured({"AZUREML_MODEL_DIR": "/models"}, folder="environment"),
        post("AZUREML_MODEL_DIR"),
        ok(Json({"AZUREML_MODEL_DIR": "/models"})),
        "R2.2 0:R2.4 D19",
        reference=ok(Json({"AZUREML_MODEL_DIR": None})),
    ),
    Case(
        "telemetry without a key in the file still starts",
        configured({"AML_APP_INSIGHTS_ENABLED": True, "AML_CORS_ORIGINS": "www.microsoft.com"}),
        get("/"),
        Answer(200, "Healthy"),
        "0:R2.4 D19",
    ),
    *(
        Case(
            f"{name} is a known key",
            configured({name: True}),
            None,
            Started(log=("ready for serving",), unlogged=(rf"(?i)(unknown|extra).*\n?.*{name}",)),
            "R2.2 0:R2.4 D19",
        )
        for name in ("AML_MODEL_DC_STORAGE_ENABLED", "AML_MDC_STORAGE_ENABLED")
    ),
    *(
        Case(
            f"a file named explicitly that is {what} is refused",
            serve(
                folder="echo_text",
                arguments=(*SCRIPT, "--config_file", "mine.json"),
                files=files,
            ),
            None,
            Exit(3, either=(r"mine\.json",)),
            "R2.4 0:R2.4 D19",
            reference=Started(log=("ready for serving",)),
        )
        for what, files in (("missing", {}), ("empty", {"mine.json": ""}))
    ),
    # --- which file
    Case(
        "config.json in the root is found",
        serve(folder="echo_text", files={"config.json": '{"SERVICE_NAME": "Iris"}'}),
        SWAGGER,
        titled("Iris"),
        "R2.4",
    ),
    Case(
        "config.json beside the script is found",
        serve(
            files={
                "sub/score.py": "def init(): pass\ndef run(data): return data\n",
                "sub/config.json": '{"SERVICE_NAME": "Iris"}',
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        SWAGGER,
        titled("Iris"),
        "R2.4",
    ),
    Case(
        "the named file comes before config.json, and files are not merged",
        serve(
            folder="echo_text",
            arguments=(*SCRIPT, "--config_file", "mine.json"),
            files={
                "mine.json": '{"SERVICE_NAME": "Iris"}',
                "config.json": '{"SERVICE_NAME": "Rose", "SERVICE_VERSION": "7"}',
            },
        ),
        SWAGGER,
        Answer(200, like(r'.*"title": "Iris".*"version": "1\.0".*')),
        "R2.4",
    ),
    Case(
        "an empty config.json in the root is passed over",
        serve(
            files={
                "config.json": "",
                "sub/score.py": "def init(): pass\ndef run(data): return data\n",
                "sub/config.json": '{"SERVICE_NAME": "Iris"}',
            },
            arguments=("--entry_script", "sub/score.py"),
        ),
        SWAGGER,
        titled("Iris"),
        "R2.4",
    ),
    Case(
        "a relative name in the environment is relative to the current folder",
        serve(
            folder="echo_text",
            files={"conf/mine.json": '{"SERVICE_NAME": "Iris"}'},
            environment={"AZUREML_CONFIG_FILE": "conf/mine.json"},
        ),
        SWAGGER,
        titled("Iris"),
        "R2.4 R2.1",
    ),
    Case(
        "a config.json of the model is none of ours",
        serve(
            folder="echo_text",
            files={"config.json": '{"model_type": "bert", "hidden_size": 768}'},
        ),
        None,
        Started(
            log=(r" I \[\d+\] azmlinfsrv\S* - .*config\.json",), unlogged=(" W .*hidden_size",)
        ),
        "R2.4 X10 0:R2.4",
        reference=Started(
            log=("ready for serving",), unlogged=(r" I \[\d+\] \S+ - .*config\.json",)
        ),
    ),
    Case(
        "a config.json that is a list is none of ours",
        serve(folder="echo_text", files={"config.json": "[1, 2]"}),
        get("/"),
        Answer(200, "Healthy"),
        "R2.5 X10 0:R2.4 D19",
        reference=Exit(3, log=("Invalid config file",)),
    ),
]
