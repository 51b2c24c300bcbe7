"""Which files the script came from: its own modules, not the libraries it uses."""

from __future__ import annotations

import os
import sys
import sysconfig

from azmlinfsrv.script.location import SERVER_FOLDER

_LIBRARY_FOLDERS = frozenset({"site-packages", "dist-packages"})
# What says where a module is would fill a frame; nobody writes more than this by hand.
_MAX_FILES = 5000


def imported_files() -> list[str]:
    """The real paths of the modules imported so far, sorted.

    Left out are the standard library, what is installed (``site-packages``), and this
    server. A package installed in place (``pip install -e``) is its author's own.
    """
    foreign = tuple(os.path.normcase(it) + os.sep for it in _foreign_folders())
    found = set()
    for module in list(sys.modules.values()):
        try:
            file = module.__file__
        except Exception:  # noqa: BLE001  # a module may be any object of the script's
            continue
        if not isinstance(file, str) or not os.path.isfile(file):
            continue
        path = os.path.realpath(file)
        if os.path.normcase(path).startswith(foreign):
            continue
        if _LIBRARY_FOLDERS.isdisjoint(path.split(os.sep)):
            found.add(path)
    return sorted(found)[:_MAX_FILES]


def _foreign_folders() -> set[str]:
    compat = os.path.join(os.path.dirname(SERVER_FOLDER), "azureml_inference_server_http")
    folders = {SERVER_FOLDER, compat}
    folders.update(sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib"))
    return {os.path.realpath(folder) for folder in folders}
