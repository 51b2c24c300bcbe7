"""The shape of the house: who imports whom, and what happens in one place only."""

from __future__ import annotations

import ast
import importlib.metadata
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from packaging.requirements import Requirement

SOURCE = Path(__file__).parents[2] / "src"
PACKAGE = SOURCE / "azmlinfsrv"
TEMPLATES = PACKAGE / "templates"
COMPAT = "azureml_inference_server_http"

# Left to right: nothing imports to its right.
ORDER = (
    ("errors", "messages", "settings", "samples", "comparison", "collector"),
    ("telemetry",),
    ("script",),
    ("worker",),
    ("pool",),
    ("app",),
    ("adapters",),
    ("servers",),
    ("tools",),
    ("testing",),
    ("cli",),
    ("__main__", "asgi", "wsgi"),
)
RANK = {name: rank for rank, names in enumerate(ORDER) for name in names}


def modules() -> dict[str, Path]:
    """Every module of both packages, by its dotted name."""
    found = {}
    for path in sorted(SOURCE.rglob("*.py")):
        if TEMPLATES in path.parents:
            continue  # data: scripts for others, which nothing of ours imports
        parts = path.relative_to(SOURCE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@cache
def nodes_of(path: Path) -> tuple[ast.AST, ...]:
    """Every node of a module, the outer ones first."""
    return tuple(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))


@cache
def imports_of(path: Path) -> tuple[tuple[int, str, bool], ...]:
    """Line, dotted name, and whether the import runs when the module is imported."""
    return tuple(_imports_of(path))


def _imports_of(path: Path) -> Iterator[tuple[int, str, bool]]:
    nodes = nodes_of(path)
    lazy = {
        id(inner)
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for inner in ast.walk(node)
    } | {
        id(inner)
        for node in nodes
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in nodes:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, id(node) not in lazy
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno} imports relatively"
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                yield (
                    node.lineno,
                    name if name in MODULES else str(node.module),
                    id(node) not in lazy,
                )


def part_of(module: str) -> str:
    return module.split(".")[1] if "." in module else ""


@pytest.mark.parametrize("module", [name for name in MODULES if name.startswith("azmlinfsrv.")])
def test_imports_point_one_way(module: str) -> None:
    own = RANK[part_of(module)]
    wrong = [
        f"{MODULES[module]}:{line} imports {name}"
        for line, name, _ in imports_of(MODULES[module])
        if name.startswith("azmlinfsrv.") and RANK[part_of(name)] > own
    ]

    assert wrong == []


def test_the_script_layer_touches_the_compatibility_package_only_when_asked() -> None:
    wrong = [
        f"{module}:{line} imports {name}"
        for module, path in MODULES.items()
        if module.startswith("azmlinfsrv")
        for line, name, is_eager in imports_of(path)
        if name.split(".")[0] == COMPAT and (is_eager or part_of(module) != "script")
    ]

    assert wrong == []


def test_every_folder_has_its_place_in_the_order() -> None:
    assert {
        part_of(module) for module in MODULES if module.startswith("azmlinfsrv.")
    } <= RANK.keys()


# --- one place ----------------------------------------------------------------------------


def places(pattern: type[ast.AST], text: str) -> set[str]:
    """``module.py:function`` of every node of that kind whose source matches *text*."""
    found = set()
    for path in MODULES.values():
        for node in nodes_of(path):
            if isinstance(node, pattern) and re.search(text, ast.unparse(node)):
                found.add(str(path.relative_to(SOURCE)))
    return found


def test_the_environment_is_read_in_settings_and_written_at_the_start_of_a_worker() -> None:
    assert places(ast.Attribute, r"^os\.environ$") == {
        "azmlinfsrv/settings/reading.py",
        "azmlinfsrv/worker/borrowed.py",  # the same for a test's process, and back again
        "azmlinfsrv/worker/main.py",
    }
    assert places(ast.Call, r"^os\.(getenv|putenv|unsetenv)\(") == set()


@pytest.mark.parametrize("name", ["init", "run"])
def test_the_scripts_functions_are_called_from_one_place(name: str) -> None:
    calls = [
        f"{path.relative_to(SOURCE)}:{node.lineno}"
        for path in MODULES.values()
        for node in nodes_of(path)
        if isinstance(node, ast.Call)
        and re.search(rf"(_script|script|module|entry)\.{name}$", ast.unparse(node.func))
    ]

    assert len(calls) == 1, calls
    assert calls[0].startswith("azmlinfsrv/script/scorer.py:")


def test_the_process_is_left_in_few_places() -> None:
    allowed = {
        "azmlinfsrv/__main__.py",  # the command line
        "azmlinfsrv/servers/gunicorn.py",  # Gunicorn's worker tells its arbiter by its status
        "azmlinfsrv/worker/loopback.py",  # a thread notices that the front end has died
        "azureml_inference_server_http/__main__.py",
        "azureml_inference_server_http/amlserver.py",
    }

    assert places(ast.Call, r"^(sys\.exit|os\._exit|exit|quit)\(") <= allowed
    assert places(ast.Raise, r"raise SystemExit") <= allowed


