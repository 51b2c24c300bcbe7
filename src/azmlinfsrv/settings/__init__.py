"""Every choice made before the server starts, and where it came from.

May import errors only. The names below are the package's face; its modules are its own.
"""

from __future__ import annotations

from azmlinfsrv.settings.auth_keys import split_keys
from azmlinfsrv.settings.declaration import DeclaredField, Setting, declared_fields
from azmlinfsrv.settings.reading import (
    CONFIG_KEYS,
    FIELDS,
    Loaded,
    Origin,
    Source,
    environment,
    read_settings,
)
from azmlinfsrv.settings.report import configuration_error_text
from azmlinfsrv.settings.script_environment import (
    health_port,
    math_threads,
    removed_variables,
    script_environment,
    worker_environment,
)
from azmlinfsrv.settings.secret import MASK, Secret
from azmlinfsrv.settings.values import GROUPS, Settings

__all__ = [
    "CONFIG_KEYS",
    "FIELDS",
    "GROUPS",
    "MASK",
    "DeclaredField",
    "Loaded",
    "Origin",
    "Secret",
    "Setting",
    "Settings",
    "Source",
    "configuration_error_text",
    "declared_fields",
    "environment",
    "health_port",
    "math_threads",
    "read_settings",
    "removed_variables",
    "script_environment",
    "split_keys",
    "worker_environment",
]
