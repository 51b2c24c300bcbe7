"""Finding the entry script and importing it (contract 3a).

What is raised while the user's code is imported is theirs; it becomes the cause of a
`ScriptError`. The report is made elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import os
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from msgspec import Struct

from azmlinfsrv.errors import ScriptError

# R3.1: distinguishable from `__main__`, so that ``if __name__ == "__main__"`` stays off.
MODULE_NAME = "entry_module"
_DEFAULT_MODULE = "main"


class EntryScript(Struct, frozen=True):
    """The user's code, loaded.

    Attributes:
        path: The file that was loaded.
        module: The entry module; `run` may live in another one (`found`).
        init: Called once, without arguments.
        run: Called for every request.
        found: What the log says of the place (R3.7).
    """

    path: str
    module: ModuleType
    init: Callable[[], Any]
    run: Callable[..., Any]
    found: str


def script_path(entry_script: str | None, app_root: str) -> str:
    """Absolute path of the entry script, or where ``main.py`` is expected (R3.1, R3.2)."""
    name = (entry_script or f"{_DEFAULT_MODULE}.py").replace("/", os.sep)
    return os.path.join(os.path.abspath(app_root), name)


def add_import_paths(path: str, app_root: str, source_dir: str) -> None:
    """Make the application root, the source directory and the script's folder importable.

    They go behind what is there already (R3.4), so that no file of the user's can stand
    in for a module the server or a library needs.
    """
    for folder in (app_root, source_dir, os.path.dirname(path)):
        absolute = os.path.abspath(folder) if folder else ""
        if absolute and absolute not in sys.path:
            sys.path.append(absolute)


def load_script(entry_script: str | None, app_root: str) -> EntryScript:
    """Import the entry script.

    Raises:
        ScriptError: it is missing, is not Python, raised (its exception is the
            ``__cause__``), or defines no ``init()`` or ``run()``.
    """
    path = script_path(entry_script, app_root)
    module = _import_main(path, app_root) if entry_script is None else _import_file(path)
    return _entry_of(module, path)


def _import_file(path: str) -> ModuleType:
    if not os.path.exists(path):
        raise ScriptError(
            "No such file or directory.\n"
            f"The entry script {path} does not exist. Choose a file with --entry_script."
        )
    if not path.endswith(tuple(importlib.machinery.all_suffixes())) or os.path.isdir(path):
        raise ScriptError(
            f"The entry script {path} is not a Python file. Choose a .py file with --entry_script."
        )
    spec = importlib.util.spec_from_file_location(MODULE_NAME, path)
    if spec is None or spec.loader is None:
        raise ScriptError(f"The entry script {path} cannot be loaded as a Python module.")
    module = importlib.util.module_from_spec(spec)
    # A real module: dataclasses, pickle and postponed annotations look it up by name.
    sys.modules[MODULE_NAME] = module
    _run_user_import(lambda: spec.loader.exec_module(module))  # type: ignore[union-attr]  # checked above
    return module


def _import_main(path: str, app_root: str) -> ModuleType:
    if importlib.util.find_spec(_DEFAULT_MODULE) is None:
        raise ScriptError(
            f"No score script found. Expected score script {_DEFAULT_MODULE}.py.\n"
            f"Expected script to be found in PYTHONPATH: {sys.path}\n"
            f"{_root_listing(app_root)}\n"
            "Choose a file with --entry_script."
        )
    _run_user_import(lambda: importlib.import_module(_DEFAULT_MODULE))
    return sys.modules[_DEFAULT_MODULE]


def _root_listing(app_root: str) -> str:
    try:
        return f"Current contents of AML_APP_ROOT: {sorted(os.listdir(app_root))}"
    except OSError:
        return f"The directory {app_root} not an accessible directory in the container."


def _run_user_import(action: Callable[[], object]) -> None:
    try:
        action()
    except BaseException as error:  # their code: anything can come out (R3.6)
        raise ScriptError(
            "Failed to import user script because it raised an unhandled exception"
        ) from error


def _entry_of(module: ModuleType, path: str) -> EntryScript:
    for name in ("init", "run"):
        if not hasattr(module, name):
            raise ScriptError(f"User script at {path} does not have a {name}() function defined.")
    run = module.run
    found = f"Found user script at {path}"
    # R3.7: a driver wraps the real script; its init() stays, the inner run() scores.
    inner = getattr(module, "driver_module", None)
    if isinstance(inner, ModuleType) and hasattr(inner, "run"):
        run = inner.run
        inner_file = getattr(inner, "__file__", None) or inner.__name__
        found = f"Found driver script at {path} and the score script at {inner_file}"
    return EntryScript(path=path, module=module, init=module.init, run=run, found=found)
