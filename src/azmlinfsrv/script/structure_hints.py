"""Hints about the script's functions: ``init``, ``run``, and the names they use."""

from __future__ import annotations

import ast
import os

from azmlinfsrv.script.case import (
    Case,
    all_arguments,
    assigned_in,
    closest,
    declared_global,
    functions_in,
    is_standard_module,
    parsed,
    top_level_function,
    top_level_names,
)

_USUAL_IMPORTS = {
    "np": "import numpy as np",
    "pd": "import pandas as pd",
    "plt": "import matplotlib.pyplot as plt",
    "tf": "import tensorflow as tf",
    "nn": "from torch import nn",
    "F": "import torch.nn.functional as F",
    "Path": "from pathlib import Path",
    "BytesIO": "from io import BytesIO",
    "Image": "from PIL import Image",
    "datetime": "from datetime import datetime",
    "AMLRequest": "from azureml_inference_server_http.api.aml_request import AMLRequest",
    "AMLResponse": "from azureml_inference_server_http.api.aml_response import AMLResponse",
    "rawhttp": "from azureml_inference_server_http.api.aml_request import rawhttp",
    "Model": "from azureml.core.model import Model",
    **{
        name: f"import {name}"
        for name in ("numpy", "pandas", "joblib", "torch", "sklearn", "cv2", "onnxruntime")
    },
}


def missing_function(case: Case) -> str:
    if case.has_cause:
        return ""
    tree = case.script_tree
    if not tree.body and not _is_empty(case.where.script_path):
        return ""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    present = {*top_level_names(tree), *imported}
    if "*" in imported:
        return ""
    for name, example in (("init", "def init():"), ("run", "def run(data):")):
        if name not in present:
            return _about_missing(case, name, example)
    return ""


def _about_missing(case: Case, name: str, example: str) -> str:
    tree = case.script_tree
    top = top_level_names(tree)
    for node in functions_in(tree):
        if node.name == name:
            case.point_at(node.lineno)
            return (
                f"{name}() is defined in line {node.lineno} of {case.script}, but inside another "
                "block. Move it to the top level of the file, without indentation."
            )
    guess = closest(name, top) or next((it for it in top if it.strip("_") == name), "")
    if guess:
        line = next((it.lineno for it in functions_in(tree) if it.name == guess), 0)
        case.point_at(line)
        return f"{case.script} has {guess}(): did you mean {name}()? Rename it."
    others = [it for it in case.source_files if os.path.abspath(it) != case.where.script_path]
    holders = [it for it in others if name in top_level_names(parsed(it))]
    if len(holders) == 1:  # of several, none is more likely
        return (
            f"{case.show(holders[0])} defines {name}(). Serve that file with --entry_script, or "
            f"import {name} from it in {case.script}."
        )
    return f"Add `{example}` to {case.script}" + (
        ", where the model is loaded once." if name == "init" else ", which answers one request."
    )


def run_signature(case: Case) -> str:
    if case.has_cause:
        return ""
    run = top_level_function(case.script_tree, "run")
    if run is None:
        return ""
    arguments = run.args
    named = [it.arg for it in (*arguments.args, *arguments.kwonlyargs)]
    inputs = [it for it in named if it != "request_headers"]
    if arguments.posonlyargs:
        case.point_at(run.lineno)
        return f"Remove the `/` from run()'s parameters: {_call(run)} is called by keyword."
    if inputs:
        if not run.decorator_list:
            return ""
        case.point_at(run.decorator_list[0].lineno)
        return (
            f"A decorator around run() hides its parameter {inputs[0]}. Put "
            "@functools.wraps(function) on the wrapper inside the decorator."
        )
    case.point_at(run.lineno)
    if named:
        return (
            "request_headers receives the headers only. Add a parameter for the input before it: "
            "`def run(data, request_headers):`."
        )
    return "Give run() one named parameter for the input: `def run(data):`."


def init_arguments(case: Case) -> str:
    init = top_level_function(case.script_tree, "init")
    if case.spot is not None or init is None:
        return ""
    required = _required(init)
    if not required:
        return ""
    case.point_at(init.lineno)
    return (
        f"init() is called without arguments, but requires {', '.join(required)}. Give "
        "defaults, or read the values from environment variables."
    )


def run_arguments(case: Case) -> str:
    run = top_level_function(case.script_tree, "run")
    if case.spot is not None or run is None:
        return ""
    declared = _declared_inputs(run)
    unknown = [it for it in declared if it not in {arg.arg for arg in all_arguments(run)}]
    if unknown:
        case.point_at(run.lineno)
        return (
            f"@input_schema names the parameter {unknown[0]}, which {_call(run)} does not have. "
            "Use the same name in both."
        )
    required = [it for it in _required(run) if it != "request_headers"]
    if declared or len(required) < 2 or not isinstance(case.error, TypeError):
        return ""
    case.point_at(run.lineno)
    return (
        f"run() receives one input, as {required[0]}; give {', '.join(required[1:])} a default, "
        "or take the values out of the input."
    )


