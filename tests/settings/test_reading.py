from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.settings import FIELDS, DeclaredField, Loaded, Secret, read_settings
from azmlinfsrv.settings.reading import convert_value

KEY = "01234567-89ab-cdef-0123-456789abcdef"

# Their value depends on more than what is given for them; tested by name below.
DERIVED = {"config_file", "app_insights_enabled", "server_version"}
PLAIN = [field for field in FIELDS if field.name not in DERIVED]
WITH_VARIABLE = [field for field in PLAIN if field.variables]
WITH_KEY = [field for field in PLAIN if field.keys]


def sample_text(field: DeclaredField, number: int) -> str:
    """A valid text that is not the default; a different one for each number, if there are two."""
    if field.kind is bool:
        return str(field.default is (number % 2 == 0)).lower()
    if field.choices:
        others = [choice for choice in field.choices if choice != field.default]
        return others[number % len(others)]
    if field.kind in (int, float):
        if field.kind is float and field.maximum == 1:  # a part of something
            return str((1 + number) / 16)
        return str(int(field.minimum or 0) + 40 + number)
    return f"/sample-{number}"


def expected(field: DeclaredField, text: str) -> Any:
    return convert_value(field, text, "environment")


def read(
    cwd: Path,
    flags: dict[str, str] | None = None,
    environ: dict[str, str] | None = None,
    file: Any = None,
) -> Loaded:
    environ = dict(environ or {})
    if file is not None:
        path = cwd / "settings.json"
        path.write_text(file if isinstance(file, str) else json.dumps(file), encoding="utf-8")
        environ["AZUREML_CONFIG_FILE"] = str(path)
    return read_settings(flags or {}, environ, cwd)


def by_name(fields: list[DeclaredField]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("field", fields, ids=lambda field: field.name)


def test_nothing_given_means_defaults(tmp_path: Path) -> None:
    loaded = read(tmp_path)

    for field in FIELDS:
        wanted = str(tmp_path) if field.name == "app_root" else field.default
        assert getattr(loaded.settings, field.name) == wanted, field.name
        assert loaded.origins[field.name].source == "default"


@by_name(PLAIN)
def test_flag_sets_each_field(field: DeclaredField, tmp_path: Path) -> None:
    text = sample_text(field, 0)

    loaded = read(tmp_path, flags={field.name: text})

    assert getattr(loaded.settings, field.name) == expected(field, text)
    assert loaded.origins[field.name].source == "flag"


@by_name(WITH_VARIABLE)
def test_every_variable_sets_each_field_in_any_case(field: DeclaredField, tmp_path: Path) -> None:
    text = sample_text(field, 0)

    for variable in field.variables:
        for spelling in (variable, variable.lower(), variable.title()):
            loaded = read(tmp_path, environ={spelling: text})

            assert getattr(loaded.settings, field.name) == expected(field, text)
            assert loaded.origins[field.name].source == "environment"
            assert loaded.origins[field.name].name == spelling


@by_name(WITH_KEY)
def test_every_file_key_sets_each_field(field: DeclaredField, tmp_path: Path) -> None:
    text = sample_text(field, 0)

    for key in field.keys:
        loaded = read(tmp_path, file={key: text})

        assert getattr(loaded.settings, field.name) == expected(field, text)
        assert loaded.origins[field.name].source == "file"
        assert loaded.origins[field.name].name == key


@by_name([field for field in WITH_KEY if field.kind in (int, float, bool)])
def test_file_takes_json_numbers_and_switches(field: DeclaredField, tmp_path: Path) -> None:
    value = expected(field, sample_text(field, 0))

    loaded = read(tmp_path, file={field.keys[0]: value})

    assert getattr(loaded.settings, field.name) == value


@by_name(WITH_KEY)
def test_flag_beats_environment_beats_file(field: DeclaredField, tmp_path: Path) -> None:
    first, second = sample_text(field, 0), sample_text(field, 1)
    environ, file = {field.variables[0]: second}, {field.keys[0]: second}

    over_both = read(tmp_path, {field.name: first}, environ, file)
    over_file = read(tmp_path, {}, {field.variables[0]: first}, file)
    over_environment = read(tmp_path, {field.name: first}, environ)

    for loaded, source in (
        (over_both, "flag"),
        (over_file, "environment"),
        (over_environment, "flag"),
    ):
        assert getattr(loaded.settings, field.name) == expected(field, first)
        assert loaded.origins[field.name].source == source


@by_name(WITH_KEY)
def test_null_in_the_file_is_absent(field: DeclaredField, tmp_path: Path) -> None:
    loaded = read(tmp_path, file={field.keys[0]: None})

    assert loaded.origins[field.name].source == "default"


@pytest.mark.parametrize("variable", ["SERVER_PORT", "HEALTH_PORT", "TRANSPORT_PROTOCOL"])
def test_output_variables_are_not_read(variable: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, environ={variable: "not-a-value"})

    assert loaded.settings == read(tmp_path).settings


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", 7), (" 7 ", 7), ("1_000", 1000), ("5.0", 5), ("5.000", 5), ("+5", 5), ("\u0667", 7)],
)
def test_integers_are_read_generously(text: str, value: int, tmp_path: Path) -> None:
    loaded = read(tmp_path, environ={"SCORING_TIMEOUT_MS": text})

    assert loaded.settings.scoring_timeout_ms == value


