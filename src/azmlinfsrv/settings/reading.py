"""From flags, environment and configuration file to one frozen `Settings`.

The order is written once, in `_Reader.given`: flag, then environment, then file, then
default. Nothing here prints, logs or exits: what there is to say comes back in `Loaded`.
"""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
from msgspec import Struct

from azmlinfsrv.errors import SettingsError
from azmlinfsrv.settings.auth_keys import fault_of_keys
from azmlinfsrv.settings.config_file import (
    ConfigFile,
    UnusableFileError,
    found_config_file,
    named_config_file,
)
from azmlinfsrv.settings.conversion import read_switch
from azmlinfsrv.settings.declaration import DeclaredField, declared_fields
from azmlinfsrv.settings.secret import Secret
from azmlinfsrv.settings.values import ON_WINDOWS, Settings

Source = Literal["flag", "environment", "file", "default"]
FIELDS: Final = declared_fields(Settings)
CONFIG_KEYS: Final = frozenset(key for field in FIELDS for key in field.keys)

_BY_NAME: Final = {field.name: field for field in FIELDS}
_KEY_FORM: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SHOWN_CHARACTERS: Final = 80


class Origin(Struct, frozen=True):
    """Where a value came from.

    Attributes:
        source: Which of the four.
        name: The flag, variable or key as it was found; empty for a default.
    """

    source: Source = "default"
    name: str = ""


class Loaded(Struct, frozen=True):
    """The settings, and what is to be said about how they came about.

    Attributes:
        origins: By field name, every field.
        notices: ``(logging level, text)``, to be logged before the banner.
        lines: To be printed as they are, before the banner (R1.7).
        config_path: The configuration file that was read, empty if none.
    """

    settings: Settings
    origins: Mapping[str, Origin]
    notices: tuple[tuple[int, str], ...] = ()
    lines: tuple[str, ...] = ()
    config_path: str = ""


def environment() -> dict[str, str]:
    """The environment of this process: the one place that reads it."""
    return dict(os.environ)


def read_settings(flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path) -> Loaded:
    """The effective settings.

    Args:
        flags: By field name, as typed; a switch is ``"true"``.
        environ: Names are matched in any case (R2.3).
        cwd: Absolute; what relative paths and the default application root refer to.
    Raises:
        SettingsError: names every malformed setting, by the name it came under.
    """
    return _Reader(flags, environ, cwd).load()


