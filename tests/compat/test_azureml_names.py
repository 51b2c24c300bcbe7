"""The ``azureml`` names, each try in a process of its own: imports cannot be undone."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

PROVIDE = "from azmlinfsrv.script.compat import provide_azureml_names as p; p({model_dir!r})\n"
BOTH = "from azureml_inference_server_http.api import aml_request as q, aml_response as s\n"


def run(code: str, folder: Path, model_dir: str | None = None) -> str:
    """What *code* prints, or the last line of its traceback; *folder* is the working one."""
    program = PROVIDE.format(model_dir=model_dir) + textwrap.dedent(code)
    ended = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], cwd=folder, capture_output=True, text=True
    )
    return (ended.stdout or ended.stderr.splitlines()[-1]).strip()


def write(folder: Path, *names: str, text: str = "") -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


FORMS = [
    "import azureml.contrib.services.aml_request as x; print(x.AMLRequest is q.AMLRequest)",
    "import azureml.contrib.services.aml_response as x; print(x.AMLResponse is s.AMLResponse)",
    "import azureml.contrib.services.aml_request; "
    "print(azureml.contrib.services.aml_request.rawhttp is q.rawhttp)",
    "from azureml.contrib.services import aml_request as x; print(x.rawhttp is q.rawhttp)",
    "from azureml.contrib.services import aml_response as x; print(x.AMLResponse is s.AMLResponse)",
    "from azureml.contrib.services.aml_request import AMLRequest, rawhttp; "
    "print((AMLRequest, rawhttp) == (q.AMLRequest, q.rawhttp))",
    "from azureml.contrib.services.aml_response import AMLResponse as x; print(x is s.AMLResponse)",
    "from azureml.contrib import services; import azureml; "
    "print(azureml.contrib.services is services)",
    "import importlib; print(importlib.import_module('azureml.contrib.services.aml_request')"
    ".rawhttp is q.rawhttp)",
    "from azureml.core.model import Model; from azureml.core import Model as M; print(M is Model)",
    "import azureml.core.model as x; print(callable(x.Model.get_model_path))",
    "p(); import azureml.core, sys; print(sum('Azureml' in type(f).__name__ "
    "for f in sys.meta_path) == 1)",
]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_import_works_without_azureml_packages(form: str, tmp_path: Path) -> None:
    assert run(BOTH + form, tmp_path) == "True"


# Files of a really installed `azureml`, as regular package or as namespace.
INSTALLED = {
    "regular package": ["azureml/__init__.py", "azureml/core/__init__.py"],
    "namespace": ["azureml/core/__init__.py"],
    "with another contrib": ["azureml/core/__init__.py", "azureml/contrib/other/__init__.py"],
}


@pytest.mark.parametrize("form", FORMS[:8])
@pytest.mark.parametrize("files", INSTALLED.values(), ids=INSTALLED)
def test_names_mix_with_a_real_azureml_core(form: str, files: list[str], tmp_path: Path) -> None:
    write(tmp_path, *files)
    write(tmp_path, "azureml/core/__init__.py", text="Workspace = 'real'")
    write(tmp_path, "azureml/core/model.py", text="Model = 'real model'")
    real = "from azureml.core import Workspace; from azureml.core.model import Model\n"
    real += "assert (Workspace, Model) == ('real', 'real model')\n"

    assert run(BOTH + real + form, tmp_path) == "True"


def test_a_real_contrib_services_wins(tmp_path: Path) -> None:
    write(tmp_path, "azureml/contrib/services/aml_request.py", text="rawhttp = 'real'")

    printed = run(
        "from azureml.contrib.services.aml_request import rawhttp; print(rawhttp)", tmp_path
    )

    assert printed == "real"


# An import of anything else of azureml-core: how it ends.
REFUSED = [
    "from azureml.core import Workspace",
    "from azureml.core.model import InferenceConfig",
    "import azureml.core.webservice",
    "from azureml.core.authentication import MsiAuthentication",
    "from azureml.core.model import Model; Model('workspace', 'name')",
    "from azureml.core.model import Model; Model.register",
]


@pytest.mark.parametrize("code", REFUSED)
def test_anything_else_of_azureml_core_names_the_package_to_install(
    code: str, tmp_path: Path
) -> None:
    assert run(code, tmp_path).endswith("pip install azureml-core")


@pytest.mark.parametrize(
    "code",
    [
        "import azureml.dataprep",
        "from azureml.contrib.services.aml_request import nothing",
        "from azureml.contrib import nothing",
    ],
)
def test_other_missing_names_fail_as_always(code: str, tmp_path: Path) -> None:
    ended = run(code, tmp_path)

    assert ended.startswith(("ModuleNotFoundError: No module", "ImportError: cannot import name"))


def test_a_script_can_ask_whether_azureml_core_is_complete(tmp_path: Path) -> None:
    code = """
    try:
        from azureml.core import Run
    except ImportError:
        Run = None
    import azureml.core
    print(Run, hasattr(azureml.core, "Run"))
    """

    assert run(code, tmp_path) == "None False"


def test_without_the_call_nothing_is_provided(tmp_path: Path) -> None:
    code = (
        "import sys, azureml_inference_server_http.server, azmlinfsrv.script.compat; import azureml"
    )

    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )

    assert ended.stderr.splitlines()[-1] == "ModuleNotFoundError: No module named 'azureml'"


# Files of the working folder, the model directory, the arguments, and what is found (X9).
MODELS: dict[str, tuple[list[str], str | None, str, str]] = {
    "registered file": (["azureml-models/m/1/m.pkl"], None, "'m'", "azureml-models/m/1/m.pkl"),
    "registered folder": (["azureml-models/m/1/d/x"], None, "'m'", "azureml-models/m/1/d"),
    "latest by number": (
        ["azureml-models/m/9/a", "azureml-models/m/10/b"],
        None,
        "'m'",
        "azureml-models/m/10/b",
    ),
    "a version": (
        ["azureml-models/m/9/a", "azureml-models/m/10/b"],
        None,
        "'m', version=9",
        "azureml-models/m/9/a",
    ),
    "arguments by position": (
        ["azureml-models/m/9/a"],
        None,
        "'m', '9', object()",
        "azureml-models/m/9/a",
    ),
    "arguments by name": (
        ["m.pkl"],
        None,
        "model_name='m.pkl', version=None, _workspace=None",
        "m.pkl",
    ),
    "a file of that name": (["m.pkl"], None, "'m.pkl'", "m.pkl"),
    "a folder of that name": (["m/1/a", "m/1/b"], None, "'m'", "m"),
    "registered before local": (
        ["azureml-models/m/1/a", "m"],
        None,
        "'m'",
        "azureml-models/m/1/a",
    ),
    "in the model directory": (["models/m.pkl"], "models", "'m.pkl'", "models/m.pkl"),
    "a version in it": (["models/m/2/a"], "models", "'m'", "models/m/2/a"),
    "it is the version": (["x/m/2/a", "x/m/3/b"], "x/m/2", "'m'", "x/m/2/a"),
    "local before model directory": (["m", "models/m"], "models", "'m'", "m"),
    "hidden files do not count": (
        ["azureml-models/m/1/.amlignore", "azureml-models/m/1/m.pkl"],
        None,
        "'m'",
        "azureml-models/m/1/m.pkl",
    ),
}


@pytest.mark.parametrize(
    ("files", "model_dir", "arguments", "expected"), MODELS.values(), ids=MODELS
)
def test_a_model_is_found(
    files: list[str], model_dir: str | None, arguments: str, expected: str, tmp_path: Path
) -> None:
    write(tmp_path, *files)

    printed = run(
        f"from azureml.core.model import Model; print(Model.get_model_path({arguments}))",
        tmp_path,
        model_dir,
    )

    assert printed == str(tmp_path / expected)


NO_MODELS = {
    "nothing": ([], "'m'", "Model 'm' is at none of these: "),
    "no such version": (["azureml-models/m/1/a"], "'m', 2", "Model 'm', version 2, is at none"),
    "two entries": (
        ["azureml-models/m/1/a", "azureml-models/m/1/b"],
        "'m'",
        "holds 2 entries; it has to hold one.",
    ),
}


@pytest.mark.parametrize(("files", "arguments", "message"), NO_MODELS.values(), ids=NO_MODELS)
def test_a_missing_model_says_where_it_was_looked_for(
    files: list[str], arguments: str, message: str, tmp_path: Path
) -> None:
    write(tmp_path, *files)

    ended = run(
        f"from azureml.core.model import Model; Model.get_model_path({arguments})", tmp_path
    )

    assert ended.startswith("FileNotFoundError: ")
    assert message in ended
