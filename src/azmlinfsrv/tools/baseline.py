"""The script a candidate is measured beside: as a file of its own, so that no repository is needed.

A figure measured last month on another machine says nothing about today's. So a baseline
holds the old *source*: both are run today, in turn, on this machine. Its figures are kept
only to be shown. A baseline may also be an old script as it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
from msgspec import Struct

FORMAT = 1
# A folder with more is not the folder of a script.
_MAX_SOURCE_BYTES = 4_000_000
_PASSED_OVER = {"__pycache__", "site-packages", "node_modules"}


class BaselineError(ValueError):
    """A baseline cannot be read or written; the text says why."""


class Baseline(Struct, frozen=True, kw_only=True):
    """A script as it was.

    Attributes:
        script: Its name, relative to its folder.
        digest: SHA-256 of all sources.
        sources: Text of the ``.py`` files of its folder by relative path, with ``/``.
        figures: What was measured when it was written.
        written: When, in UTC.
    """

    format: int
    script: str
    digest: str
    sources: dict[str, str]
    figures: dict[str, float]
    written: str


def write_baseline(path: Path, script: Path, figures: Mapping[str, float]) -> Baseline:
    """Write the script, with the modules beside it, to *path*.

    Raises:
        BaselineError: the folder holds too much, or the file cannot be written.
    """
    sources = _sources_of(script)
    made = Baseline(
        format=FORMAT,
        script=script.name,
        digest=_digest(sources),
        sources=sources,
        figures=dict(figures),
        written=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    )
    try:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(made), indent=1) + b"\n")
    except OSError as error:
        raise BaselineError(f"{path} cannot be written: {error.strerror}.") from error
    return made


def read_baseline(path: Path) -> Baseline:
    """What *path* holds: a file of `write_baseline`, or a script.

    Raises:
        BaselineError: it is neither.
    """
    if path.suffix == ".py":
        if not path.is_file():
            raise BaselineError(f"{path} does not exist.")
        sources = _sources_of(path)
        return Baseline(
            format=FORMAT,
            script=path.name,
            digest=_digest(sources),
            sources=sources,
            figures={},
            written="",
        )
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Baseline)
    except OSError as error:
        raise BaselineError(f"{path} cannot be read: {error.strerror}.") from error
    except msgspec.DecodeError as error:
        raise BaselineError(
            f"{path} is neither a script nor written by --write_baseline: {error}."
        ) from error
    if found.format != FORMAT or _digest(found.sources) != found.digest:
        raise BaselineError(f"{path} was changed by hand, or by another version. Write it anew.")
    return found


@contextmanager
def unpacked(baseline: Baseline, beside: Path) -> Iterator[Path]:
    """The baseline's script in a folder of its own.

    Args:
        beside: The candidate; files of its folder that are no sources, such as models, are
            there as well.
    """
    with TemporaryDirectory(prefix="azmlinfsrv-baseline-") as name:
        folder = Path(name)
        for relative, text in baseline.sources.items():
            target = (folder / relative).resolve()
            if folder.resolve() not in target.parents:
                raise BaselineError(f"The baseline names {relative}, which is outside its folder.")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8", newline="")
        _link_data(beside.parent, folder)
        yield folder / baseline.script


def _sources_of(script: Path) -> dict[str, str]:
    folder = script.parent
    found: dict[str, str] = {}
    total = 0
    for path in _walk(folder):
        if path.suffix != ".py":
            continue
        try:
            with path.open(encoding="utf-8", newline="") as file:
                text = file.read()
        except (OSError, UnicodeDecodeError):
            if path == script:
                raise BaselineError(f"{path} cannot be read as UTF-8.") from None
            continue
        total += len(text)
        if total > _MAX_SOURCE_BYTES:
            raise BaselineError(
                f"{folder} holds more than {_MAX_SOURCE_BYTES // 1_000_000} MB of Python. "
                "Give the script a folder of its own."
            )
        found[path.relative_to(folder).as_posix()] = text
    return found


def _walk(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name in _PASSED_OVER:
            continue
        if path.is_dir():
            # A virtual environment is not the script's.
            if not path.is_symlink() and not (path / "pyvenv.cfg").exists():
                yield from _walk(path)
        else:
            yield path


def _link_data(source: Path, target: Path) -> None:
    """What is no source, at its place: linked, or copied where there are no links."""
    for path in source.iterdir():
        if path.name.startswith(".") or path.name in _PASSED_OVER or path.suffix == ".py":
            continue
        there = target / path.name
        if there.is_dir() and path.is_dir():
            _link_data(path, there)
        elif not there.exists():
            try:
                os.symlink(path.resolve(), there, target_is_directory=path.is_dir())
            except OSError:
                if path.is_dir():
                    shutil.copytree(path, there)
                else:
                    shutil.copy(path, there)


def _digest(sources: Mapping[str, str]) -> str:
    made = hashlib.sha256()
    for name in sorted(sources):
        for part in (name, sources[name]):
            data = part.encode()
            made.update(b"%d:" % len(data) + data)
    return made.hexdigest()
