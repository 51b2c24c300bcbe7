"""Hints about what libraries raise: models that do not fit, data of the wrong shape.

Never imports a library: what is loaded is found in `sys.modules`. Where a library raises
a plain ValueError, its text is all there is to go by; the words are those of scikit-learn
1.x, NumPy 1.x and 2.x, pandas 2.x and PyTorch 2.x.
"""

from __future__ import annotations

import re
import sys
from typing import Any

from azmlinfsrv.script.case import Case, version_of
from azmlinfsrv.script.file_hints import COLLECTOR_VARIABLES

_UNPICKLERS = ("pickle", "joblib", "dill", "cloudpickle", "torch.serialization", "pandas.io.pickle")
_LOADERS = ("load(", "loads(", "read_pickle(", "load_model(")
_CLASS_NOT_FOUND = re.compile(r"Can't get attribute '([\w.]+)' on <module '([\w.]+)'")
_FEATURES = re.compile(r"has (\d+) features?, but (\w+) is expecting (\d+) features?")
_SHAPES = re.compile(r"\(\d*(?:,\s?\d*)*\)")
_DAMAGED = ("UnpicklingError", "BadZipFile", "EOFError", "BadGzipFile", "LZMAError")

# What NumPy, torch, LightGBM and XGBoost say of arrays of objects.
_OBJECT_ARRAYS = (
    "numpy.object_",
    "not supported for the input types",
    "loop of ufunc does not support argument",
    "pandas dtypes must be int",
    "DataFrame.dtypes for data must be int",
)


def unpickle_module(case: Case) -> str:
    if not _is_unpickling(case):
        return ""
    name = str(getattr(case.error, "name", "") or "")
    top = name.partition(".")[0]
    if name.startswith("numpy._core") and version_of("numpy").startswith("1."):
        return (
            f"The model was saved with NumPy 2, but {version_of('numpy')} is installed. Install "
            '"numpy>=2", or save the model again with the installed version.'
        )
    distribution = {"sklearn": "scikit-learn"}.get(top, top)
    version = version_of(distribution)
    if version:
        return (
            f"The model needs {name}, which {distribution} {version} does not have. Install the "
            f"version of {distribution} it was trained with, or train it again."
        )
    return (
        f"The model was saved by code that imports {name}. Install that package, or put your own "
        f"module of this name beside {case.script}."
    )


def unpickle_class(case: Case) -> str:
    # The unpickler in C leaves no frame and no attribute.
    found = _CLASS_NOT_FOUND.search(case.text)
    if not found or not _is_unpickling(case):
        return ""
    name, module = found.groups()
    # Under `python -m package` the main module calls itself package.__main__.
    last = module.rpartition(".")[2]
    if last in ("__main__", "__mp_main__", "entry_module"):
        return (
            f"The model refers to {name} of the script it was trained in ({last}). Move {name} "
            "into a module of its own that training and scoring both import, and save the model "
            "again."
        )
    return (
        f"The model refers to {module}.{name}, which this {module} does not have. Use the version "
        "of the code it was trained with."
    )


def model_version(case: Case) -> str:
    """A scikit-learn model saved by another version."""
    error: Any = case.error
    if type(error).__name__ == "InconsistentVersionWarning":
        return _other_version(
            str(error.original_sklearn_version), str(error.current_sklearn_version)
        )
    owner = getattr(error, "obj", None)
    if not type(owner).__module__.startswith("sklearn."):
        return ""
    # Only pickling writes the version into the state, so fresh models have none.
    saved = getattr(owner, "__dict__", {}).get("_sklearn_version", "")
    installed = version_of("scikit-learn")
    if saved and saved != installed:
        return _other_version(saved, installed)
    if case.passed("sklearn"):
        return (
            f"The model has no {error.name}, as one saved by another version of scikit-learn. "
            f"{installed} is installed: use the version it was trained with."
        )
    return ""


def _other_version(saved: str, installed: str) -> str:
    return (
        f"The model was saved with scikit-learn {saved}, but {installed} is installed. Install "
        f'"scikit-learn=={saved}", or train and save it again.'
    )


def data_collector(case: Case) -> str:
    return COLLECTOR_VARIABLES if case.passed("azureml.ai.monitoring") else ""


def damaged_model(case: Case) -> str:
    kind = type(case.error).__name__
    text = case.text
    if "allow_pickle=False" in text:
        return "The file holds Python objects: np.load(path, allow_pickle=True), if you trust it."
    if "Weights only load failed" in text:
        return (
            "torch.load reads weights only since PyTorch 2.6. Save a state_dict, or pass "
            "weights_only=False if you trust the file."
        )
    if kind not in _DAMAGED and not isinstance(case.error, EOFError):
        return ""
    if not _is_unpickling(case) and not any(it in case.line for it in (*_LOADERS, "open(")):
        return ""
    if "invalid load key, 'v'" in text:
        return (
            "The file is probably a pointer of Git LFS, not the model. Fetch it with "
            "`git lfs pull`."
        )
    if "invalid load key, '<'" in text:
        return "The file is probably a web page, not the model. Check how it was downloaded."
    return (
        "The model file is empty, cut off, or in another format. Compare its size with the "
        "original, and load it with the library that saved it."
    )


