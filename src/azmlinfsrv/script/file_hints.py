"""Hints about files, environment variables, and the machine."""

from __future__ import annotations

import errno
import os
import socket

from azmlinfsrv.script.case import Case, closest, files_below, some

_COLLECTOR = "AZUREML_MDC"
_NO_NETWORK = frozenset(
    {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT, errno.ECONNRESET}
)


def environment_variable(case: Case) -> str:
    if case.innermost != ("os", "__getitem__") or not case.error.args:
        return ""
    name = str(case.error.args[0])
    if name == "AZUREML_MODEL_DIR":
        return _NO_MODEL_DIR
    if name.startswith(_COLLECTOR):
        return COLLECTOR_VARIABLES
    return (
        f"The environment variable {name} is not set. Set it before the server starts "
        f"(`export {name}=...`; for a deployment, in its environment_variables), or give a default "
        f'with os.environ.get("{name}", ...).'
    )


_NO_MODEL_DIR = (
    "AZUREML_MODEL_DIR is not set. Start the server with --model_dir and the folder that holds "
    "the model; in the cloud the deployment's model sets it."
)
COLLECTOR_VARIABLES = (
    "The data collector needs AZUREML_MDC_ENABLED=true and, on your own machine, "
    "AZUREML_MDC_LOCAL_CAPTURE=true. Set them before the server starts."
)


def path_from_none(case: Case) -> str:
    """``os.path.join(os.getenv("X"), ...)`` with X unset."""
    in_path = case.innermost[0] in ("posixpath", "ntpath", "genericpath", "pathlib", "os")
    if not (in_path or case.passed("pathlib")):
        return ""
    if not case.where.model_dir and "MODEL_DIR" in _source_text(case):
        return _NO_MODEL_DIR
    return (
        "A part of the path is None, which is what os.getenv() gives for a variable that is not "
        "set. Set the variable, or give a default."
    )


def missing_file(case: Case) -> str:
    wanted = getattr(case.error, "filename", None)
    if isinstance(wanted, bytes):
        wanted = os.fsdecode(wanted)
    if not isinstance(wanted, str) or not wanted:
        return ""
    return (
        _in_model_directory(case, wanted)
        or _beside_script(case, wanted)
        or _not_in_model_directory(case, wanted)
        or _nowhere(case, wanted)
    )


def _in_model_directory(case: Case, wanted: str) -> str:
    """A file of this name lies elsewhere in the model directory."""
    folder = case.where.model_dir
    if not folder:
        return ""
    name = os.path.basename(wanted)
    held = [os.path.relpath(it, folder) for it in files_below(folder)]
    same = [it for it in held if os.path.basename(it) == name]
    near = closest(name, [os.path.basename(it) for it in held])
    found = same or [it for it in held if os.path.basename(it) == near]
    if not found:
        return ""
    parts = ", ".join(f'"{it}"' for it in found[0].split(os.sep))
    return (
        f"The model directory {folder} holds {_slashes(found[0])}. Write "
        f'os.path.join(os.environ["AZUREML_MODEL_DIR"], {parts}).'
    )


def _beside_script(case: Case, wanted: str) -> str:
    """A relative path starts at the current folder, not at the script."""
    folder = os.path.dirname(case.where.script_path)
    if os.path.isabs(wanted) or not folder:
        return ""
    if os.path.exists(os.path.join(folder, wanted)):
        parts = ", ".join(f'"{it}"' for it in _slashes(wanted).split("/"))
        return (
            f"{wanted} is in the script's folder, but a relative path starts at the current "
            f"folder {os.getcwd()}. Write os.path.join(os.path.dirname(__file__), {parts})."
        )
    return ""


