"""A virtual environment for each server, under ``.bench/NAME``, made once and kept.

A stamp inside records what was asked for. Our own checkout counts by its content, so that a change
in ``src`` is installed again and nothing else is.
"""

from __future__ import annotations

import hashlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.jobs import PACKAGES
from benchmarks.peers import CHECKOUT, Peer

HOME = CHECKOUT / ".bench"


class InstallError(Exception):
    """pip could not install a server here; the message is its last line."""


@dataclass(frozen=True, slots=True)
class Environment:
    """Where a server was installed, and its version."""

    bin: Path
    version: str

    @property
    def python(self) -> Path:
        return self.bin / "python"


def install(peer: Peer, home: Path = HOME) -> Environment:
    """Make or reuse the environment of *peer*.

    Raises:
        InstallError: the environment could not be made, or pip refused.
    """
    folder = home / peer.name
    stamp = folder / "bench-stamp.json"
    bin_folder = folder / ("Scripts" if sys.platform == "win32" else "bin")
    wanted = json.dumps([platform.python_version(), *map(_identity, peer.packages), *PACKAGES])
    if not stamp.is_file() or stamp.read_text(encoding="utf-8") != wanted:
        stamp.unlink(missing_ok=True)
        if not (bin_folder / "python").exists() or not _is_same_python(bin_folder):
            shutil.rmtree(folder, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(folder)])
        pip = [str(bin_folder / "python"), "-m", "pip", "--disable-pip-version-check"]
        _run([*pip, "install", "--quiet", *peer.packages, *PACKAGES])
        stamp.write_text(wanted, encoding="utf-8")
    return Environment(bin_folder, _version(bin_folder, peer))


def describe_checkout() -> str:
    """The commit our server was installed from, with ``+`` if files differ from it."""
    try:
        commit = _git("rev-parse", "--short", "HEAD")
        changed = _git("status", "--porcelain", "src", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return ""
    return commit + ("+" if changed else "")


def _identity(package: str) -> str:
    folder = Path(package)
    if not folder.is_absolute():
        return package
    digest = hashlib.sha256()
    for path in sorted([folder / "pyproject.toml", *(folder / "src").rglob("*.py")]):
        digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
    return f"{package} {digest.hexdigest()}"


def _is_same_python(bin_folder: Path) -> bool:
    code = "import platform; print(platform.python_version())"
    try:
        return _output([str(bin_folder / "python"), "-c", code]) == platform.python_version()
    except (OSError, subprocess.CalledProcessError):
        return False


def _version(bin_folder: Path, peer: Peer) -> str:
    code = f"import importlib.metadata as m; print(m.version({peer.distribution!r}))"
    try:
        version = _output([str(bin_folder / "python"), "-c", code])
    except (OSError, subprocess.CalledProcessError) as error:
        raise InstallError(f"{peer.distribution} is not in its environment") from error
    commit = describe_checkout() if str(CHECKOUT) in peer.packages else ""
    return f"{version} ({commit})" if commit else version


def _run(command: Sequence[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        raise InstallError(str(error)) from error
    if done.returncode != 0:
        lines = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")] or lines[-1:]
        raise InstallError(errors[-1] if errors else f"exit status {done.returncode}")


def _output(command: Sequence[str]) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def _git(*arguments: str) -> str:
    return _output(["git", "-C", str(CHECKOUT), *arguments])
