"""Running a script in a process that belongs to somebody else: a test run, a notebook.

`Borrowed` sets what a scoring process sets for its script, notices what the script itself
changes while its code runs, and puts all of it back: the environment, the places of imports
and the modules that came from there, loggers, ``print``, the standard streams, the working
folder. What others change meanwhile (a test runner does) is left as they want it.
"""

from __future__ import annotations

import builtins
import importlib
import logging
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from azmlinfsrv.script.compat import provide_azureml_names
from azmlinfsrv.script.loader import MODULE_NAME, add_import_paths
from azmlinfsrv.script.location import Surroundings

_OURS = frozenset(("azmlinfsrv", "azureml_inference_server_http"))
# Folders of installed packages: they stay, compiled ones cannot be imported twice.
_INSTALLED = (f"{os.sep}site-packages{os.sep}", f"{os.sep}dist-packages{os.sep}")
# Names that a script may replace, and those that need a change of them undone.
_NAMES: tuple[tuple[Any, str], ...] = (
    (builtins, "print"),
    (logging, "basicConfig"),
    (sys, "stdout"),
    (sys, "stderr"),
    (sys, "argv"),
)

_Logger = tuple[list[logging.Handler], int, bool, bool]


class Borrowed:
    """The process, for as long as one script lives in it.

    Args:
        where: The script and the folders it imports from.
        environment: Variables to set for it.
        hidden: Variables it must not see: secrets of the server's own.
    """

    def __init__(
        self, where: Surroundings, environment: Mapping[str, str], hidden: Sequence[str] = ()
    ) -> None:
        self._where = where
        self._environment = environment
        self._hidden = hidden
        # What was there before the script, and what it made of it, by name.
        self._variables: dict[str, tuple[str | None, str | None]] = {}
        self._replaced: dict[tuple[int, str], tuple[Any, str, Any, Any]] = {}
        self._loggers: dict[str, tuple[_Logger, _Logger]] = {}
        self._folder: tuple[str, str] | None = None
        self._path = list(sys.path)
        self._path_object = sys.path
        self._path_added: set[str] = set()
        self._finders = list(sys.meta_path)
        self._modules = dict(sys.modules)

    def take(self) -> None:
        """Set what the script finds, as in a scoring process."""
        with self.noticing():
            os.environ.update(self._environment)
            for name in self._hidden:
                os.environ.pop(name, None)
            sys.argv = ["azmlinfsrv"]
            provide_azureml_names(self._where.model_dir or None)
            add_import_paths(self._where.script, self._where.app_root, self._where.source_dir)
            importlib.invalidate_caches()  # a test may have written the script just now

    @contextmanager
    def noticing(self) -> Iterator[None]:
        """What changes in the ``with`` block, the script has changed."""
        variables, loggers, folder = dict(os.environ), _loggers(), os.getcwd()
        path = set(sys.path)
        names = [getattr(owner, name) for owner, name in _NAMES]
        try:
            yield
        finally:
            self._notice_variables(variables)
            self._notice_loggers(loggers)
            for (owner, name), before in zip(_NAMES, names, strict=True):
                after = getattr(owner, name)
                if after is not before:
                    first = self._replaced.get((id(owner), name), (owner, name, before, None))[2]
                    self._replaced[id(owner), name] = (owner, name, first, after)
            if (now := os.getcwd()) != folder:
                self._folder = (self._folder[0] if self._folder else folder, now)
            self._path_added |= set(sys.path) - path

    def give_back(self) -> None:
        """Undo all that was noticed, unless somebody else has changed it since."""
        for variable, (before, after) in self._variables.items():
            if os.environ.get(variable) == after:
                if before is None:
                    os.environ.pop(variable, None)
                else:
                    os.environ[variable] = before
        for owner, name, original, after in self._replaced.values():
            if getattr(owner, name) is after:
                setattr(owner, name, original)
        for name, (was, became) in self._loggers.items():
            _restore(logging.getLogger(name) if name else logging.getLogger(), was, became)
        if self._folder is not None and os.getcwd() == self._folder[1]:
            os.chdir(self._folder[0])
        self._give_back_imports()

    # --- noticing -----------------------------------------------------------------------

    def _notice_variables(self, before: dict[str, str]) -> None:
        now = dict(os.environ)
        for variable in before.keys() | now.keys():
            was, became = before.get(variable), now.get(variable)
            if was != became:
                first = self._variables.get(variable, (was, None))[0]
                self._variables[variable] = (first, became)

    def _notice_loggers(self, before: dict[str, _Logger]) -> None:
        new: _Logger = ([], logging.NOTSET, True, False)
        for name, became in _loggers().items():
            was = before.get(name, new)
            if was != became:
                first = self._loggers.get(name, (was, became))[0]
                self._loggers[name] = (first, became)

    # --- imports ------------------------------------------------------------------------

    def _give_back_imports(self) -> None:
        others = [
            each for each in sys.path if each not in self._path and each not in self._path_added
        ]
        self._path_object[:] = [*others, *self._path]
        sys.path = self._path_object
        added = [finder for finder in sys.meta_path if finder not in self._finders]
        provided = [finder for finder in added if type(finder).__module__.split(".")[0] in _OURS]
        sys.meta_path[:] = [finder for finder in sys.meta_path if finder not in provided]
        for name, module in list(sys.modules.items()):
            if name not in self._modules and (
                name == MODULE_NAME
                or self._is_users(name, module)
                or getattr(getattr(module, "__spec__", None), "loader", None) in provided
            ):
                del sys.modules[name]
        if MODULE_NAME in self._modules:
            sys.modules[MODULE_NAME] = self._modules[MODULE_NAME]
        importlib.invalidate_caches()

    def _is_users(self, name: str, module: ModuleType) -> bool:
        """Whether it came from where the script imports its own files."""
        top = name.partition(".")[0]
        if top in _OURS or top in sys.stdlib_module_names:
            return False
        where = self._where
        roots = (os.path.dirname(where.script), where.app_root, where.source_dir)
        folders = [os.path.join(os.path.abspath(root), "") for root in roots if root]
        file = getattr(module, "__file__", None)
        try:
            places = [file] if file else list(getattr(module, "__path__", ()))
        except Exception:  # noqa: BLE001  # a lazy module of somebody's: it may do anything
            return False
        return any(
            isinstance(place, str)
            and not any(part in place for part in _INSTALLED)
            and any(os.path.abspath(place).startswith(folder) for folder in folders)
            for place in places
        )


def _loggers() -> dict[str, _Logger]:
    named = {
        name: logger
        for name, logger in logging.root.manager.loggerDict.items()
        if isinstance(logger, logging.Logger)
    }
    return {
        name: (list(logger.handlers), logger.level, logger.propagate, logger.disabled)
        for name, logger in {"": logging.getLogger(), **named}.items()
    }


def _restore(logger: logging.Logger, was: _Logger, became: _Logger) -> None:
    handlers, level, propagate, disabled = was
    for handler in became[0]:
        if handler not in handlers:
            logger.removeHandler(handler)
            handler.close()
    for handler in handlers:
        if handler not in became[0]:
            logger.addHandler(handler)
    if logger.level == became[1]:
        logger.setLevel(level)
    if logger.propagate == became[2]:
        logger.propagate = propagate
    if logger.disabled == became[3]:
        logger.disabled = disabled