def argparse_in_script(case: Case) -> str:
    if not case.passed("argparse"):
        return ""
    return (
        "argparse read the server's own command line. A scoring script has no arguments of its "
        "own: use environment variables, or parse_known_args([])."
    )


def script_exits(case: Case) -> str:
    place = f"{case.function}()" if case.function else case.script
    return (
        f"{place} ended the process with sys.exit() or exit(). Raise an exception to report a "
        "failure, or return; put what is for the command line under "
        '`if __name__ == "__main__":`.'
    )


def recursion(case: Case) -> str:
    if not case.function:
        return ""
    return (
        f"{case.function}() calls itself without end, directly or through others. Check the "
        "condition that ends the recursion."
    )


def global_forgotten(case: Case) -> str:
    error = case.error
    name = getattr(error, "name", None) or ""
    if isinstance(error, UnboundLocalError):
        name = name or _unbound_name(case)
        if name and name in assigned_in(case.tree):
            return (
                f"{case.function}() assigns {name}, so Python takes it for a local variable all "
                f"through the function. Write `global {name}` as its first line, or use another "
                "name for the new value."
            )
        return ""
    for node in _initialisers(case):
        is_local = name in assigned_in(node) and name not in declared_global(node)
        if name and is_local and node.name != case.function:
            return (
                f"{node.name}() assigns {name} as its own local variable. Write `global {name}` "
                f"as its first line, so that {case.function or case.script} sees it."
            )
    return ""


def import_forgotten(case: Case) -> str:
    name = getattr(case.error, "name", None) or ""
    if name in _USUAL_IMPORTS:
        return f"Add `{_USUAL_IMPORTS[name]}` at the top of {_file(case)}."
    if is_standard_module(name):
        return f"Add `import {name}` at the top of {_file(case)}."
    guess = closest(name, {*case.locals, *case.globals})
    return f"{name} is not defined. Did you mean {guess}?" if name and guess else ""


def value_is_none(case: Case) -> str:
    name = _none_used(case)
    if not name:
        return ""
    if name in case.locals:
        return f"{name} is None here. Check where {case.function or case.script} gets it from."
    for node in _initialisers(case):
        if name in assigned_in(node) and name not in declared_global(node):
            return (
                f"{name} is still None: {node.name}() assigns a local variable of that name. "
                f"Write `global {name}` as the first line of {node.name}()."
            )
    return f"{name} is None here. Assign it in init(), with `global {name}` as its first line."


def _initialisers(case: Case) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    """``init()`` and the functions of the same file that it calls."""
    init = top_level_function(case.tree, "init")
    if init is None:
        return []
    called = {
        it.func.id
        for it in ast.walk(init)
        if isinstance(it, ast.Call) and isinstance(it.func, ast.Name)
    }
    return [
        init,
        *(
            it
            for it in case.tree.body
            if isinstance(it, ast.FunctionDef | ast.AsyncFunctionDef) and it.name in called
        ),
    ]


def _none_used(case: Case) -> str:
    """The variable of the failing statement that is None where a value is needed."""
    error = case.error
    wants_attribute = isinstance(error, AttributeError)
    if wants_attribute and (getattr(error, "obj", ...) is not None or not error.name):  # type: ignore[attr-defined]  # narrowed by the line above
        return ""
    for node in ast.walk(case.statement):
        used: ast.AST | None = None
        if isinstance(node, ast.Attribute) and wants_attribute:
            used = node.value if node.attr == error.name else None  # type: ignore[attr-defined]  # an AttributeError
        elif isinstance(node, ast.Subscript) and not wants_attribute:
            used = node.value
        elif isinstance(node, ast.Call) and not wants_attribute:
            used = node.func
        if isinstance(used, ast.Name) and case.value_of(used) is None:
            return used.id
    return ""


def _unbound_name(case: Case) -> str:
    if case.body is None:
        return ""
    own = assigned_in(case.body) - declared_global(case.body)
    for node in ast.walk(case.statement):
        if isinstance(node, ast.Name) and node.id in own and node.id not in case.locals:
            return node.id
    return ""


def _declared_inputs(run: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    names = []
    for node in run.decorator_list:
        if not isinstance(node, ast.Call) or not ast.unparse(node.func).endswith("input_schema"):
            continue
        given = [it.value for it in node.keywords if it.arg == "param_name"] or node.args[:1]
        names += [str(it.value) for it in given if isinstance(it, ast.Constant)]
    return names


def _required(node: ast.FunctionDef | ast.AsyncFunctionDef | None) -> list[str]:
    if node is None:
        return []
    positional = [*node.args.posonlyargs, *node.args.args]
    without = positional[: len(positional) - len(node.args.defaults)]
    keyword = [
        arg
        for arg, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
        if default is None
    ]
    return [it.arg for it in (*without, *keyword)]


def _call(node: ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    return f"{node.name}({', '.join(it.arg for it in all_arguments(node))})"


def _file(case: Case) -> str:
    return case.spot.name if case.spot else case.script


def _is_empty(path: str) -> bool:
    try:
        return os.path.getsize(path) == 0
    except OSError:
        return False