class _Reader:
    """One reading; collects problems and notices on the way."""

    def __init__(self, flags: Mapping[str, str], environ: Mapping[str, str], cwd: Path) -> None:
        self._flags = flags
        self._environ = environ
        # The exact spelling wins over another one of the same name.
        self._spellings = {name.upper(): name for name in environ}
        self._spellings.update((name, name) for name in environ if name == name.upper())
        self._cwd = cwd
        self._file = ConfigFile()
        self._problems: list[tuple[str, str]] = []
        self._notices: list[tuple[int, str]] = []

    def load(self) -> Loaded:
        self._file = self._config_file()
        values: dict[str, Any] = {}
        origins: dict[str, Origin] = {}
        for field in FIELDS:
            values[field.name], origins[field.name] = self._value(field)
        self._resolve_paths(values, origins)
        self._resolve_server_version(values, origins)
        self._resolve_host(values, origins)
        self._resolve_reload(values, origins)
        lines = self._resolve_app_insights(values, origins)
        self._check_together(values, origins)
        if self._problems:
            error = SettingsError(self._problems)
            error.log_format = values["log_format"]
            raise error
        self._notice_leftovers()
        return Loaded(
            settings=Settings(**values),
            origins=origins,
            notices=tuple(self._notices),
            lines=lines,
            config_path=self._file.path,
        )

    def _given(self, field: DeclaredField) -> tuple[object, Origin] | None:
        """The raw value by precedence, None if nobody gave one."""
        if field.name in self._flags:
            return self._flags[field.name], Origin("flag", field.setting.flag or field.name)
        for variable in field.variables:
            if (spelling := self._spellings.get(variable)) is not None:
                return self._environ[spelling], Origin("environment", spelling)
        for key in field.keys:
            if key in self._file.content:
                return self._file.content[key], Origin("file", key)
        return None

    def _value(self, field: DeclaredField) -> tuple[Any, Origin]:
        given = self._given(field)
        if given is None:
            return field.default, Origin()
        raw, origin = given
        try:
            return convert_value(field, raw, origin.source), origin
        except ValueError:
            text = f"Input should be {field.expects}{_shown(field, raw)}"
            if origin.source == "file":
                text += f", in {self._file.path}"
            if field.setting.is_forgiving:
                notice = f"{origin.name}: {text}. {field.default} is used."
                self._notices.append((logging.WARNING, notice))
            else:
                self._problems.append((origin.name, text))
            return field.default, Origin()

    def _config_file(self) -> ConfigFile:
        """The file named explicitly, else a ``config.json`` that is ours (R2.4)."""
        given = self._given(_BY_NAME["config_file"])
        if given is not None and (path := str(given[0])):
            try:
                return named_config_file(self._cwd / path, CONFIG_KEYS)
            except UnusableFileError as error:
                # Under the variable's name for the flag too: the flag itself is well-formed,
                # so this is a configuration error, not one of usage.
                self._problems.append(("AZUREML_CONFIG_FILE", str(error)))
                return ConfigFile()
        root = self._cwd / str((self._given(_BY_NAME["app_root"]) or ("",))[0])
        folders = [root]
        script, origin = self._given(_BY_NAME["entry_script"]) or ("", Origin())
        if script:
            # A flag is relative to the current directory, a variable to the root (R1.2, R2.2).
            base = self._cwd if origin.source == "flag" else root
            folders.append(Path(os.path.realpath(base / str(script))).parent)
        config, passed_over = found_config_file(folders, CONFIG_KEYS)
        self._notices += ((logging.INFO, text) for text in passed_over)
        return config

    def _resolve_paths(self, values: dict[str, Any], origins: Mapping[str, Origin]) -> None:
        values["app_root"] = os.path.normpath(self._cwd / values["app_root"])
        for name in ("entry_script", "config_file"):
            # Empty is absent (R1.4); a flag becomes the real path (R1.2).
            if origins[name].source == "flag" and values[name]:
                values[name] = os.path.realpath(self._cwd / values[name])
            values[name] = values[name] or None
        for name in ("tls_cert", "tls_key", "tls_client_ca", "record_dir"):
            values[name] = os.path.normpath(self._cwd / values[name]) if values[name] else None

    def _resolve_server_version(self, values: dict[str, Any], origins: dict[str, Origin]) -> None:
        """The switch decides between our own version and the one given (R2.1)."""
        if values["server_version_enabled"]:
            values["server_version"] = _BY_NAME["server_version"].default
            origins["server_version"] = Origin()
        elif origins["server_version"].source == "default":
            values["server_version"] = ""

    def _resolve_host(self, values: dict[str, Any], origins: dict[str, Origin]) -> None:
        """Development mode shows source code: to this machine, unless told otherwise."""
        if values["dev"] and origins["host"].source == "default":
            values["host"] = "127.0.0.1"
            origins["host"] = origins["dev"]
        elif values["dev"] and not values["host"].startswith(("127.", "localhost", "::1")):
            text = (
                f"Development mode answers whoever can reach {values['host']} with source code of "
                "the script and texts of its exceptions."
            )
            self._notices.append((logging.WARNING, text))

    def _resolve_reload(self, values: dict[str, Any], origins: dict[str, Origin]) -> None:
        """On in development mode; never where the script shares the server's process."""
        is_asked = origins["reload"].source != "default"
        if values["dev"] and not is_asked:
            values["reload"] = True
            origins["reload"] = origins["dev"]
        if values["reload"] and values["in_process"]:
            values["reload"] = False
            text = (
                "With --in_process the script is not reloaded when it changes. Restart the server."
            )
            self._notices.append((logging.WARNING if is_asked else logging.INFO, text))

    def _resolve_app_insights(
        self, values: dict[str, Any], origins: dict[str, Origin]
    ) -> tuple[str, ...]:
        """Telemetry stays on only with a well-formed key (R1.7); the lines to print."""
        key: Secret | None = values["app_insights_key"]
        if origins["app_insights_key"].source == "flag":
            values["app_insights_enabled"] = True
            origins["app_insights_enabled"] = origins["app_insights_key"]
        if not values["app_insights_enabled"] or key is None:
            values["app_insights_enabled"] = False
            return ()
        if _KEY_FORM.fullmatch(key.reveal()):
            return ("Valid Application Insights instrumentation key provided.",)
        values["app_insights_enabled"] = False
        return (
            "Invalid Application Insights instrumentation key provided.",
            "Application Insights has been disabled.",
        )

    def _check_together(self, values: dict[str, Any], origins: Mapping[str, Origin]) -> None:
        if values["separate_health_endpoint"] and values["health_port"] == values["port"]:
            name = origins["health_port"].name or origins["port"].name
            self._problems.append(
                (name, f"The separate health port must differ from the port {values['port']}")
            )
        if values["server"] == "gunicorn" and ON_WINDOWS:
            name = origins["server"].name
            self._problems.append((name, "Gunicorn does not run on Windows, use waitress"))
        keys: Secret | None = values["auth_keys"]
        if keys is not None and (fault := fault_of_keys(keys)):
            self._problems.append((origins["auth_keys"].name, fault))

    def _notice_leftovers(self) -> None:
        """What was given and is not used: once, naming it (D19)."""
        if self._file.unknown_keys:
            # The wording is the reference server's: log queries match it (R2.6).
            text = (
                "Found extra keys in the config file that are not supported by the server.\n"
                f"Extra keys = {list(self._file.unknown_keys)}"
            )
            self._notices.append((logging.WARNING, text))
        if {"AML_DBG_MODEL_INFO", "AML_DBG_RESOURCE_INFO"} & self._environ.keys():
            text = (
                "The debuggability features have been removed. If you have a use case for them "
                "please reach out to us."
            )
            self._notices.append((logging.WARNING, text))
        if self._environ.get("GUNICORN_CMD_ARGS"):
            text = "GUNICORN_CMD_ARGS is not read. See azmlinfsrv --help for what can be set."
            self._notices.append((logging.WARNING, text))


