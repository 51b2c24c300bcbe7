"""The files a script depends on: which they are, and which of them have changed.

Theory: what the operating system tells of changes is only a doorbell. Whether something has
changed is decided by comparing what is there now with what was there at the last look. So
nothing is lost when a message is, editors may save by renaming, a file that is written with
the same content has not changed, and several saves are one change.

What counts, since a script may write beside itself while it runs:

- Python files in the script's folder and the source directory, and below them;
- modules the script imported from elsewhere, unless they are installed;
- beside the script, the files the server reads at the start, and models, by their suffix;
- everything in the model directory but logs, locks and temporary files.

Hidden files and folders, caches and virtual environments never count.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator

from msgspec import Struct

_NEVER_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages", "dist-packages"})
# A folder with one of these in it is an environment (PEP 405, conda).
_ENVIRONMENT_MARKS = frozenset({"pyvenv.cfg", "conda-meta"})
_TEMPORARY = (".log", ".lock", ".tmp", ".temp", ".part", ".pyc", ".swp", ".bak", ".pid")
_READ_AT_START = frozenset({"logging.json", "swagger2.json", "swagger3.json", "swagger3.1.json"})
_CODE = (".py", ".so", ".pyd")
_MODELS = (
    ".pkl", ".pickle", ".joblib", ".onnx", ".pt", ".pth", ".ckpt", ".safetensors", ".h5", ".hdf5",
    ".keras", ".tflite", ".cbm", ".ubj", ".gguf",
)  # fmt: skip
# A notification costs the kernel memory for each folder; more than this is no project.
MAX_FOLDERS = 2000
# Up to this size the content is compared, beyond it size and time.
_COMPARED_BYTES = 1024 * 1024

Stamp = tuple[int, int, int]


class _Seen(Struct, frozen=True):
    """A file at the last look: size, time and number on its disk; and its content's digest."""

    stamp: Stamp
    digest: bytes


class WatchedFiles:
    """What is watched, as it was at the last look.

    Args:
        script: Path of the entry script.
        source_dir: The source directory; may be empty.
        model_dir: The model directory; may be empty.
    Attributes:
        folders: Those that hold watched files, or could, at the last look.
        has_more_folders: There were more of them than are watched.
    """

    def __init__(self, script: str, source_dir: str = "", model_dir: str = "") -> None:
        self._base = os.path.dirname(os.path.realpath(script))
        code = [self._base, *([os.path.realpath(source_dir)] if source_dir else [])]
        self._code = tuple(dict.fromkeys(code))
        self._model = os.path.realpath(model_dir) if model_dir else ""
        # If the script is in the model directory, what is beside it may be written by it.
        self._has_script_in_model = bool(self._model) and _is_within(self._base, self._model)
        self._imported: frozenset[str] = frozenset()
        self._seen: dict[str, _Seen] = {}
        self.folders: frozenset[str] = frozenset()
        self.has_more_folders = False

    def add_imported(self, files: Iterable[str]) -> None:
        """Watch these as well; as they are now they have not changed."""
        new = frozenset(files) - self._imported
        self._imported |= new
        for path in new:
            if path not in self._seen and (seen := _look_at(path, None)) is not None:
                self._seen[path] = seen
        self.folders |= {folder for path in new if os.path.isdir(folder := os.path.dirname(path))}

    def counts(self, path: str) -> bool:
        """Whether a file of this path is watched, or a folder of it might hold some."""
        if path in self._imported or path in self.folders:
            return True
        if self._is_of_model(path) and (rest := _below(path, self._model)) is not None:
            return _is_visible(rest) and not path.lower().endswith(_TEMPORARY)
        for root in self._code:
            if (rest := _below(path, root)) is not None and _is_visible(rest):
                return _is_beside_script(rest[-1]) or os.path.isdir(path)
        return False

    def _is_of_model(self, path: str) -> bool:
        if not self._model:
            return False
        return not (self._has_script_in_model and _is_within(path, self._base))

    def look(self) -> list[str]:
        """Compare with the last look; the paths that changed, came or went, sorted."""
        found: dict[str, _Seen] = {}
        folders: set[str] = set()
        for folder, names in self._walk():
            folders.add(folder)
            for name in names:
                path = os.path.join(folder, name)
                if self.counts(path) and (seen := _look_at(path, self._seen.get(path))):
                    found[path] = seen
        for path in self._imported - found.keys():
            folders.add(os.path.dirname(path))
            if seen := _look_at(path, self._seen.get(path)):
                found[path] = seen
        before, self._seen = self._seen, found
        self.folders = frozenset(folder for folder in folders if os.path.isdir(folder))
        paths = before.keys() | found.keys()
        return sorted(path for path in paths if not _is_same(before.get(path), found.get(path)))

    def name_of(self, path: str) -> str:
        """The path relative to the script's folder, if it is below it; for people."""
        rest = _below(path, self._base)
        return "/".join(rest) if rest else path

    def _walk(self) -> Iterator[tuple[str, list[str]]]:
        """Folders and the names of their files; every folder once, within the bound."""
        done: set[str] = set()
        self.has_more_folders = False
        for root in (*self._code, self._model):
            for folder, below, names in os.walk(root) if root else ():
                if folder in done:
                    below.clear()  # with all that is below it
                    continue
                if len(done) >= MAX_FOLDERS:
                    self.has_more_folders = True
                    return
                is_environment = not _ENVIRONMENT_MARKS.isdisjoint((*names, *below))
                if is_environment and folder not in (*self._code, self._model):
                    below.clear()
                    continue
                done.add(folder)
                below[:] = sorted(name for name in below if _is_visible((name,)))
                yield folder, names


def _is_same(before: _Seen | None, now: _Seen | None) -> bool:
    if before is None or now is None:
        return before is now
    return before.digest == now.digest if before.digest or now.digest else before == now


def _look_at(path: str, before: _Seen | None) -> _Seen | None:
    """The file as it is; None if it is not there. Read only if it is not as *before*."""
    try:
        status = os.stat(path)
        stamp = (status.st_size, status.st_mtime_ns, status.st_ino)
        if before is not None and before.stamp == stamp:
            return before
        if status.st_size > _COMPARED_BYTES:
            return _Seen(stamp, b"")
        with open(path, "rb") as file:
            return _Seen(stamp, hashlib.blake2b(file.read(), digest_size=16).digest())
    except OSError:
        return None


def _below(path: str, root: str) -> tuple[str, ...] | None:
    """The parts of a path below a folder; None if it is not there."""
    if not path.startswith(root.rstrip(os.sep) + os.sep):
        return None
    return tuple(path[len(root.rstrip(os.sep)) + 1 :].split(os.sep))


def _is_within(path: str, root: str) -> bool:
    return path == root or _below(path, root) is not None


def _is_visible(parts: tuple[str, ...]) -> bool:
    return not any(
        part.startswith((".", "#")) or part.endswith(("~", ".egg-info")) or part in _NEVER_FOLDERS
        for part in parts
    )


def _is_beside_script(name: str) -> bool:
    lower = name.lower()
    return lower.endswith((*_CODE, *_MODELS)) or name in _READ_AT_START
