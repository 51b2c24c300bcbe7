"""One failure of the user's script, as the hints look at it.

Gives them facts instead of text: the frames, the user's line and its syntax tree, the
files around the script. Everything is worked out when it is first asked for. Values of
the user's variables may be looked at to tell what they are; they are never written out,
because they may come from a request.
"""

from __future__ import annotations

import ast
import difflib
import linecache
import os
import sys
from collections.abc import Iterable, Iterator
from functools import cached_property
from importlib import metadata
from types import FrameType
from typing import Any

from azmlinfsrv.script.location import Spot, Surroundings, frames_of, user_file_name

# Looking for a lost file must not walk a whole disk.
_MAX_DEPTH = 4
_MAX_FILES = 5000
_NOT_SOURCE = frozenset({"site-packages", "node_modules", "__pycache__", "venv", "env"})
# Of a deep recursion, the frames where it ended.
_MAX_FRAMES = 500


class Case:
    """A failure and what can be found out about it.

    Attributes:
        error: The user's exception.
        where: Where the user's code lives.
        spot: The user's line; None if no line of theirs was involved.
        text: The exception's own text.
    """

    def __init__(
        self, error: BaseException, where: Surroundings, spot: Spot | None, text: str
    ) -> None:
        self.error = error
        self.where = where
        self.spot = spot
        self.text = text

    def point_at(self, line: int) -> None:
        """Name a line of the entry script as the place, for a failure without frames."""
        if self.spot is None and line:
            path = self.where.script_path
            self.spot = Spot(path, user_file_name(path, self.where), line, "", None)

    @cached_property
    def frames(self) -> list[FrameType]:
        """What the exception passed, outermost first; the last 500."""
        return list(frames_of(self.error))[-_MAX_FRAMES:]

    @cached_property
    def innermost(self) -> tuple[str, str]:
        """Module and function where the exception was raised; empty if it has no frames."""
        if not self.frames:
            return "", ""
        frame = self.frames[-1]
        return str(frame.f_globals.get("__name__", "")), frame.f_code.co_name

    @cached_property
    def modules(self) -> set[str]:
        """The modules the exception passed."""
        return {str(frame.f_globals.get("__name__", "")) for frame in self.frames}

    def passed(self, package: str) -> bool:
        """Whether the exception passed a module of this package."""
        return any(it == package or it.startswith(package + ".") for it in self.modules)

    def frame_in(self, module: str, *functions: str) -> FrameType | None:
        """The innermost frame in one of these functions of a module."""
        for frame in reversed(self.frames):
            if frame.f_globals.get("__name__") == module and frame.f_code.co_name in functions:
                return frame
        return None

    @property
    def has_cause(self) -> bool:
        """Another error is behind it."""
        # A ScriptError is unwrapped before; one that is left is about the script itself.
        return self.error.__cause__ is not None

    @property
    def script(self) -> str:
        """The entry script's file name."""
        return os.path.basename(self.where.script_path) or "the script"

    @property
    def function(self) -> str:
        """The function the user's line is in; empty at the top level of a file."""
        return self.spot.function if self.spot else ""

    @cached_property
    def line(self) -> str:
        """The user's line, without blanks around it."""
        return linecache.getline(self.spot.file, self.spot.line).strip() if self.spot else ""

    @cached_property
    def locals(self) -> dict[str, Any]:
        """The variables of the user's frame."""
        return dict(self.spot.frame.f_locals) if self.spot and self.spot.frame else {}

    @cached_property
    def globals(self) -> dict[str, Any]:
        """The globals of the user's frame."""
        return self.spot.frame.f_globals if self.spot and self.spot.frame else {}

    @cached_property
    def tree(self) -> ast.Module:
        """The file of the user's line; empty if it cannot be parsed."""
        return parsed(self.spot.file if self.spot else self.where.script_path)

    @cached_property
    def script_tree(self) -> ast.Module:
        """The entry script; empty if it cannot be parsed."""
        return parsed(self.where.script_path)

    @cached_property
    def statement(self) -> ast.AST:
        """The innermost statement that holds the user's line."""
        line = self.spot.line if self.spot else 0
        best: ast.AST = ast.Module([], [])
        for node in ast.walk(self.tree):
            if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
                best = node if _is_narrower(node, best) else best
        return best

    @cached_property
    def body(self) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
        """The function around the user's line."""
        line = self.spot.line if self.spot else 0
        found = None
        for node in functions_in(self.tree):
            inside = node.lineno <= line <= (node.end_lineno or 0)
            if node.name == self.function and inside:
                found = node
        return found

    def value_of(self, node: ast.AST) -> Any:
        """What a plain name stands for in the user's frame; Ellipsis if unknown."""
        if not isinstance(node, ast.Name):
            return ...
        if node.id in self.locals:
            return self.locals[node.id]
        return self.globals.get(node.id, ...)

    @cached_property
    def input_name(self) -> str:
        """The parameter of ``run()`` that receives the input."""
        run = top_level_function(self.script_tree, "run")
        names = [it.arg for it in all_arguments(run)] if run else []
        return next((name for name in names if name != "request_headers"), "")

    @cached_property
    def source_files(self) -> list[str]:
        """Python files in the user's folders and below, absolute, nearest first."""
        found = [it for folder in self.where.folders for it in files_below(folder)]
        return list(dict.fromkeys(it for it in found if it.endswith(".py")))

    def show(self, path: str) -> str:
        """A path as the user would write it: relative to the script's folder."""
        folder = os.path.dirname(self.where.script_path)
        try:
            shown = os.path.relpath(path, folder or os.curdir)
        except ValueError:
            return path
        return path if shown.startswith(os.pardir + os.sep + os.pardir) else _slashes(shown)