def convert_value(field: DeclaredField, raw: object, source: Source) -> Any:
    """The value of a field from what a source gave.

    Args:
        raw: A text from a flag or a variable; what JSON allows from a file.
    Raises:
        ValueError: it does not fit the type, or is out of range.
    """
    try:
        plain = _plain(field, raw, source)
    except KeyError as error:  # not in a table of words
        raise ValueError(field.name) from error
    # msgspec's ValidationError is a ValueError.
    return plain if field.is_secret else msgspec.convert(plain, field.type)


def _plain(field: DeclaredField, raw: object, source: Source) -> object:
    if source == "file":
        return _from_json(field, raw)
    if source == "flag" and field.kind is int:
        return int(str(raw))  # a flag goes through int() alone (R1.2)
    if source == "flag" and field.kind is bool:
        return read_switch(str(raw))
    return field.read(str(raw))


def _from_json(field: DeclaredField, raw: object) -> object:
    """Texts stand for numbers and switches, numbers never for texts (R2.7)."""
    if isinstance(raw, str):
        # A variable has readers that never fail, as its history demands; a file has none.
        return read_switch(raw) if field.kind is bool else field.read(raw)
    if field.kind is bool and isinstance(raw, int):
        return read_switch(str(raw))
    if field.kind in (int, float) and isinstance(raw, int | float) and not isinstance(raw, bool):
        return field.read(repr(raw))
    raise ValueError(type(raw).__name__)


def _shown(field: DeclaredField, raw: object) -> str:
    """What was given instead, shortened; nothing for a secret."""
    if field.is_secret:
        return ""
    text = repr(raw)
    if len(text) > _SHOWN_CHARACTERS:
        text = f"{text[:_SHOWN_CHARACTERS]}..."
    return f"; found {text}"