def cuda(case: Case) -> str:
    text = case.text
    if "deserialize object on a CUDA device" in text:
        return (
            "The model was saved on a GPU, and there is none here. Load it with "
            'torch.load(path, map_location="cpu").'
        )
    if "not compiled with CUDA" in text or "Found no NVIDIA driver" in text:
        return (
            "CUDA is not available here. Choose the device at run time: "
            '`device = "cuda" if torch.cuda.is_available() else "cpu"`.'
        )
    if "CUDA out of memory" in text or type(case.error).__name__ == "OutOfMemoryError":
        return (
            "The GPU's memory is full. Each worker process loads its own model: use "
            "--worker_count 1, a smaller batch, and torch.inference_mode()."
        )
    if "re-initialize CUDA in forked" in text:
        return "CUDA was used before the process was forked. Use it in init() and run() only."
    if "Expected all tensors to be on the same device" in text:
        return "Model and input are on different devices. Move the input: `x = x.to(device)`."
    return ""


def object_array(case: Case) -> str:
    if not any(it in case.text for it in _OBJECT_ARRAYS):
        return ""
    return (
        "The array has dtype object: its values are not all numbers, or its rows differ in "
        "length. Print x.dtype, clean the values, and convert them: np.array(rows, dtype=float), "
        "or frame.astype(float)."
    )


def not_fitted(case: Case) -> str:
    if type(case.error).__name__ != "NotFittedError":
        return ""
    return "The model was saved before it was trained. Call fit() first, then save it again."


def feature_count(case: Case) -> str:
    found = _FEATURES.search(case.text)
    if not found:
        return ""
    got, model, expected = found.groups()
    return (
        f"Each row has {got} values, but {model} was trained on {expected}. Send rows of "
        f"{expected} values: the data has shape (rows, {expected})."
    )


def feature_names(case: Case) -> str:
    if "feature names should match" not in case.text and "columns are missing" not in case.text:
        return ""
    return (
        "The columns differ from those of training, in name or order. Select them in that order "
        "before predict: `frame = frame[model.feature_names_in_]`."
    )


def one_row(case: Case) -> str:
    if "Expected 2D array, got" not in case.text:
        return ""
    return (
        "The model expects rows: shape (rows, features). For one row write [[1, 2, 3]] instead of "
        "[1, 2, 3], or use x.reshape(1, -1)."
    )


def array_shapes(case: Case) -> str:
    text = case.text
    marks = ("could not be broadcast", "not aligned", "mismatch in its core dimension")
    if not any(it in text for it in marks) and "cannot reshape array" not in text:
        return ""
    shapes = [it for it in _SHAPES.findall(text) if any(char.isdigit() for char in it)]
    if "cannot reshape" in text:
        return (
            "The number of values does not fit the shape asked for. Print x.shape, and let one "
            "dimension be -1: x.reshape(-1, features)."
        )
    named = f" ({' and '.join(shapes[:2])})" if len(shapes) > 1 else ""
    return (
        f"Two arrays do not fit{named}. Print the .shape of both, and compare the input with the "
        "data of training."
    )


def ragged_rows(case: Case) -> str:
    if "inhomogeneous shape" in case.text or "array element with a sequence" in case.text:
        return (
            "The rows of the input differ in length. Send the same number of values in every row."
        )
    return ""


def not_numbers(case: Case) -> str:
    text = case.text
    if "could not convert string to float" in text or "bytes/strings" in text:
        return (
            "A column holds text where the model takes numbers. Send numbers, or encode the column "
            "as in training."
        )
    if "numpy.object_" in text or "dtype object" in text or "must be int, float" in text:
        return (
            "The array has dtype object: it mixes types, or its rows differ in length. Convert it "
            'with .astype("float32").'
        )
    if "contains NaN" in text or "contains infinity" in text:
        return (
            "The input has missing or infinite values. Fill or drop them before predict, as in "
            "training."
        )
    return ""


def missing_column(case: Case) -> str:
    if not case.passed("pandas") or not case.error.args:
        return ""
    wanted = str(case.error.args[0])
    pandas = sys.modules.get("pandas")
    frames: list[Any] = [
        it
        for it in case.locals.values()
        if pandas is not None and isinstance(it, getattr(pandas, "DataFrame", ()))
    ]
    count = f"; it has {len(frames[0].columns)}" if len(frames) == 1 else ""
    quoted = wanted if wanted.startswith(("None of", "[", '"')) else repr(wanted)
    return (
        f"The DataFrame lacks columns the script asks for ({quoted}{count}). Send every column by "
        "its name, in upper and lower case as in training."
    )


def event_loop_running(case: Case) -> str:
    module, function = case.innermost
    starts = module in ("asyncio.runners", "asyncio.base_events")
    if not starts or function not in ("run", "_check_running", "run_until_complete"):
        return ""
    return (
        f"{case.function}() already runs in an event loop. Write `await ...` instead of "
        "asyncio.run(...) inside `async def`, or make it a plain `def`."
    )


def no_event_loop(case: Case) -> str:
    # asyncio raises a plain RuntimeError, partly from C: its words are all there is.
    if "no running event loop" not in case.text and "no current event loop" not in case.text:
        return ""
    return "There is no event loop in this thread. Use asyncio.run(...), or make run() `async def`."


def no_request(case: Case) -> str:
    if not case.passed("werkzeug.local"):
        return ""
    return (
        "flask.request exists only while a request is scored. Use it in run(), not in init() or in "
        "a thread of its own, and copy what is needed later."
    )


def _is_unpickling(case: Case) -> bool:
    if any(case.passed(it) for it in _UNPICKLERS):
        return True
    return any(it in case.line for it in _LOADERS)
