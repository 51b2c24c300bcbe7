"""Hints about imports: packages that are missing, files that cannot be found or hide others."""

from __future__ import annotations

import ast
import os
import re
import sys
from types import ModuleType

from azmlinfsrv.script.case import (
    Case,
    closest,
    is_standard_module,
    parsed,
    top_level_names,
    version_of,
)
from azmlinfsrv.script.location import user_file_name

# Import name to the name the package is installed by.
_DISTRIBUTIONS = {
    "Bio": "biopython",
    "Crypto": "pycryptodome",
    "Levenshtein": "python-Levenshtein",
    "MySQLdb": "mysqlclient",
    "OpenSSL": "pyOpenSSL",
    "PIL": "Pillow",
    "attr": "attrs",
    "azure.ai.ml": "azure-ai-ml",
    "azure.cosmos": "azure-cosmos",
    "azure.identity": "azure-identity",
    "azure.keyvault.secrets": "azure-keyvault-secrets",
    "azure.storage.blob": "azure-storage-blob",
    "azureml.ai.monitoring": "azureml-ai-monitoring",
    "bs4": "beautifulsoup4",
    "cv2": "opencv-python-headless",
    "dateutil": "python-dateutil",
    "docx": "python-docx",
    "dotenv": "python-dotenv",
    "faiss": "faiss-cpu",
    "fitz": "PyMuPDF",
    "git": "GitPython",
    "google.cloud.storage": "google-cloud-storage",
    "google.protobuf": "protobuf",
    "grpc": "grpcio",
    "jose": "python-jose",
    "jwt": "PyJWT",
    "magic": "python-magic",
    "mlflow.pyfunc": "mlflow",
    "opentelemetry": "opentelemetry-api",
    "osgeo": "GDAL",
    "pkg_resources": "setuptools<81",
    "pptx": "python-pptx",
    "psycopg2": "psycopg2-binary",
    "pythoncom": "pywin32",
    "pytorch_lightning": "pytorch-lightning",
    "sentence_transformers": "sentence-transformers",
    "serial": "pyserial",
    "skimage": "scikit-image",
    "sklearn": "scikit-learn",
    "socks": "PySocks",
    "tensorflow_hub": "tensorflow-hub",
    "usb": "pyusb",
    "websocket": "websocket-client",
    "win32com": "pywin32",
    "wx": "wxPython",
    "yaml": "PyYAML",
    "zmq": "pyzmq",
}
# Modules Python no longer has: since when, and what to use.
_REMOVED = {
    "asynchat": ("3.12", "use asyncio"),
    "asyncore": ("3.12", "use asyncio"),
    "cgi": ("3.13", "install legacy-cgi"),
    "crypt": ("3.13", "use hashlib, or install legacycrypt"),
    "distutils": ("3.12", "install setuptools, which brings it"),
    "imghdr": ("3.13", "install standard-imghdr, or use Pillow"),
    "imp": ("3.12", "use importlib"),
    "pipes": ("3.13", "use shlex and subprocess"),
    "sndhdr": ("3.13", "install standard-sndhdr"),
    "telnetlib": ("3.13", "install standard-telnetlib"),
}
# Submodules that moved away: what to write instead.
_MOVED = {
    "sklearn.externals.joblib": "write `import joblib`",
    "sklearn.externals": "write `import joblib`",
    "sklearn.cross_validation": "write `from sklearn.model_selection import ...`",
    "keras.preprocessing": "write `from tensorflow.keras.preprocessing import ...`",
    "pandas.util.testing": "write `import pandas.testing`",
    "numpy.testing.decorators": "write `import numpy.testing`",
}
_LIBRARIES = {
    "libGL": "install opencv-python-headless instead of opencv-python, or the system package "
    "libgl1",
    "libgthread": "install opencv-python-headless instead of opencv-python",
    "libgomp": "install the system package libgomp1 (apt-get install libgomp1)",
    "libomp": "install OpenMP (apt-get install libomp5; brew install libomp)",
    "libcud": "install a build of the library for the CPU, or run on a machine with CUDA",
    "libcublas": "install a build of the library for the CPU, or the CUDA libraries it was built "
    "for",
    "libmagic": "install the system package libmagic1",
    "libsndfile": "install the system package libsndfile1",
    "libodbc": "install the system package unixodbc",
    "libzbar": "install the system package libzbar0",
}
_SHARED_OBJECT = re.compile(r"(lib[\w+-]+)[\w.]*\.(?:so|dylib)")


def azureml_core(case: Case) -> str:
    name = _asked(case)
    if name == "azureml.core" or name.startswith("azureml.core."):
        return (
            "azureml-core is not installed. Of it the server itself provides only "
            "`from azureml.core.model import Model` with Model.get_model_path(); install "
            "azureml-core for more, or take the model from os.environ['AZUREML_MODEL_DIR']."
        )
    return ""


