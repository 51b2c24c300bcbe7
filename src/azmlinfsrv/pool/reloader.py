"""Has the script loaded anew when a file it depends on has changed (``--reload``).

Theory: a thread waits for the operating system to say that something has changed, lets
it settle, and looks what it is (`watched_files`). The event loop is then asked to swap. What
the script imported is known once it has been loaded, so the thread watches more folders
after that. Whatever happens between two times of waiting is found at the next look.

The library that waits, watchfiles, is an extra, imported in the thread: servers that do not
watch need not have it.
"""

from __future__ import annotations

import asyncio
import importlib.util
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from azmlinfsrv.pool.watched_files import MAX_FOLDERS, WatchedFiles
from azmlinfsrv.telemetry.formats import escape

MISSING = 'Install the extra: pip install "azureml-inference-server-http[dev]"'

# A change is looked at when nothing has followed it for this long, in milliseconds. Editors
# write a file in several steps; a formatter that runs on saving takes longer than this, and
# is a second change.
_QUIET_MS = 50
# But not later than this after the first one.
_LATEST_MS = 500
# How often it is asked whether the script has imported more, in milliseconds.
_TURN_MS = 500
# What changes while the script is being loaded has a newer version loaded at once so often
# in a row; then the load goes on to its end first, so often in a row. What changes all the
# same is written by the script itself.
_MOST_SUPERSEDED = 5
_MOST_LOADS = 3
_NAMED = 3

_log = logging.getLogger("azmlinfsrv")


class Fleet(Protocol):
    """What is told of changes."""

    loads: int
    imported_files: tuple[str, ...]

    def swap(self, why: str = "", *, supersedes: bool = False) -> asyncio.Task[None] | None:
        """Load the script anew."""


def is_available() -> bool:
    """Whether changes can be noticed here: the library is there, and works."""
    if importlib.util.find_spec("watchfiles") is None:
        return False
    try:
        importlib.import_module("watchfiles")
    except ImportError:  # one for another platform, or half removed
        return False
    return True


class Reloader:
    """Watches from `start` to `stop`, in a thread of its own.

    Args:
        files: What is different from now on has changed; make it before the script is loaded.
    """

    def __init__(self, files: WatchedFiles) -> None:
        self._files = files
        files.look()
        self._stopped = threading.Event()
        # Of what changed while the script was being loaded: how often that was superseded, and
        # the loads it changed in after that.
        self._superseded: dict[str, int] = {}
        self._changed_in: dict[str, set[int]] = {}
        self._swap: asyncio.Task[None] | None = None
        self._loaded_s = 0.0  # when the last load was over, in seconds since the epoch

    def start(self, fleet: Fleet) -> None:
        """Watch from now on; call in the event loop that *fleet* lives in."""
        self._fleet = fleet
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._watch, name="reloader", daemon=True).start()

    def stop(self) -> None:
        """Ask for no more."""
        self._stopped.set()

    # --- in the thread ------------------------------------------------------------------

    def _watch(self) -> None:
        if not is_available():
            self._in_loop(_log.warning, "The script is not reloaded when it changes. %s", MISSING)
            return
        imported: tuple[str, ...] = ()
        if self._files.has_more_folders:
            text = "Changes are looked for in %d folders, and in no more."
            self._in_loop(_log.warning, text, MAX_FOLDERS)
        while not self._stopped.is_set():
            folders = self._files.folders
            try:
                is_armed = False
                for changes in self._doorbells(sorted(folders)):
                    if changes or not is_armed:  # once for what came before it was armed
                        is_armed = True
                        self._look()
                    if self._fleet.imported_files != imported:
                        imported = self._fleet.imported_files
                        self._files.add_imported(imported)
                    if self._files.folders != folders:
                        break  # watch these as well
            except OSError as error:  # a folder has gone this moment, or there is no room
                if self._files.folders == folders and all(map(os.path.isdir, folders)):
                    text = "The script is not reloaded when it changes: it cannot be watched (%s)."
                    self._in_loop(_log.warning, text, error)
                    return
                self._look()

    def _doorbells(self, folders: Sequence[str]) -> Iterator[set[Any]]:
        """Something may have changed; or, if empty, some time has passed."""
        from watchfiles import watch

        bells: Iterator[set[Any]] = watch(
            *folders,
            watch_filter=lambda _change, path: self._files.counts(path),
            debounce=_LATEST_MS,
            step=_QUIET_MS,
            stop_event=self._stopped,
            rust_timeout=_TURN_MS,
            yield_on_timeout=True,
            raise_interrupt=False,
            recursive=False,
        )
        return bells

    def _look(self) -> None:
        changed = self._files.look()
        if changed:
            for path in changed:
                _forget_compiled(path)
            self._in_loop(self._changed, changed)

    def _in_loop(self, do: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(do, *arguments)
        except RuntimeError:
            self._stopped.set()  # the loop is closed: the server has stopped

    # --- in the event loop --------------------------------------------------------------

    def _changed(self, paths: Sequence[str]) -> None:
        if self._stopped.is_set():
            return
        why = self._told(paths)
        is_loading = self._swap is not None and not self._swap.done()
        if not is_loading and not self._were_written_while_loading(paths):
            self._superseded.clear()
            self._changed_in.clear()
            self._load(why)
        elif is_loading and self._may_supersede(paths):
            self._fleet.swap(why, supersedes=True)
        elif self._may_load_again(paths):
            self._load(why)  # or once more, when what is being loaded is
        else:
            _log.warning(
                "%s each time the script was loaded, so this time it is not loaded again. If the "
                "script writes that itself, have it written elsewhere.",
                why,
            )

    def _load(self, why: str) -> None:
        swap = self._fleet.swap(why)
        if swap is not None and swap is not self._swap:
            self._swap = swap
            swap.add_done_callback(self._loaded)

    def _loaded(self, _swap: asyncio.Task[None]) -> None:
        self._loaded_s = time.time()

    def _were_written_while_loading(self, paths: Sequence[str]) -> bool:
        """Whether all were, in the load that is over; it is noticed a moment later."""
        try:
            return all(os.stat(path).st_mtime <= self._loaded_s for path in paths)
        except OSError:
            return False  # deleted

    def _may_supersede(self, paths: Sequence[str]) -> bool:
        counts = [self._superseded.get(path, 0) for path in paths]
        self._superseded.update((path, n + 1) for path, n in zip(paths, counts, strict=True))
        return min(counts) < _MOST_SUPERSEDED

    def _may_load_again(self, paths: Sequence[str]) -> bool:
        loads = [self._changed_in.setdefault(path, set()) for path in paths]
        for each in loads:
            each.add(self._fleet.loads)
        return min(map(len, loads)) <= _MOST_LOADS

    def _told(self, paths: Sequence[str]) -> str:
        """``score.py, lib/scale.py and 2 more changed``."""
        names = [escape(self._files.name_of(path)) for path in paths[:_NAMED]]
        more = f" and {len(paths) - _NAMED} more" if len(paths) > _NAMED else ""
        return f"{', '.join(names)}{more} changed"


def _forget_compiled(path: str) -> None:
    """Remove what Python has compiled from a file.

    Python takes it for current if the source has the same size and was written in the same
    second (PEP 552): a digit changed twice in a second would not be noticed.
    """
    if path.endswith(".py"):
        try:
            os.unlink(importlib.util.cache_from_source(path))
        except (OSError, NotImplementedError):
            pass
