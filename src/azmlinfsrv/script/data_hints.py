"""Hints about what ``run()`` was given, and what it gives back.

They name types and the script's own words, never what is in a request.
"""

from __future__ import annotations

import ast
import inspect
import json
from typing import Any

from azmlinfsrv.script.case import Case, functions_in

_BYTES = ("bytes-like object", "str to bytes", "bytes to str", "not bytes", 'not "bytes"')
_CONVERT = {
    "ndarray": ".tolist()",
    "Tensor": ".tolist()",
    "EagerTensor": ".numpy().tolist()",
    "DataFrame": '.to_dict(orient="records")',
    "Series": ".tolist()",
    "bytes": ".decode()",
    "datetime": ".isoformat()",
    "date": ".isoformat()",
    "Timestamp": ".isoformat()",
    "set": "list(...)",
    "Decimal": "float(...)",
    "UUID": "str(...)",
    "Image": "io.BytesIO and base64",
}


def not_awaited(case: Case) -> str:
    made = getattr(case.error, "obj", None)
    name = getattr(made, "__name__", "") if inspect.iscoroutine(made) else ""
    if not name and isinstance(case.error, TypeError):
        for node in ast.walk(case.statement):
            value = case.value_of(node)
            if inspect.iscoroutine(value):
                name = value.__name__
            elif isinstance(node, ast.Call) and _is_called_async(case, node):
                name = ast.unparse(node.func)
    if not name or not isinstance(name, str):
        return ""
    if isinstance(case.body, ast.AsyncFunctionDef):
        return f"{name}() is asynchronous: write `await {name}(...)`."
    return (
        f"{name}() is asynchronous. Make {case.function or 'the caller'}() `async def` too and "
        f"write `await {name}(...)`."
    )


def _is_called_async(case: Case, node: ast.Call) -> bool:
    # Its result was used at once: `fetch(x)["score"]`.
    is_used = any(
        isinstance(it, ast.Subscript | ast.Attribute) and it.value is node
        for it in ast.walk(case.statement)
    )
    return is_used and inspect.iscoroutinefunction(case.value_of(node.func))


def json_loads_of_value(case: Case) -> str:
    frame = case.frame_in("json", "loads")
    if case.innermost != ("json", "loads") or frame is None:
        return ""
    given = type(frame.f_locals.get("s")).__name__
    if given == "NoneType":
        return "json.loads was given None. Check where the value comes from."
    return (
        f"json.loads was given a {given}, which is parsed already. Use the value as it is: with "
        "@input_schema, and in tests that call run() with a Python value, nothing is left to parse."
    )


def json_in_json(case: Case) -> str:
    """A ``str`` that came out of json.loads: the body is JSON text inside a JSON string."""
    for name in _strings_used(case):
        if name in _parsed_names(case):
            return (
                f"{name} is still text after json.loads: the caller sent JSON inside a JSON string "
                "(json.dumps applied twice). Send the object itself, or parse a second time."
            )
    return ""


def input_not_parsed(case: Case) -> str:
    for name in _strings_used(case):
        if name == case.input_name and name not in _parsed_names(case):
            return (
                f"{name} is the text of the request, a str. Parse it first: "
                f"`{name} = json.loads({name})`."
            )
    return ""


def list_not_object(case: Case) -> str:
    for name, key in _keyed(case):
        if isinstance(case.value_of(name), list):
            return (
                f"{name.id} is a list: the request is a JSON array, while run() asks it for "
                f"{key}. Send an object, or take an element of the list first."
            )
    return ""


def invalid_json(case: Case) -> str:
    error = case.error
    if not isinstance(error, json.JSONDecodeError):
        return ""
    if case.function == "init" or not case.function:
        return f"What is read here is not JSON at line {error.lineno}, column {error.colno}."
    if not error.doc.strip():
        return (
            "The request had no body. Send one (`curl -d '{...}'`), or answer an empty input "
            "before json.loads."
        )
    return (
        f"What the caller sent is not JSON at line {error.lineno}, column {error.colno}: names and "
        "strings need double quotes. Catch ValueError and return AMLResponse(..., 400) to say so."
    )


def not_serialisable(case: Case) -> str:
    frame = case.frame_in("json.encoder", "default")
    if frame is None or case.innermost != ("json.encoder", "default"):
        return ""
    value: Any = frame.f_locals.get("o")
    kind = type(value).__name__
    module = type(value).__module__.partition(".")[0]
    how = _CONVERT.get(kind) or (".item()" if module == "numpy" else "a dict or a list")
    return (
        f"json.dumps does not know {kind}. Convert it ({how}), or return the value without "
        "json.dumps: the server writes NumPy, pandas, dates and dataclasses as JSON itself."
    )


def base64_text(case: Case) -> str:
    if type(case.error).__module__ != "binascii":
        return ""
    return (
        "The text is not base64. Cut off a prefix such as `data:image/png;base64,` before "
        "decoding, and check that the caller sends the encoded bytes only."
    )


def bytes_not_str(case: Case) -> str:
    # Text, because a TypeError has no attribute for it.
    if not any(it in case.text for it in _BYTES):
        return ""
    if case.passed("pickle") or ".load(" in case.line:
        return 'Open the file in binary mode: open(path, "rb").'
    return (
        "bytes meet str here. Turn bytes into text with .decode(), text into bytes with .encode()."
    )


def missing_key(case: Case) -> str:
    for name, key in _keyed(case):
        value = case.value_of(name)
        if isinstance(value, dict) and case.error.args and repr(case.error.args[0]) == key:
            if case.function == "init" or not case.function:
                return f"{name.id} has no {key}. Check its spelling."
            return (
                f"{name.id} has no {key}. If it comes from the caller, use "
                f"{name.id}.get({key}), or answer with AMLResponse(..., 400) that names it."
            )
    for node in ast.walk(case.statement):
        if not isinstance(node, ast.Subscript) or isinstance(node.slice, ast.Constant):
            continue
        if isinstance(case.value_of(node.value), dict) and case.function not in ("init", ""):
            holder = ast.unparse(node.value)
            return (
                f"{holder} has no such key: look at what {ast.unparse(node.slice)} is. If it comes "
                f"from the caller, answer with AMLResponse(..., 400) when it is not in {holder}."
            )
    return ""


def _keyed(case: Case) -> list[tuple[ast.Name, str]]:
    """Variables of the failing statement asked for a key: ``data["x"]``, ``data.get("x")``."""
    found = []
    for node in ast.walk(case.statement):
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            if isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
                found.append((node.value, repr(node.slice.value)))
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            owner = node.func.value
            if node.func.attr in ("get", "keys", "items", "values") and isinstance(owner, ast.Name):
                found.append((owner, ast.unparse(node.args[0]) if node.args else "its keys"))
    return found


def _strings_used(case: Case) -> list[str]:
    """Variables that hold a ``str`` and are used like an object."""
    return [name.id for name, _ in _keyed(case) if isinstance(case.value_of(name), str)]


def _parsed_names(case: Case) -> set[str]:
    """Variables that are assigned from json.loads, in any function of the file."""
    names: set[str] = set()
    for function in functions_in(case.tree):
        for node in ast.walk(function):
            if isinstance(node, ast.Assign) and _calls_loads(node.value):
                names |= {it.id for it in node.targets if isinstance(it, ast.Name)}
    return names


def _calls_loads(node: ast.AST) -> bool:
    return any(
        isinstance(it, ast.Call) and ast.unparse(it.func).endswith(("loads", "get_json"))
        for it in ast.walk(node)
    )