@pytest.mark.parametrize(
    ("text", "value"),
    [(word, True) for word in ("true", "TRUE", "1", "yes", "On", "t", "Y")]
    + [(word, False) for word in ("false", "0", "No", "off", "F", "n")],
)
def test_switches_are_read_in_every_spelling(text: str, value: bool, tmp_path: Path) -> None:
    loaded = read(tmp_path, environ={"AML_MODEL_DC_STORAGE_ENABLED": text})

    assert loaded.settings.mdc_storage_enabled is value


@pytest.mark.parametrize(
    ("variable", "text", "value"),
    [
        ("WORKER_PRELOAD", "True", True),
        ("WORKER_PRELOAD", "1", False),
        ("WORKER_PRELOAD", "", False),
        ("SEPERATE_HEALTH_ENDPOINT", "true", True),
        ("SEPERATE_HEALTH_ENDPOINT", "yes", False),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "TRUE", True),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "1", False),
        ("SERVER_VERSION_LOG_RESPONSE_ENABLED", "", False),
    ],
)
def test_some_variables_are_on_only_if_true(
    variable: str, text: str, value: bool, tmp_path: Path
) -> None:
    loaded = read(tmp_path, environ={variable: text})

    [name] = [field.name for field in FIELDS if variable in field.variables]
    assert getattr(loaded.settings, name) is value


@pytest.mark.parametrize(
    ("environ", "version"),
    [
        ({}, "azmlinfsrv/2.0.0"),
        ({"HTTP_X_MS_SERVER_VERSION": "mine"}, "azmlinfsrv/2.0.0"),
        ({"SERVER_VERSION_LOG_RESPONSE_ENABLED": "no"}, ""),
        ({"SERVER_VERSION_LOG_RESPONSE_ENABLED": "no", "HTTP_X_MS_SERVER_VERSION": "me"}, "me"),
    ],
)
def test_server_version_follows_its_switch(
    environ: dict[str, str], version: str, tmp_path: Path
) -> None:
    assert read(tmp_path, environ=environ).settings.server_version == version


@pytest.mark.parametrize(
    ("flags", "environ", "file", "is_on", "first_word"),
    [
        ({}, {}, None, False, ""),
        ({"app_insights_key": KEY}, {}, None, True, "Valid"),
        ({"app_insights_key": KEY.upper()}, {"AML_APP_INSIGHTS_ENABLED": "false"}, None, True, "V"),
        ({"app_insights_key": "junk"}, {}, None, False, "Invalid"),
        ({"app_insights_key": ""}, {}, None, False, "Invalid"),
        ({"app_insights_key": f"InstrumentationKey={KEY}"}, {}, None, False, "Invalid"),
        ({}, {"AML_APP_INSIGHTS_KEY": KEY}, None, False, ""),
        ({}, {"AML_APP_INSIGHTS_KEY": KEY, "AML_APP_INSIGHTS_ENABLED": "true"}, None, True, "V"),
        ({}, {"AML_APP_INSIGHTS_KEY": KEY, "AML_APP_INSIGHTS_ENABLED": "True"}, None, False, ""),
        ({}, {"AML_APP_INSIGHTS_KEY": "x", "AML_APP_INSIGHTS_ENABLED": "true"}, None, False, "In"),
        ({}, {"AML_APP_INSIGHTS_ENABLED": "true"}, None, False, ""),
        ({}, {}, {"AML_APP_INSIGHTS_ENABLED": True}, False, ""),
        ({}, {}, {"AML_APP_INSIGHTS_ENABLED": True, "AML_APP_INSIGHTS_KEY": KEY}, True, "Valid"),
    ],
)
def test_telemetry_needs_a_well_formed_key(
    flags: dict[str, str],
    environ: dict[str, str],
    file: Any,
    is_on: bool,
    first_word: str,
    tmp_path: Path,
) -> None:
    loaded = read(tmp_path, flags, environ, file)

    assert loaded.settings.app_insights_enabled is is_on
    assert " ".join(loaded.lines).startswith(first_word)
    assert bool(loaded.lines) is bool(first_word)


