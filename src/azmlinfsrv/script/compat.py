"""Names that entry scripts import and no installed package may provide.

`provide_azureml_names` makes importable, in every form of import (R8.7, X7, X9):

- ``azureml.contrib.services.aml_request`` and ``.aml_response``, the old address of what
  `azureml_inference_server_http.api` holds;
- ``azureml.core.model.Model.get_model_path``, and nothing else of ``azureml.core``.

A finder at the end of `sys.meta_path` makes each module when it is imported. Being last
it is asked only for what is not installed, so that real packages win name by name: a real
``azureml.core`` and our ``azureml.contrib`` share one ``azureml``.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

_API = "azureml_inference_server_http.api"
_CORE = "azureml.core"
_PACKAGE = "azureml-core"


def provide_azureml_names(model_dir: str | None = None) -> None:
    """Make the promised ``azureml`` names importable, unless real packages provide them.

    Args:
        model_dir: Where ``Model.get_model_path`` looks besides the working folder.
    """
    Model._model_dir = model_dir
    if not any(isinstance(finder, _AzuremlFinder) for finder in sys.meta_path):
        sys.meta_path.append(_AzuremlFinder())


class _ModelType(type):
    def __getattr__(cls, name: str) -> NoReturn:
        raise AttributeError(_refusal(f"azureml.core.model.Model.{name}"))


class Model(metaclass=_ModelType):
    """Stands in for the class of the same name where azureml-core is not installed."""

    _model_dir: str | None = None

    def __init__(self, *arguments: Any, **options: Any) -> None:
        raise ImportError(_refusal("azureml.core.model.Model()"), name=_PACKAGE)

    @staticmethod
    def get_model_path(
        model_name: str, version: int | str | None = None, _workspace: object = None
    ) -> str:
        """The file or folder of a registered model, as an absolute path (X9).

        The first that exists of: the one entry of ``azureml-models/<name>/<version>`` under
        the working folder, ``<name>`` there, the one entry of ``<name>/<version>`` under the
        model directory (which may be that folder itself), ``<name>`` there. Without
        *version* the highest counts.

        Raises:
            FileNotFoundError: there is none; or the version's folder does not hold
                exactly one entry.
        """
        here = Path.cwd()
        searched = [here / "azureml-models" / model_name, here / model_name]
        found = _entry_of_version(searched[0], version) or _existing(searched[1])
        if found is None and Model._model_dir:
            given = here / Model._model_dir
            if given.parent.name == model_name and str(version or given.name) == given.name:
                searched.append(given)
                found = _entry_of_version(given.parent, given.name)
            searched.append(given / model_name)
            found = found or _entry_of_version(searched[-1], version) or _existing(searched[-1])
        if found is None:
            wanted = f"Model {model_name!r}" + ("" if version is None else f", version {version},")
            raise FileNotFoundError(
                f"{wanted} is at none of these: {', '.join(map(str, searched))}."
            )
        return str(found)


def _existing(path: Path) -> Path | None:
    return path if path.exists() else None


def _entry_of_version(folder: Path, version: int | str | None) -> Path | None:
    if not folder.is_dir():
        return None
    versions = [each for each in folder.iterdir() if each.name.isdecimal() and each.is_dir()]
    if version is not None:
        versions = [each for each in versions if each.name == str(version)]
    return _only_entry(max(versions, key=lambda each: int(each.name))) if versions else None


def _only_entry(folder: Path) -> Path:
    entries = [each for each in folder.iterdir() if not each.name.startswith(".")]
    if len(entries) != 1:
        raise FileNotFoundError(f"{folder} holds {len(entries)} entries; it has to hold one.")
    return entries[0]


def _fill_request(module: ModuleType) -> None:
    real = importlib.import_module(f"{_API}.aml_request")
    module.__dict__.update(AMLRequest=real.AMLRequest, rawhttp=real.rawhttp)


def _fill_response(module: ModuleType) -> None:
    module.__dict__["AMLResponse"] = importlib.import_module(f"{_API}.aml_response").AMLResponse


def _fill_model(module: ModuleType) -> None:
    module.__dict__["Model"] = Model


def _fill_nothing(module: ModuleType) -> None:
    """A folder: it holds modules only."""


_FILL: dict[str, Callable[[ModuleType], None]] = {
    "azureml": _fill_nothing,
    "azureml.contrib": _fill_nothing,
    "azureml.contrib.services": _fill_nothing,
    "azureml.contrib.services.aml_request": _fill_request,
    "azureml.contrib.services.aml_response": _fill_response,
    _CORE: _fill_model,  # its second address, as common in scripts as the first
    f"{_CORE}.model": _fill_model,
}


class _AzuremlFinder:
    """Finder and loader; no subclass of those in `importlib.abc`, which is slow to import."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname in _FILL and (fullname != f"{_CORE}.model" or _is_ours(_CORE)):
            # All are packages: `from azureml.core.model import X` then asks here for X.
            return ModuleSpec(fullname, self, is_package=True)  # type: ignore[arg-type]  # a loader by duck typing
        if fullname.startswith(f"{_CORE}.") and _is_ours(_CORE):
            # The name is not the one asked for, or `from azureml.core import X` would replace
            # the message by its own.
            raise ModuleNotFoundError(_refusal(fullname), name=_PACKAGE)
        return None

    def create_module(self, spec: ModuleSpec) -> None:
        """Python's own."""

    def exec_module(self, module: ModuleType) -> None:
        _FILL[module.__name__](module)


def _is_ours(name: str) -> bool:
    spec = getattr(sys.modules.get(name), "__spec__", None)
    return isinstance(getattr(spec, "loader", None), _AzuremlFinder)


def _refusal(name: str) -> str:
    return (
        f"{name} is not available: {_PACKAGE} is not installed, and only "
        "azureml.core.model.Model.get_model_path is provided in its place. "
        f"Install it with: pip install {_PACKAGE}"
    )
