"""Which line of the user's code an exception came from.

Tells the user's files from everything else on the stack: libraries, the standard library
and this server. It reads no source, so that it is cheap enough to be called for every
failed request; what is shown around the line is the work of `azmlinfsrv.script.report`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from types import FrameType, TracebackType
from typing import NamedTuple

from msgspec import Struct

from azmlinfsrv.errors import ServerError

_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})
# This server and its compatibility package, and the standard library.
SERVER_FOLDER = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
_FOREIGN = tuple(
    os.path.normcase(folder) + os.sep
    for folder in (
        SERVER_FOLDER,
        os.path.join(os.path.dirname(SERVER_FOLDER), "azureml_inference_server_http"),
        os.path.dirname(os.path.abspath(os.__file__)),
    )
)
# Their own frames up to Python 3.11, inlined since: the function around them is named.
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>"})
# Code made at run time has ever new file names; beyond this many we start over.
_MAX_KNOWN_FILES = 4096


class Surroundings(Struct, frozen=True):
    """Where the user's code lives.

    Attributes:
        script: Path of the entry script, absolute or relative to `app_root`.
        app_root: The application root (R2.2), empty if there is none.
        source_dir: The source directory, absolute; empty if there is none.
        model_dir: What the script finds in ``AZUREML_MODEL_DIR``, empty if unset.
    """

    script: str
    app_root: str = ""
    source_dir: str = ""
    model_dir: str = ""

    @property
    def script_path(self) -> str:
        """The script as an absolute path; empty if there is none."""
        return os.path.abspath(os.path.join(self.app_root, self.script)) if self.script else ""

    @property
    def folders(self) -> tuple[str, ...]:
        """The folders that hold user code, absolute, the script's own first, none twice."""
        script = os.path.dirname(self.script_path)
        found = [os.path.abspath(it) for it in (script, self.source_dir, self.app_root) if it]
        return tuple(dict.fromkeys(found))


class Spot(NamedTuple):
    """One line of the user's code.

    Attributes:
        file: As Python knows it, for reading.
        name: Relative to the script's folder, with ``/``, for people.
        line: From 1; 0 if unknown.
        function: Empty for the top level of a module.
        frame: The frame that was there; None for a syntax error.
    """

    file: str
    name: str
    line: int
    function: str
    frame: FrameType | None

    def __str__(self) -> str:
        where = f"{self.name}:{self.line}" if self.line else self.name
        return f"{where} in {self.function}" if self.function else where


class _UserFiles:
    """Answers, and remembers, which file names are the user's."""

    def __init__(self, where: Surroundings) -> None:
        folders = where.folders
        self._base = folders[0] if folders else ""
        # A folder may be reached through a link: as it was named, and as it is.
        both = [*folders, *(os.path.realpath(it) for it in folders)]
        self._roots = tuple(dict.fromkeys(os.path.normcase(it).rstrip(os.sep) for it in both))
        self.known: dict[str, str] = {}

    def name_of(self, file: str) -> str:
        """The file relative to the script's folder; empty if it is not the user's."""
        name = self.known.get(file)
        if name is None:
            if len(self.known) >= _MAX_KNOWN_FILES:
                self.known.clear()
            name = self.known[file] = self._find_name(file)
        return name

    def _find_name(self, file: str) -> str:
        if not file or file.startswith("<"):
            return ""
        path = os.path.abspath(file)
        for candidate in dict.fromkeys((path, os.path.realpath(path))):
            if self._is_user_path(os.path.normcase(candidate)):
                try:
                    name = os.path.relpath(candidate, self._base)
                except ValueError:  # another drive
                    name = os.path.basename(candidate)
                return encodable(name.replace(os.sep, "/"))
        return ""

    def _is_user_path(self, path: str) -> bool:
        for root in self._roots:
            if not path.startswith(root + os.sep):
                continue
            if not _LIBRARY_FOLDERS.isdisjoint(path[len(root) :].split(os.sep)):
                continue
            # A root inside a foreign folder is the user's all the same.
            if any(path.startswith(it) and not root.startswith(it) for it in _FOREIGN):
                continue
            return True
        return False


@lru_cache(maxsize=16)
def _files(where: Surroundings) -> _UserFiles:
    return _UserFiles(where)


def encodable(text: str) -> str:
    """The text with what UTF-8 cannot carry, lone surrogates, written as escapes."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode()


def user_file_name(file: str, where: Surroundings) -> str:
    """The file relative to the script's folder; empty if it is not the user's code."""
    return _files(where).name_of(file)


def user_error(error: BaseException) -> BaseException:
    """The user's own exception, where one of the server's was raised from it."""
    seen: set[int] = set()
    while isinstance(error, ServerError) and error.__cause__ is not None and id(error) not in seen:
        seen.add(id(error))
        error = error.__cause__
    return error


def find_spot(error: BaseException, where: Surroundings) -> Spot | None:
    """The innermost line of the user's code, or None if the exception never passed there.

    A syntax error is where it was found, not where the file was imported. An exception
    group is where the first of its members is. An exception without a user's line is where
    the one that caused it is.
    """
    files = _files(where)
    seen: set[int] = set()
    following: BaseException | None = user_error(error)
    while following is not None and id(following) not in seen:
        seen.add(id(following))
        spot = _own_spot(following, files)
        if spot is not None:
            return spot
        following = _led_to(following)
    return None


def location_of(error: BaseException, where: Surroundings) -> str:
    """Where the user's code failed, as ``score.py:12 in run``; empty if it was not there.

    The line is the innermost of the user's: for an exception out of a library it is the
    line that called the library. Files are named relative to the script's folder
    (``lib/features.py:3 in scale``). At the top level of a file only the line is given.
    Never raises; costs microseconds, reads no file.
    """
    try:
        spot = find_spot(error, where)
        return "" if spot is None else str(spot)
    except Exception:  # noqa: BLE001  # an exception's own attributes may be anything
        return ""


def frames_of(error: BaseException) -> Iterator[FrameType]:
    """The frames the exception passed, outermost first."""
    step = error.__traceback__
    while step is not None:
        yield step.tb_frame
        step = step.tb_next


def _led_to(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__


def _own_spot(error: BaseException, files: _UserFiles) -> Spot | None:
    if isinstance(error, SyntaxError) and isinstance(error.filename, str):
        name = files.name_of(error.filename)
        if name:
            return Spot(error.filename, name, error.lineno or 0, "", None)
    # BaseExceptionGroup is new in Python 3.11; its members say more than it does.
    members = getattr(error, "exceptions", None)
    if isinstance(members, tuple):
        for member in members:
            spot = _own_spot(member, files) if isinstance(member, BaseException) else None
            if spot is not None:
                return spot
    return _innermost(error.__traceback__, files)


def _innermost(step: TracebackType | None, files: _UserFiles) -> Spot | None:
    known = files.known
    found: TracebackType | None = None
    while step is not None:
        file = step.tb_frame.f_code.co_filename
        name = known.get(file)
        if name is None:
            name = files.name_of(file)
        if name:
            found = step
        step = step.tb_next
    if found is None:
        return None
    frame = found.tb_frame
    file = frame.f_code.co_filename
    return Spot(file, files.name_of(file), found.tb_lineno or 0, function_of(frame), frame)


def function_of(frame: FrameType) -> str:
    """The name of the function the frame runs; empty for the top level of a module."""
    outer: FrameType | None = frame
    while outer is not None and outer.f_code.co_name in _COMPREHENSIONS:
        outer = outer.f_back
    name = (outer or frame).f_code.co_name
    return "" if name == "<module>" else name