def test_path_of_a_flag_is_real_and_of_a_variable_is_kept(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    by_flag = read(tmp_path, flags={"entry_script": "link/score.py", "model_dir": "link"})
    by_variable = read(tmp_path, environ={"AZUREML_ENTRY_SCRIPT": "link/score.py"})

    assert by_flag.settings.entry_script == str((tmp_path / "real" / "score.py").resolve())
    assert by_flag.settings.model_dir == "link"
    assert by_variable.settings.entry_script == "link/score.py"


@pytest.mark.parametrize("text", ["", "."])
def test_empty_application_root_is_the_current_directory(text: str, tmp_path: Path) -> None:
    loaded = read(tmp_path, environ={"AML_APP_ROOT": text, "AZUREML_ENTRY_SCRIPT": ""})

    assert loaded.settings.app_root == str(tmp_path)
    assert loaded.settings.entry_script is None


def test_unknown_log_level_is_one_warning(tmp_path: Path) -> None:
    loaded = read(tmp_path, environ={"AZUREML_LOG_LEVEL": "chatty"})

    assert loaded.settings.log_level == "INFO"
    [(level, text)] = loaded.notices
    assert level == logging.WARNING
    assert "AZUREML_LOG_LEVEL" in text


@pytest.mark.parametrize("text", ["debug", "Debug", "10"])
def test_log_level_is_read_in_any_case(text: str, tmp_path: Path) -> None:
    assert read(tmp_path, environ={"AZUREML_LOG_LEVEL": text}).settings.log_level == "DEBUG"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"AML_DBG_MODEL_INFO": ""}, "debuggability features have been removed"),
        ({"GUNICORN_CMD_ARGS": "--threads 4"}, "GUNICORN_CMD_ARGS is not read"),
    ],
)
def test_what_is_not_used_is_said_once(environ: dict[str, str], words: str, tmp_path: Path) -> None:
    [(level, text)] = read(tmp_path, environ=environ).notices

    assert level == logging.WARNING
    assert words in text


def _bad(variable: str, *texts: str) -> list[tuple[str, str]]:
    return [(variable, text) for text in texts]


BAD_WORDS = ("", " ", "abc", "5.5", "1e3", "0x10", "1,000", "None", "--5", "5 6", "nan", "1__0")
BAD_VARIABLES = [
    *_bad("WORKER_COUNT", *BAD_WORDS, "0", "-1", "1025", "99999999999999999999"),
    *_bad("SCORING_TIMEOUT_MS", *BAD_WORDS, "-1", "2147483648", "9" * 5000),
    *_bad("AZUREML_DEBUG_PORT", "", "x", "-1", "65536"),
    *_bad("AZMLINFSRV_PORT", "", "http", "0", "65536", "-5001"),
    *_bad("AZMLINFSRV_HEALTH_PORT", "", "0", "70000"),
    *_bad("WORKER_TIMEOUT", "", "abc", "-1", "nan", "inf", "-inf", "1e400", "3000000"),
    *_bad("AZMLINFSRV_DRAIN_TIMEOUT_S", "", "soon", "-0.1"),
    *_bad("AZMLINFSRV_INTERRUPT_GRACE_S", "", "-1", "nan"),
    *_bad("AZMLINFSRV_MAX_BODY_BYTES", "", "0", "-1", "100MB", "1.5"),
    *_bad("AZMLINFSRV_QUEUE_SIZE", "", "0", "many", "1000001"),
    *_bad("AZMLINFSRV_NAN", "", "keep it", "true"),
    *_bad("AZMLINFSRV_LOG_FORMAT", "", "xml"),
    *_bad("AZMLINFSRV_SERVER", "", "uvicorn"),
    *_bad("AZMLINFSRV_HOST", ""),
    *_bad("AZMLINFSRV_IN_PROCESS", "", "2", "si", "truee"),
    *_bad("AZMLINFSRV_ACCESS_LOG", "", "maybe"),
    *_bad("AML_MDC_STORAGE_ENABLED", "", "enabled", "-1"),
    *_bad("APP_INSIGHTS_LOG_RESPONSE_ENABLED", "", "none"),
]