def test_errors_become_responses_in_one_place() -> None:
    assert places(ast.FunctionDef, r"^def response_for\(") == {"azmlinfsrv/app/failures.py"}


# --- importing has no effect --------------------------------------------------------------

SNAPSHOT = """
import importlib, json, logging, os, signal, sys, threading
import concurrent.futures, asyncio  # what these register is theirs

def state():
    return {
        "environ": dict(os.environ),
        "path": list(sys.path),
        "cwd": os.getcwd(),
        "threads": threading.active_count(),
        "hooks": [repr(sys.excepthook), repr(sys.displayhook), len(sys.meta_path)],
        "print": repr(print),
        "handlers": {
            name: [repr(handler) for handler in getattr(logger, "handlers", [])]
            for name, logger in [("root", logging.root), *logging.root.manager.loggerDict.items()]
            if getattr(logger, "handlers", [])
        },
        "level": logging.getLogger().level,
        "signals": [repr(signal.getsignal(n)) for n in sorted(signal.valid_signals())],
        "descriptors": sorted(os.listdir("/proc/self/fd")),
    }

changed = {}
for name in json.loads(sys.argv[1]):
    before = state()
    importlib.import_module(name)
    after = state()
    if after != before:
        changed[name] = {
            key: [before[key], after[key]] for key in before if before[key] != after[key]
        }
print(json.dumps(changed))
"""
# These are programs: they are run, not imported.
PROGRAMS = {"azmlinfsrv.__main__", f"{COMPAT}.__main__", f"{COMPAT}.amlserver"}


def python(code: str, *arguments: str, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": ""},
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def test_importing_a_module_changes_nothing(tmp_path: Path) -> None:
    names = [name for name in MODULES if name not in PROGRAMS]

    changed = json.loads(python(SNAPSHOT, json.dumps(names), cwd=tmp_path))

    # Libraries' own doing, once, when they are first imported.
    for effects in changed.values():
        handlers = effects.get("handlers", [{}, {}])
        added = {name for name in handlers[1] if name not in handlers[0]}
        if not {n for n in added if n.split(".")[0] in ("azmlinfsrv", COMPAT, "root")}:
            effects.pop("handlers", None)
    assert {name: effects for name, effects in changed.items() if effects} == {}


# --- what is loaded where -----------------------------------------------------------------

LOADED = "import json, sys; {}; print(json.dumps(sorted(sys.modules)))"
FOR_SCRIPTS_ONLY = {"numpy", "pandas", "flask", "werkzeug", "inference_schema", "sklearn"}


def loaded_by(statement: str) -> set[str]:
    return {name.split(".")[0] for name in json.loads(python(LOADED.format(statement)))}


def test_the_front_end_does_not_load_what_only_scripts_need() -> None:
    loaded = loaded_by(
        "import azmlinfsrv.servers.gunicorn, azmlinfsrv.servers.protocol, uvicorn, uvloop; "
        "import azmlinfsrv.cli.commands"
    )

    assert loaded & FOR_SCRIPTS_ONLY == set()


def test_a_worker_does_not_load_what_only_the_front_end_needs() -> None:
    loaded = loaded_by("import azmlinfsrv.worker.main")

    heavy = {"asyncio", "rich", "click", "gunicorn", "uvicorn", "uvloop", "httptools", "waitress"}
    assert loaded & (FOR_SCRIPTS_ONLY | heavy) == set()


# --- what is installed --------------------------------------------------------------------


def core_distributions() -> dict[str, importlib.metadata.Distribution]:
    """Everything an installation without extras brings, ourselves included."""
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting: list[tuple[str, frozenset[str]]] = [("azureml-inference-server-http", frozenset())]
    while waiting:
        name, extras = waiting.pop()
        distribution = importlib.metadata.distribution(name)
        for text in distribution.requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            wanted = marker is None or any(
                marker.evaluate({"extra": extra}) for extra in (extras or {""})
            )
            key = re.sub(r"[-_.]+", "-", requirement.name).lower()
            if wanted and (key not in found or requirement.extras):
                found[key] = importlib.metadata.distribution(requirement.name)
                waiting.append((requirement.name, frozenset(requirement.extras)))
    return found


def size_bytes(distribution: importlib.metadata.Distribution) -> int:
    """Of its files, without what Python compiles from them."""
    total = 0
    for file in distribution.files or ():
        path = Path(str(distribution.locate_file(file)))
        if path.suffix != ".pyc" and path.is_file():
            total += path.stat().st_size
    return total


def test_the_core_installation_is_small(capsys: pytest.CaptureFixture[str]) -> None:
    found = core_distributions()
    sizes = {name: size_bytes(distribution) for name, distribution in found.items()}

    with capsys.disabled():
        print()
        for name, size in sorted(sizes.items(), key=lambda it: -it[1]):
            print(f"  {size / 1e6:6.1f} MB  {name} {found[name].version}")
        print(f"  {sum(sizes.values()) / 1e6:6.1f} MB  in {len(sizes)} packages")

    assert sum(sizes.values()) <= 50e6


def test_the_core_installation_has_few_packages() -> None:
    assert len(core_distributions()) <= 25