def relative_import(case: Case) -> str:
    statement = case.statement
    if not isinstance(statement, ast.ImportFrom) or not statement.level:
        return ""
    if case.globals.get("__package__"):
        return ""
    target = statement.module or ", ".join(alias.name for alias in statement.names)
    names = ", ".join(alias.name for alias in statement.names)
    fixed = f"from {target} import {names}" if statement.module else f"import {target}"
    return (
        f"The entry script is not part of a package, so it has no relative imports. Write "
        f"`{fixed}`: the script's own folder is importable."
    )


def circular_import(case: Case) -> str:
    """A module that is asked for a name while its own top level is still on the stack."""
    path = _imported_file(case)
    if not path or not user_file_name(path, case.where):
        return ""
    at_top = [
        frame.f_code.co_filename
        for frame in case.frames
        if frame.f_code.co_name == "<module>" and os.path.isfile(frame.f_code.co_filename)
    ]
    if not case.spot or not any(os.path.samefile(path, it) for it in at_top):
        return ""
    if os.path.samefile(path, case.spot.file):
        return ""
    return (
        f"{case.spot.name} and {case.show(path)} import each other, and {case.show(path)} is not "
        "finished yet. Import inside the function that needs it, or move what both use into a "
        "third file."
    )


def shadowing_file(case: Case) -> str:
    """A file of the user's that stands in for a library of the same name."""
    path = _imported_file(case)
    if not path or not user_file_name(path, case.where):
        return ""
    module = _imported_name(case)
    top = module.partition(".")[0]
    if top and (is_standard_module(top) or version_of(_DISTRIBUTIONS.get(top, top))):
        kind = "the standard library's" if is_standard_module(top) else "the installed"
        return f"Your file {case.show(path)} hides {kind} module {top}. Rename the file."
    return ""


def hidden_file(case: Case) -> str:
    """A file of the user's that is never found, because a library has its name."""
    path = _imported_file(case)
    module = _imported_name(case)
    if not path or not module or user_file_name(path, case.where):
        return ""
    top = module.partition(".")[0]
    own = [it for it in case.source_files if os.path.basename(it) == f"{top}.py"]
    if not own:
        return ""
    return (
        f"`{top}` is found at {path}, not in your {case.show(own[0])}: installed packages and the "
        "standard library come first. Rename your file."
    )


def module_elsewhere(case: Case) -> str:
    """The file or folder exists in the user's code, but not where Python looks."""
    name = _missing(case)
    top, _, rest = name.partition(".")
    if not top or is_standard_module(top):
        return ""
    last = name.rpartition(".")[2]
    for file in case.source_files:
        folder, base = os.path.split(file)
        if base == "__init__.py":
            folder, base = os.path.split(folder)
        if base not in (f"{last}.py", last):
            continue
        holder = os.path.dirname(folder) if rest else folder
        if rest and os.path.basename(folder) != name.split(".")[-2]:
            continue
        if holder in case.where.folders or holder in sys.path:
            continue
        return _how_to_reach(case, name, holder)
    return ""


def _how_to_reach(case: Case, name: str, holder: str) -> str:
    root = case.where.app_root and os.path.abspath(case.where.app_root)
    found = f"{name} is in the folder {case.show(holder)}, which is not importable."
    for folder in case.where.folders:
        inside = os.path.relpath(holder, folder)
        if not inside.startswith(os.pardir) and all(
            it.isidentifier() for it in inside.split(os.sep)
        ):
            dotted = inside.replace(os.sep, ".")
            found += f" Import it as {dotted}.{name}"
            break
    else:
        found += " Move it beside the script"
    base = root or os.path.dirname(case.where.script_path)
    setting = os.path.relpath(holder, base).replace(os.sep, "/")
    return f"{found}, or set AZUREML_SOURCE_DIRECTORY={setting}."


def misspelt_module(case: Case) -> str:
    name = _missing(case)
    if not name or "." in name:
        return ""
    names = set()
    for file in case.source_files:
        folder, base = os.path.split(file)
        if base == "__init__.py":
            folder, base = os.path.split(folder)
        if folder in case.where.folders:
            names.add(base.removesuffix(".py"))
    names.discard(case.script.removesuffix(".py"))
    guess = closest(name, names)
    if not guess:
        return ""
    return f"There is no module {name}, but your folder has {guess}.py: did you mean {guess}?"


def removed_from_python(case: Case) -> str:
    top = _missing(case).partition(".")[0]
    if top not in _REMOVED:
        return ""
    since, instead = _REMOVED[top]
    return f"The module {top} is gone since Python {since}: {instead}."


def missing_submodule(case: Case) -> str:
    name = _missing(case)
    top, _, rest = name.partition(".")
    if name in _MOVED:
        return f"{name} does not exist any more: {_MOVED[name]}."
    module = sys.modules.get(top)
    if not rest or module is None or getattr(module, "__path__", None) is None:
        return ""
    distribution = _DISTRIBUTIONS.get(top, top)
    version = version_of(distribution)
    if not version:
        return ""
    return (
        f"{distribution} {version} is installed, but has no {name}. Check the spelling, or install "
        "the version the script was written for."
    )


