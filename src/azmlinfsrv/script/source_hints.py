"""Hints about the file of the script: whether it is one, and its syntax."""

from __future__ import annotations

import os

from azmlinfsrv.script.case import Case, closest, files_below, some

# Single and double quotation marks of documents, by number: they look like plain ones.
_CURLY = "\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"


def notebook(case: Case) -> str:
    path = case.where.script_path
    if path.endswith(".ipynb"):
        return (
            f"{case.script} is a notebook. Export its code (`jupyter nbconvert --to script "
            f"{case.script}`) and name the .py file with --entry_script."
        )
    if isinstance(case.error, NameError | SyntaxError) and _starts_with(path, b"{"):
        with open(path, "rb") as file:
            is_notebook = b'"cells"' in file.read(64 * 1024)
        if is_notebook:
            return (
                f"{case.script} holds a notebook's JSON, not Python. Export its code with "
                "`jupyter nbconvert --to script` and serve that file."
            )
    return ""


def script_not_found(case: Case) -> str:
    path = case.where.script_path
    if case.has_cause or not path or os.path.exists(path):
        return ""
    root = case.where.app_root or os.path.dirname(path)
    near = [it for it in files_below(root) if it.endswith(".py")]
    name = os.path.basename(path)
    same = [it for it in near if os.path.basename(it).lower() == name.lower()]
    names = [os.path.basename(it) for it in near]
    if same:
        return f"There is {os.path.relpath(same[0], root)} in {root}: did you mean that one?"
    guess = closest(name, names)
    if guess:
        return f"There is {guess} in {root}: did you mean that one?"
    if near:
        shown = some(os.path.relpath(it, root) for it in near)
        return f"Relative paths start at the application root {root}, which holds {shown}."
    return f"Relative paths start at the application root {root}, which holds no Python file."


def not_python(case: Case) -> str:
    path = case.where.script_path
    if case.has_cause or not path or path.endswith(".py"):
        return ""
    if os.path.isdir(path):
        inside = [it for it in sorted(os.listdir(path)) if it.endswith(".py")]
        choice = f", for example {os.path.join(case.script, inside[0])}" if inside else ""
        return f"{case.script} is a folder. Name the file in it with --entry_script{choice}."
    return f"{case.script} does not end in .py. Rename it, or name another file."


def tabs(case: Case) -> str:
    return (
        "The line mixes tabs and blanks with the lines around it. Let your editor convert the "
        "indentation of the file to blanks."
    )


def merge_conflict(case: Case) -> str:
    if _syntax_line(case).startswith(("<<<<<<<", "=======", ">>>>>>>")):
        return "The file holds the marks of an unresolved merge. Choose one side and delete them."
    return ""


def python2_print(case: Case) -> str:
    line = _syntax_line(case)
    if line.startswith(("print ", "exec ")) and not line[5:].lstrip().startswith("("):
        word = line.split()[0]
        return (
            f"`{word}` is a function since Python 3: write {word}(...). Code written for Python 2 "
            "has to be ported first."
        )
    return ""


def notebook_command(case: Case) -> str:
    if _syntax_line(case).startswith(("%", "!", "?")):
        return (
            "Lines that start with % or ! work in notebooks only. Remove the line; packages are "
            "installed into the environment before the server starts."
        )
    return ""


def curly_quotes(case: Case) -> str:
    if any(mark in _syntax_line(case) for mark in _CURLY):
        return (
            "The line has typographic quotes, as documents and chats make them. Replace them by "
            "plain ' or \"."
        )
    return ""


def windows_path(case: Case) -> str:
    line = _syntax_line(case)
    if any(f"{quote}{letter}:\\" in line for quote in "'\"" for letter in "CDEFcdef"):
        return (
            "A backslash in a string starts an escape. Write the path with r in front "
            '(r"C:\\Users"), or with forward slashes.'
        )
    return ""


def file_encoding(case: Case) -> str:
    if not isinstance(case.error, SyntaxError) and case.spot is not None:
        return ""
    path = getattr(case.error, "filename", None) or case.where.script_path
    try:
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return ""
    if b"\0" in data:
        return (
            f"{os.path.basename(path)} holds zero bytes: it was probably saved as UTF-16. Save it "
            "as UTF-8."
        )
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        return (
            f"Line {line} of {os.path.basename(path)} is not UTF-8. Save the file as UTF-8, or "
            "name its encoding in the first line: `# -*- coding: latin-1 -*-`."
        )
    return ""


def indentation(case: Case) -> str:
    return (
        "The line is not indented like its neighbours: the lines of a block start in the same "
        "column, four blanks further than the line that opens it."
    )


def _syntax_line(case: Case) -> str:
    text = getattr(case.error, "text", None)
    return (text if isinstance(text, str) else case.line).strip()


def _starts_with(path: str, start: bytes) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(64).lstrip().startswith(start)
    except OSError:
        return False