def _not_in_model_directory(case: Case, wanted: str) -> str:
    folder = case.where.model_dir
    if not folder:
        return ""
    inside = os.path.abspath(wanted).startswith(os.path.abspath(folder) + os.sep)
    if not inside and case.function != "init":
        return ""
    if not os.path.isdir(folder):
        return f"The model directory {folder} does not exist. Check --model_dir."
    held = [_slashes(os.path.relpath(it, folder)) for it in files_below(folder)]
    if not held:
        return f"The model directory {folder} is empty. Check --model_dir."
    return (
        f"There is no {os.path.basename(wanted)} in the model directory {folder}, which holds "
        f"{some(held)}."
    )


def _nowhere(case: Case, wanted: str) -> str:
    parent = os.path.dirname(os.path.abspath(wanted))
    if not case.where.model_dir and case.function == "init":
        return (
            f"{wanted} does not exist, and no model directory is given. Start the server with "
            "--model_dir, and build the path from os.environ['AZUREML_MODEL_DIR']."
        )
    if not os.path.isdir(parent):
        return f"The folder {parent} does not exist. Check the path, or create it first."
    guess = closest(os.path.basename(wanted), os.listdir(parent))
    if guess:
        return f"{parent} holds {guess}: did you mean that file?"
    if not os.path.isabs(wanted):
        return (
            f"A relative path starts at the current folder {os.getcwd()}. Build it from "
            "os.path.dirname(__file__) instead."
        )
    return ""


def folder_as_file(case: Case) -> str:
    folder = getattr(case.error, "filename", None)
    if not isinstance(folder, str):
        return ""
    held = [_slashes(os.path.relpath(it, folder)) for it in files_below(folder)]
    choice = f" It holds {some(held)}." if held else " It is empty."
    return f"{folder} is a folder; name the file in it.{choice}"


def permission(case: Case) -> str:
    path = getattr(case.error, "filename", None)
    if not isinstance(path, str):
        return ""
    user = f"user {os.getuid()}" if hasattr(os, "getuid") else "this user"
    if os.path.exists(path):
        return f"{user} may not open {path}. Change its owner or mode (chmod a+r, or a+w to write)."
    return (
        f"{user} may not create or reach {path}. Write below tempfile.gettempdir() instead: a "
        "deployed container runs without root."
    )


def port_in_use(case: Case) -> str:
    if getattr(case.error, "errno", None) != errno.EADDRINUSE:
        return ""
    return (
        "The script itself opens a port that is in use. Remove the call that starts a server (such "
        "as app.run()): this server already answers requests by calling run()."
    )


def network(case: Case) -> str:
    error = case.error
    is_network = isinstance(error, ConnectionError | socket.gaierror)
    known = getattr(error, "errno", None) in _NO_NETWORK
    if not (is_network or known or case.passed("urllib3") or case.passed("urllib.request")):
        return ""
    if isinstance(error, FileNotFoundError | PermissionError):
        return ""
    return (
        f"{case.script} needs the network, and the other side was not reached. "
        "Check address and proxy; what init() downloads is better put into the model directory."
    )


def disk(case: Case) -> str:
    number = getattr(case.error, "errno", None)
    if number == errno.ENOSPC:
        return "The disk is full. Free space, or write to another folder."
    if number == errno.EROFS:
        return "The file system is read-only. Write below tempfile.gettempdir() instead."
    if number == errno.EMFILE:
        return "Too many files are open. Close them after use: `with open(path) as file:`."
    return ""


def binary_as_text(case: Case) -> str:
    if not (case.passed("codecs") or "open(" in _source_text(case)):
        return ""
    return (
        'The file is not UTF-8 text. Open a model or image with mode "rb"; for a text file name '
        'its encoding: open(path, encoding="latin-1").'
    )


def memory(case: Case) -> str:
    place = f"{case.function}()" if case.function else case.script
    return (
        f"{place} asked for more memory than there is. Each of the worker processes loads its own "
        "model: lower --worker_count or the batch, or use a machine with more memory."
    )


def _source_text(case: Case) -> str:
    import ast

    node = case.body or case.statement
    return ast.unparse(node) if isinstance(node, ast.stmt) else case.line


def _slashes(path: str) -> str:
    return path.replace(os.sep, "/")