def distribution_name(case: Case) -> str:
    name = _asked(case)
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        distribution = _DISTRIBUTIONS.get(".".join(parts[:length]))
        if distribution:
            return (
                f"{name} comes with the package {distribution}: "
                f'`{_pip()} install "{distribution}"`.'
            )
    return ""


def missing_module(case: Case) -> str:
    name = _missing(case)
    if not name or is_standard_module(name.partition(".")[0]):
        return ""
    top = name.partition(".")[0]
    beside = os.path.dirname(case.where.script_path) or "the script"
    if top == "main":
        return (
            f"No main.py is importable. If it is a file of yours, put it beside {case.script} "
            f"in {beside}."
        )
    return (
        f"{top} is not installed in this environment: `{_pip()} install {top}`. If it is a file "
        f"of yours, put it beside {case.script} in {beside}."
    )


def shared_library(case: Case) -> str:
    # The loader's message is all there is: neither exception has an attribute for it.
    found = _SHARED_OBJECT.search(case.text)
    if not found or "cannot open shared object" not in case.text:
        return ""
    library = found.group(1)
    for start, advice in _LIBRARIES.items():
        if library.startswith(start):
            return f"The system library {library} is missing: {advice}."
    return f"The system library {library} is missing: install the system package that holds it."


def binary_mismatch(case: Case) -> str:
    told = ("numpy.dtype size changed", "numpy.core.multiarray failed", "_ARRAY_API not found")
    if not any(it in case.text for it in told):
        return ""
    return (
        f"A package was built for another NumPy than the installed {version_of('numpy')}. Upgrade "
        'that package, or install "numpy<2".'
    )


def missing_name(case: Case) -> str:
    if isinstance(case.error, ModuleNotFoundError):
        return ""
    path = _imported_file(case)
    module = _imported_name(case)
    wanted = _wanted_name(case)
    if not module or not wanted:
        return ""
    if path and user_file_name(path, case.where):
        names = top_level_names(parsed(path))
        guess = closest(wanted, names)
        meant = f" Did you mean {guess}?" if guess else ""
        return f"{case.show(path)} does not define {wanted}.{meant}"
    if f"{module}.{wanted}" in _MOVED:
        return f"{module}.{wanted} does not exist any more: {_MOVED[f'{module}.{wanted}']}."
    top = module.partition(".")[0]
    distribution, version = _DISTRIBUTIONS.get(top, top), ""
    if is_standard_module(top):
        distribution, version = "Python", ".".join(str(it) for it in sys.version_info[:2])
    version = version or version_of(distribution)
    if not version:
        return ""
    guess = closest(wanted, dir(sys.modules.get(module)))
    meant = f" Did you mean {guess}?" if guess else ""
    return (
        f"{distribution} {version} has no {module}.{wanted}.{meant} Otherwise install the version "
        "the script was written for."
    )


def _missing(case: Case) -> str:
    name = getattr(case.error, "name", None)
    return name if isinstance(name, str) else ""


def _asked(case: Case) -> str:
    """The whole dotted name the import asks for; Python names the first part that is missing."""
    missing = _missing(case)
    statement = case.statement
    names: list[str] = []
    if isinstance(statement, ast.ImportFrom):
        names = [statement.module or ""]
    elif isinstance(statement, ast.Import):
        names = [alias.name for alias in statement.names]
    return next((it for it in names if missing and it.startswith(missing + ".")), missing)


def _imported_name(case: Case) -> str:
    owner = getattr(case.error, "obj", None)  # an AttributeError's
    if isinstance(owner, ModuleType):
        return owner.__name__
    if isinstance(case.error, AttributeError):
        return ""
    return _missing(case)


def _imported_file(case: Case) -> str:
    """The file of the module something was asked of."""
    owner = getattr(case.error, "obj", None)
    if isinstance(owner, ModuleType):
        return getattr(owner, "__file__", None) or ""
    path = getattr(case.error, "path", None)
    if isinstance(path, str):
        return path
    if isinstance(case.error, ModuleNotFoundError):
        # "No module named 'json.tool'; 'json' is not a package": a file stands in for it.
        module = sys.modules.get(_missing(case).partition(".")[0])
        if "." in _missing(case) and module and not hasattr(module, "__path__"):
            return getattr(module, "__file__", None) or ""
    return ""


def _wanted_name(case: Case) -> str:
    given = getattr(case.error, "name_from", None)  # since Python 3.12
    if isinstance(given, str):
        return given
    statement = case.statement
    if not isinstance(statement, ast.ImportFrom):
        return ""
    module = sys.modules.get(_missing(case))
    names = [alias.name for alias in statement.names]
    return next((it for it in names if not hasattr(module, it)), "")


def _pip() -> str:
    """How to install into the environment that runs: the plain name where it is active."""
    in_environment = sys.prefix != sys.base_prefix
    return f"{sys.executable} -m pip" if in_environment else "pip"
