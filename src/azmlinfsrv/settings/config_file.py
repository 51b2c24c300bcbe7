"""The configuration file: which one it is, and what is in it (R2.4, R2.5, D19).

Knows keys only as names; what a value means is decided in `reading`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from msgspec import Struct


class ConfigFile(Struct, frozen=True):
    """What was read from one file; an empty path means there is none.

    Attributes:
        content: The known keys whose value is not null.
        unknown_keys: The others, sorted.
    """

    path: str = ""
    content: Mapping[str, Any] = {}
    unknown_keys: tuple[str, ...] = ()


class UnusableFileError(Exception):
    """The file named explicitly cannot be used; the message says why."""


def named_config_file(path: Path, known: Collection[str]) -> ConfigFile:
    """The file the user chose.

    Raises:
        UnusableFileError: it is missing, empty, unreadable, or not one JSON object.
    """
    if not path.is_file():
        kind = "is a folder" if path.is_dir() else "does not exist"
        raise UnusableFileError(f"Invalid config file!: {path} {kind}. Name an existing JSON file.")
    try:
        if path.stat().st_size == 0:
            raise UnusableFileError(
                f"Invalid config file!: {path} is empty. It must be a JSON object."
            )
        return _parsed(path, known)
    except (OSError, ValueError) as error:
        raise UnusableFileError(f"Invalid config file!: {path} {_reason(error)}") from error


def found_config_file(
    folders: Iterable[Path], known: Collection[str]
) -> tuple[ConfigFile, tuple[str, ...]]:
    """The first ``config.json`` in *folders* that is ours, and a sentence for each that is not.

    A model often keeps a file of this name beside the script (X10); one that holds none of
    our keys is passed over.
    """
    passed_over = []
    for path in dict.fromkeys(folder / "config.json" for folder in folders):
        try:
            if not path.is_file() or path.stat().st_size == 0:
                continue
            config = _parsed(path, known)
        except (OSError, ValueError) as error:
            passed_over.append(f"{path} is not read as configuration: it {_reason(error)}")
            continue
        if config.content:
            return config, tuple(passed_over)
        passed_over.append(
            f"{path} is not read as configuration: it holds no setting of this server. "
            "Choose a file with --config_file."
        )
    return ConfigFile(), tuple(passed_over)


def _parsed(path: Path, known: Collection[str]) -> ConfigFile:
    import json  # most starts have no file to read

    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError as error:
        raise ValueError(f"is not UTF-8 text (byte {error.start}).") from error
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise ValueError(f"is not JSON ({error.msg}, {place}).") from error
    except RecursionError as error:
        raise ValueError("is nested too deeply.") from error
    if not isinstance(content, dict):
        raise ValueError("is not a JSON object: it must be {...}.")
    # null is the same as absent (R2.5)
    ours = {key: value for key, value in content.items() if key in known and value is not None}
    return ConfigFile(
        path=str(path),
        content=ours,
        unknown_keys=tuple(sorted(key for key in content if key not in known)),
    )


def _reason(error: OSError | ValueError) -> str:
    return f"cannot be read: {error.strerror}." if isinstance(error, OSError) else str(error)