def _slashes(path: str) -> str:
    return path.replace(os.sep, "/")


def _is_narrower(node: ast.stmt, other: ast.AST) -> bool:
    if not isinstance(other, ast.stmt):
        return True
    return (node.end_lineno or 0) - node.lineno <= (other.end_lineno or 0) - other.lineno


def parsed(path: str) -> ast.Module:
    """The file's syntax tree; an empty module if it cannot be read or parsed."""
    try:
        with open(path, "rb") as file:
            return ast.parse(file.read())
    except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
        return ast.Module([], [])


def functions_in(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function, methods and inner ones as well."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def top_level_function(
    tree: ast.Module, name: str
) -> ast.FunctionDef | ast.AsyncFunctionDef | None:
    """The last function of this name at the top level."""
    found = None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name:
            found = node
    return found


def top_level_names(tree: ast.Module) -> list[str]:
    """Functions, classes and variables a module defines, in order."""
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.append(node.name)
        else:
            names += [
                it.id
                for it in ast.walk(node)
                if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Store)
            ]
    return list(dict.fromkeys(names))


def all_arguments(node: ast.FunctionDef | ast.AsyncFunctionDef) -> list[ast.arg]:
    """The named parameters, in order."""
    return [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]


def assigned_in(node: ast.AST) -> set[str]:
    """The names a function assigns."""
    return {
        it.id for it in ast.walk(node) if isinstance(it, ast.Name) and isinstance(it.ctx, ast.Store)
    }


def declared_global(node: ast.AST) -> set[str]:
    """The names a function declares ``global``."""
    return {name for it in ast.walk(node) if isinstance(it, ast.Global) for name in it.names}


def files_below(folder: str) -> list[str]:
    """Files in a folder and up to four levels below it, absolute, nearest first."""
    found: list[str] = []
    level = [os.path.abspath(folder)]
    for _ in range(_MAX_DEPTH + 1):
        deeper: list[str] = []
        for current in level:
            try:
                entries = sorted(os.scandir(current), key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if entry.name not in _NOT_SOURCE and not entry.name.startswith("."):
                        deeper.append(entry.path)
                else:
                    found.append(entry.path)
                if len(found) >= _MAX_FILES:
                    return found
        level = deeper[:_MAX_FILES]
    return found


def closest(name: str, names: Iterable[str]) -> str:
    """The name that was probably meant; empty if none is near."""
    candidates = [it for it in names if it != name]
    same = [it for it in candidates if it.lower() == name.lower()]
    near = same or difflib.get_close_matches(name, candidates, n=1, cutoff=0.7)
    return near[0] if near else ""


def version_of(distribution: str) -> str:
    """The installed version of a distribution; empty if it is not installed."""
    try:
        return metadata.version(distribution)
    except Exception:  # noqa: BLE001  # damaged metadata raises what it likes
        return ""


def is_standard_module(name: str) -> bool:
    """Whether a top-level name belongs to the standard library."""
    return name in sys.stdlib_module_names


def some(names: Iterable[str], limit: int = 8) -> str:
    """A short list for a sentence: ``a, b, c and 12 more``."""
    shown = list(names)
    if len(shown) <= limit:
        return ", ".join(shown)
    return f"{', '.join(shown[:limit])} and {len(shown) - limit} more"
