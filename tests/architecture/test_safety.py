"""What the source may not do: turn bytes or text of others into code or objects."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src"

# Loading any of these can run whatever the bytes say.
FORBIDDEN_MODULES = frozenset(
    {
        "_pickle",
        "cloudpickle",
        "dill",
        "joblib",
        "jsonpickle",
        "marshal",
        "multiprocessing",  # pickles what it passes on
        "pickle",
        "shelve",
        "xmlrpc",
        "yaml",
    }
)
FORBIDDEN_CALLS = frozenset({"__import__", "compile", "eval", "exec"})
FORBIDDEN_ATTRIBUTES = frozenset({"os.popen", "os.system", "ssl._create_unverified_context"})
FORBIDDEN_FLAGS = frozenset({"allow_pickle", "shell"})  # unless False

# File -> what it does -> why it may.
ALLOWED = {
    ("azmlinfsrv/script/loader.py", "exec_module"): "the user's script is what we are asked to run",
}

# What `azmlinfsrv init` writes is data here: it runs where its user runs it.
TEMPLATES = SOURCE / "azmlinfsrv" / "templates"
PLACES = sorted(path for path in SOURCE.rglob("*.py") if TEMPLATES not in path.parents)


def _name(node: ast.expr) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")


def dangers_in(code: str) -> Iterator[tuple[int, str]]:
    """Line and name of everything that is forbidden."""
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        else:
            names = []
        for name in names:
            if name.partition(".")[0] in FORBIDDEN_MODULES:
                yield node.lineno, name
        if isinstance(node, ast.Call):
            # A plain name: `re.compile` and the like are something else.
            if isinstance(node.func, ast.Name) and node.func.id in FORBIDDEN_CALLS:
                yield node.lineno, node.func.id
            if isinstance(node.func, ast.Attribute) and (
                node.func.attr == "exec_module" or _is_of_builtins(node.func)
            ):
                yield node.lineno, node.func.attr
            if _name(node.func) == "import_module" and FORBIDDEN_MODULES & {
                str(getattr(argument, "value", "")) for argument in node.args
            }:
                yield node.lineno, "import_module"
        if isinstance(node, ast.Attribute) and ast.unparse(node) in FORBIDDEN_ATTRIBUTES:
            yield node.lineno, ast.unparse(node)
        if isinstance(node, ast.keyword) and node.arg in FORBIDDEN_FLAGS and _may_be_on(node.value):
            yield node.value.lineno, str(node.arg)


def _may_be_on(value: ast.expr) -> bool:
    return not (isinstance(value, ast.Constant) and value.value is False)


def _is_of_builtins(function: ast.Attribute) -> bool:
    return _name(function.value) in ("builtins", "__builtins__") and (
        function.attr in FORBIDDEN_CALLS
    )


@pytest.mark.parametrize("path", PLACES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_nothing_is_unpickled_and_no_text_becomes_code(path: Path) -> None:
    module = str(path.relative_to(SOURCE))

    found = [
        f"{module}:{line} {name}"
        for line, name in dangers_in(path.read_text(encoding="utf-8"))
        if (module, name) not in ALLOWED
    ]

    assert found == []


def test_every_exception_to_the_rule_is_still_needed() -> None:
    found = {
        (str(path.relative_to(SOURCE)), name)
        for path in PLACES
        for _, name in dangers_in(path.read_text(encoding="utf-8"))
    }

    assert found >= ALLOWED.keys()


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "import pickle as p",
        "from pickle import loads",
        "def f():\n    import shelve",
        "import multiprocessing.pool",
        "from importlib import import_module\nimport_module('marshal')",
        "import importlib\nimportlib.import_module('pickle')",
        "eval('1')",
        "exec(text)",
        "__import__(name)",
        "import builtins\nbuiltins.eval('1')",
        "compile(text, '', 'exec')",
        "subprocess.run('x', shell=True)",
        "os.system('x')",
        "numpy.load(path, allow_pickle=True)",
        "spec.loader.exec_module(module)",
    ],
)
def test_the_check_sees_what_it_is_there_for(code: str) -> None:
    assert list(dangers_in(code))


def test_nothing_of_the_standard_library_is_forbidden_by_a_name_it_does_not_have() -> None:
    ours = {"cloudpickle", "dill", "joblib", "jsonpickle", "yaml"}

    assert FORBIDDEN_MODULES - ours <= sys.stdlib_module_names