@pytest.mark.parametrize(("variable", "text"), BAD_VARIABLES)
def test_bad_variable_is_an_error_naming_it_and_what_is_accepted(
    variable: str, text: str, tmp_path: Path
) -> None:
    [field] = [field for field in FIELDS if variable in field.variables]

    with pytest.raises(SettingsError) as caught:
        read(tmp_path, environ={variable: text})

    [(name, message)] = caught.value.problems
    assert name == variable
    assert field.expects in message
    assert len(message) < 250


BAD_IN_FILE: list[tuple[str, Any]] = [
    ("SERVICE_NAME", 5),
    ("SERVICE_NAME", True),
    ("SERVICE_NAME", ["a"]),
    ("SERVICE_VERSION", 1.0),
    ("AZUREML_ENTRY_SCRIPT", {}),
    ("AML_APP_ROOT", 1),
    ("AML_CORS_ORIGINS", ["*"]),
    ("AML_APP_INSIGHTS_KEY", 123),
    ("AML_APP_INSIGHTS_ENABLED", "maybe"),
    ("SEPERATE_HEALTH_ENDPOINT", "maybe"),
    ("WORKER_PRELOAD", 2),
    ("WORKER_PRELOAD", 0.5),
    ("WORKER_COUNT", 0),
    ("WORKER_COUNT", 1.5),
    ("WORKER_COUNT", True),
    ("WORKER_COUNT", [1]),
    ("WORKER_COUNT", "two"),
    ("SERVER_PORT", 70000),
    ("SCORING_TIMEOUT_MS", -1),
    ("SCORING_TIMEOUT_MS", 1e300),
    ("WORKER_TIMEOUT", float("nan")),
    ("WORKER_TIMEOUT", float("inf")),
    ("AZMLINFSRV_NAN", 1),
    ("AZMLINFSRV_NAN", "maybe"),
]


@pytest.mark.parametrize(("key", "value"), BAD_IN_FILE)
def test_bad_value_in_the_file_names_key_and_file(key: str, value: Any, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, file={key: value})

    [(name, message)] = caught.value.problems
    assert name == key
    assert message.startswith("Input should be ")
    assert "settings.json" in message


BAD_FLAGS = [
    *(("port", text) for text in ("0", "65536", "-1", "5.0", "abc", "", "0x50")),
    *(("health_port", text) for text in ("0", "x")),
    *(("worker_count", text) for text in ("0", "-3", "1.0", "one")),
    ("server", "apache"),
    ("in_process", "maybe"),
]


@pytest.mark.parametrize(("name", "text"), BAD_FLAGS)
def test_bad_flag_is_named_as_a_flag(name: str, text: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, flags={name: text})

    assert [problem[0] for problem in caught.value.problems] == [f"--{name}"]


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    environ = {"WORKER_COUNT": "0", "WORKER_TIMEOUT": "x", "AZUREML_CONFIG_FILE": "missing.json"}

    with pytest.raises(SettingsError) as caught:
        read_settings({"port": "0"}, environ, tmp_path)

    names = {name for name, _ in caught.value.problems}
    assert names == {"--port", "WORKER_COUNT", "WORKER_TIMEOUT", "AZUREML_CONFIG_FILE"}


def test_separate_health_port_must_differ(tmp_path: Path) -> None:
    environ = {"SEPARATE_HEALTH_ENDPOINT": "true"}

    with pytest.raises(SettingsError, match="must differ"):
        read(tmp_path, {"port": "7000", "health_port": "7000"}, environ)


def test_secret_is_in_no_text(tmp_path: Path) -> None:
    loaded = read(tmp_path, flags={"app_insights_key": "very-hidden"})

    assert loaded.settings.app_insights_key == Secret("very-hidden")
    for text in (repr(loaded), str(loaded.settings), f"{loaded.settings.app_insights_key}"):
        assert "very-hidden" not in text


def test_bad_secret_is_not_shown(tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, file={"AML_APP_INSIGHTS_KEY": 4711})

    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("flags", "environ", "is_on"),
    [
        ({}, {}, False),
        ({"dev": "true"}, {}, True),
        ({"reload": "true"}, {}, True),
        ({"dev": "true", "reload": "false"}, {}, False),
        ({"dev": "true"}, {"AZMLINFSRV_RELOAD": "off"}, False),
        ({}, {"AZMLINFSRV_RELOAD": "on"}, True),
        ({"dev": "true", "in_process": "true"}, {}, False),
        ({"reload": "true", "in_process": "true"}, {}, False),
    ],
)
def test_reload_is_on_in_development_mode_unless_told_otherwise(
    tmp_path: Path, flags: dict[str, str], environ: dict[str, str], is_on: bool
) -> None:
    assert read_settings(flags, environ, tmp_path).settings.reload is is_on
