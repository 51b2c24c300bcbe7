"""The shape of the house: imports point one way, and importing has no effect."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import Serve

SOURCE = Path(__file__).parents[1] / "src" / "azmlinfsrv"

# Nothing imports to its right.
LAYERS = [
    {"errors", "messages", "settings"},
    {"telemetry"},
    {"script"},
    {"worker"},
    {"pool"},
    {"app"},
    {"adapters"},
    {"servers"},
    {"tools"},
    {"cli"},
    {"__main__", "asgi", "wsgi"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}

# What only scripts need; a front end or a worker of an empty script must not pay for it.
HEAVY = {"numpy", "pandas", "flask", "werkzeug", "inference_schema", "rich", "pydantic"}


def layer_of(path: Path) -> str:
    part = path.relative_to(SOURCE).parts[0]
    return part.removesuffix(".py")


def imports_of(path: Path) -> Iterator[tuple[int, str]]:
    """Line and layer of every import of our own, wherever in the file it stands."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == "azmlinfsrv":
            names = [f"azmlinfsrv.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
        for name in names:
            parts = name.split(".")
            if parts[0] == "azmlinfsrv" and len(parts) > 1 and parts[1] in LEVEL:
                yield node.lineno, parts[1]  # type: ignore[attr-defined]


def modules() -> list[Path]:
    return sorted(path for path in SOURCE.rglob("*.py") if layer_of(path) != "__init__")


def test_every_folder_has_a_place_in_the_order() -> None:
    assert {layer_of(path) for path in modules()} <= set(LEVEL)


def test_imports_point_one_way() -> None:
    wrong = [
        f"{path.relative_to(SOURCE)}:{line} imports {imported}"
        for path in modules()
        for line, imported in imports_of(path)
        if LEVEL[imported] > LEVEL[layer_of(path)]
    ]

    assert not wrong


@pytest.mark.parametrize("module", ["azmlinfsrv.servers.gunicorn", "azmlinfsrv.worker.main"])
def test_a_process_does_not_import_what_only_scripts_need(module: str) -> None:
    program = f"import sys, {module}; print(*sys.modules, sep='\\n')"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert not HEAVY & set(done.stdout.split())


# What a process could tell of an import that did something.
_STATE = """
import builtins, importlib, logging, os, pkgutil, signal, sys
def state():
    return (dict(os.environ), list(sys.path), sys.argv[:], os.getcwd(), builtins.print,
            list(logging.getLogger().handlers), logging.getLogger("azmlinfsrv").handlers[:],
            signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGVTALRM),
            sys.stdout, sys.stderr)
before = state()
import azmlinfsrv
for found in pkgutil.walk_packages(azmlinfsrv.__path__, "azmlinfsrv."):
    importlib.import_module(found.name)
    assert state() == before, found.name
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Gunicorn is not there")
def test_importing_any_module_changes_nothing() -> None:
    done = subprocess.run([sys.executable, "-c", _STATE], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    assert done.stdout == ""


def test_the_environment_is_read_and_written_in_two_places_only() -> None:
    allowed = {"settings", "worker"}
    users = {
        path.relative_to(SOURCE).as_posix()
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv", "putenv")
        if isinstance(node.value, ast.Name) and node.value.id == "os"
    }

    assert {user for user in users if user.split("/")[0] not in allowed} == set()


@pytest.mark.parametrize("function", ["init", "run"])
def test_user_code_is_called_in_one_place(function: str) -> None:
    calls = [
        f"{path.relative_to(SOURCE).as_posix()}:{node.lineno}"
        for path in modules()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == function
        and ast.unparse(node.func.value).rpartition(".")[2] in ("script", "_script")
    ]

    assert len(calls) == 1
    assert calls[0].startswith("script/scorer.py:")


def test_exception_text_goes_to_the_log_and_not_to_the_client(serve: Serve) -> None:
    server = serve(
        "def init(): pass\ndef run(data):\n    raise ValueError('patient 4711')\n",
    )

    answer = server.score(b"secret 0815")

    assert answer.status == 500
    assert b"4711" not in answer.body
    assert b"score.py:3 in run" in answer.body
    assert "patient 4711" in server.wait_for_log("patient 4711")
    assert "0815" not in server.log()
