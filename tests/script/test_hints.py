"""Every hint has a script that is broken that way; the report names line and next step."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import pytest

from azmlinfsrv.errors import (
    BadInput,
    EncodingFailed,
    Interruption,
    ScriptError,
    UnsupportedMediaType,
)
from azmlinfsrv.script.case import Case
from azmlinfsrv.script.hints import HINTS, find_hint
from azmlinfsrv.script.json_text import NOT_JSON
from azmlinfsrv.script.location import find_spot
from azmlinfsrv.script.report import Surroundings, describe
from tests.script.conftest import BROKEN, Fail

# Script, what run() receives, location, hint, words of the hint.
RAISING = [
    # imports
    ("missing_module.py", "", ":1", "missing-module", "install notinstalledanywhere"),
    ("missing_distribution.py", "", ":1", "distribution-name", "pyserial"),
    ("missing_protobuf.py", "", ":3", "distribution-name", 'install "protobuf"'),
    ("main_missing/score.py", "", ":1", "missing-module", "No main.py is importable"),
    ("missing_azureml_core.py", "", ":1", "missing-azureml-core", "install azureml-core"),
    ("missing_submodule.py", "", ":2", "missing-submodule", "has no numpy.linalgebra"),
    ("moved_module.py", "", ":2", "missing-name|missing-submodule", "write `import joblib`"),
    ("missing_name_installed.py", "", ":1", "missing-name", "has no json.loadz. Did you mean load"),
    ("own_name/score.py", "", ":1", "missing-name", "features.py does not define scail"),
    ("relative_import.py", "", ":1", "relative-import", "`from features import scale`"),
    ("circular/score.py", "", "second.py:1", "circular-import", "second.py and first.py import"),
    ("sibling/score.py", "", ":1", "misspelt-module", "did you mean preprocessing?"),
    ("elsewhere/score.py", "", ":1", "module-elsewhere", "AZUREML_SOURCE_DIRECTORY=lib"),
    ("hidden/score.py", "", ":1", "hidden-file", "Rename your file"),
    ("shared_library.py", "", ":1", "shared-library", "opencv-python-headless"),
    ("binary_mismatch.py", "", ":1", "binary-mismatch", '"numpy<2"'),
    ("removed_module.py", "", ":1", "removed-from-python", "use importlib"),
    # the script's structure
    ("notebook_renamed.py", "", ":1", "notebook-as-script", "nbconvert"),
    ("python2.py", "", ":6", "python-2-print", "write print(...)"),
    ("tabs.py", "", ":3", "tabs-and-blanks", "mixes tabs and blanks"),
    ("indentation.py", "", ":2", "indentation", "same column"),
    ("magic.py", "", ":1", "notebook-command", "notebooks only"),
    ("conflict.py", "", ":1", "merge-conflict", "unresolved merge"),
    ("curly.py", "", ":1", "curly-quotes", "typographic quotes"),
    ("windows_path.py", "", ":1", "windows-path", "with r in front"),
    ("latin1.py", "", "latin1.py", "file-encoding", "Line 2 of latin1.py is not UTF-8"),
    ("utf16.py", "", "", "file-encoding", "UTF-16"),
    ("exits.py", "", ":3", "script-exits", "exits.py ended the process"),
    ("exits_in_init.py", "", ":4 in init", "script-exits", "init() ended the process"),
    ("argparse_in_script.py", "", ":5", "argparse-in-script", "environment variables"),
    ("recursive.py", "", ":2 in init", "recursion", "init() calls itself"),
    ("init_with_argument.py", "", ":1", "init-arguments", "requires path"),
    ("global_forgotten.py", "", ":6 in run", "global-forgotten", "`global model`"),
    ("unbound.py", "", ":8 in run", "global-forgotten", "`global count`"),
    ("model_none.py", "", ":8 in run", "model-is-none", "`global model`"),
    ("none_subscript.py", "", ":8 in run", "model-is-none", "settings is None here"),
    ("no_numpy_import.py", "", ":6 in run", "import-forgotten", "`import numpy as np`"),
    ("no_json_import.py", "", ":6 in run", "import-forgotten", "`import json`"),
    ("name_typo.py", "", ":7 in run", "import-forgotten", "Did you mean result?"),
    # files and the machine
    ("missing_file.py", "", ":2 in init", "missing-file", "--model_dir"),
    ("relative_path/score.py", "", ":2 in init", "missing-file", "os.path.dirname(__file__)"),
    ("model_dir_unset.py", "", ":4 in init", "environment-variable", "--model_dir"),
    ("model_dir_none.py", "", ":4 in init", "path-from-none", "--model_dir"),
    ("environment.py", "", ":4 in init", "environment-variable", "SERVICE_ENDPOINT_KEY is not set"),
    ("collector_variable.py", "", ":4 in init", "environment-variable", "LOCAL_CAPTURE=true"),
    ("permission.py", "", ":5 in init", "permission", "may not open"),
    ("port_in_use.py", "", ":6 in init", "port-in-use", "this server already answers"),
    ("network.py", "", ":6 in init", "network", "model directory"),
    ("disk_full.py", "", ":5 in init", "disk", "disk is full"),
    ("memory.py", "", ":2 in init", "memory", "--worker_count"),
    ("binary_as_text.py", "", ":9 in init", "binary-as-text", '"rb"'),
    # models and libraries
    ("pickle_as_text.py", "", ":10 in init", "bytes-not-str", '"rb"'),
    ("unpickle_main.py", "", ":4 in init", "unpickle-class", "Move Scaler into a module"),
    ("unpickle_module.py", "", ":6 in init", "unpickle-module", "sklearn.tree.removed"),
    ("unpickle_own.py", "", ":4 in init", "unpickle-module", "imports our_training_code"),
    ("unpickle_numpy.py", "", ":4 in init", "unpickle-module", "numpy.core_of_tomorrow"),
    ("git_lfs.py", "", ":4 in init", "damaged-model", "git lfs pull"),
    ("empty_model.py", "", ":4 in init", "damaged-model", "cut off"),
    ("numpy_pickle.py", "", ":9 in init", "damaged-model", "allow_pickle=True"),
    ("version_warning.py", "", ":7 in init", "model-version", "saved with scikit-learn 0.24.2"),
    ("old_model.py", "", ":10 in run", "model-version", '"scikit-learn==0.24.2"'),
    ("cuda_model.py", "", ":2 in init", "cuda", 'map_location="cpu"'),
    ("cuda_missing.py", "", ":2 in init", "cuda", "torch.cuda.is_available()"),
    ("not_fitted.py", "", ":8 in run", "not-fitted", "Call fit() first"),
    ("feature_count.py", "", ":9 in run", "feature-count", "3 values, but LinearRegression was"),
    ("feature_names.py", "", ":10 in run", "feature-names", "feature_names_in_"),
    ("one_row.py", "", ":9 in run", "one-row", "reshape(1, -1)"),
    ("not_numbers.py", "", ":9 in run", "not-numbers", "Send numbers"),
    ("not_a_number.py", "", ":9 in run", "not-numbers", "missing or infinite"),
    ("array_shapes.py", "", ":8 in run", "array-shapes", "((3,) and (4,))"),
    ("matrix_shapes.py", "", ":8 in run", "array-shapes", ".shape of both"),
    ("reshape.py", "", ":8 in run", "array-shapes", "reshape(-1, features)"),
    ("ragged.py", "", ":8 in run", "ragged-rows", "differ in length"),
    ("missing_column.py", "", ":9 in run", "missing-column", "'age'"),
    ("missing_columns.py", "", ":9 in run", "missing-column", "height"),
    ("no_request.py", "", ":4 in init", "no-request", "Use it in run()"),
    ("no_event_loop.py", "", ":9 in run", "no-event-loop", "asyncio.run(...)"),
    # input and output
    ("run_two_arguments.py", "{}", ":5", "run-arguments", "give threshold a default"),
    ("schema_name.py", "{}", ":10", "run-arguments", "names the parameter inputs"),
    ("not_parsed.py", "{}", ":6 in run", "input-not-parsed", "`data = json.loads(data)`"),
    ("not_parsed_get.py", "{}", ":6 in run", "input-not-parsed", "`data = json.loads(data)`"),
    ("json_in_json.py", '"{}"', ":9 in run", "json-in-json", "json.dumps applied twice"),
    ("json_loads_dict.py", "{}", ":9 in run", "json-loads-of-value", "given a dict"),
    ("json_list.py", "[1]", ":9 in run", "list-not-object", "asks it for 'data'"),
    ("json_list_get.py", "[1]", ":9 in run", "list-not-object", "asks it for 'data'"),
    ("invalid_json.py", "{'a'", ":8 in run", "invalid-json", "double quotes"),
    ("invalid_json.py", "", ":8 in run", "invalid-json", "had no body"),
    ("invalid_config.py", "", ":3", "invalid-json", "line 1, column 2"),
    ("missing_key.py", "{}", ":9 in run", "missing-key", "parsed.get('data')"),
    ("dumps_array.py", "", ":10 in run", "not-serialisable", ".tolist()"),
    ("dumps_date.py", "", ":9 in run", "not-serialisable", ".isoformat()"),
    ("bytes_and_str.py", "", ":6 in run", "bytes-not-str", ".decode()"),
    ("object_array.py", "", ":9 in run", "object-array", "dtype=float"),
    ("lightgbm_dtypes.py", "", ":6 in run", "object-array", "frame.astype(float)"),
    ("unknown_key.py", '{"unit": "yard"}', ":10 in run", "missing-key", "look at what unit is"),
    ("base64_prefix.py", "", ":8 in run", "base64", "data:image/png;base64,"),
]

# Scripts the loader refuses without an exception of the user's.
REFUSED = [
    ("notebook.ipynb", "", "notebook-as-script", "nbconvert"),
    ("score.txt", "", "not-a-python-file", "does not end in .py"),
    ("sibling", "", "not-a-python-file", "is a folder"),
    ("Exits.py.py", "", "script-not-found", "did you mean"),
    ("no_init/score.py", "", "missing-function", "Add `def init():`"),
    ("no_run/score.py", "", "missing-function", "Add `def run(data):`"),
    ("misspelt_init.py", "misspelt_init.py:1", "missing-function", "did you mean init()?"),
    ("upper_case_run.py", "upper_case_run.py:5", "missing-function", "did you mean run()?"),
    ("run_in_class.py", "run_in_class.py:6", "missing-function", "top level"),
    ("functions_in_other/main.py", "", "missing-function", "score_functions.py defines init()"),
    ("run_positional.py", "run_positional.py:5", "run-signature", "Remove the `/`"),
    ("run_without_argument.py", "run_without_argument.py:5", "run-signature", "def run(data)"),
    ("run_only_headers.py", "run_only_headers.py:5", "run-signature", "headers only"),
    ("run_wrapped.py", "run_wrapped.py:12", "run-signature", "functools.wraps"),
]


def _hint_name(error: BaseException, where: Surroundings) -> str:
    return find_hint(Case(error, where, find_spot(error, where), str(error)))[0]


@pytest.fixture(autouse=True)
def _no_model_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AZUREML_MODEL_DIR", raising=False)
    monkeypatch.delenv("AZUREML_MDC_ENABLED", raising=False)
    monkeypatch.setattr(sys, "argv", ["azmlinfsrv"])


@pytest.mark.parametrize(("script", "body", "location", "name", "words"), RAISING)
def test_report_names_the_line_and_the_next_step(
    fail: Fail, script: str, body: str, location: str, name: str, words: str
) -> None:
    where = Surroundings(script=str(BROKEN / script))

    error = fail(where, body)
    report = describe(error, "It failed", where)

    assert _hint_name(error, where) in name.split("|")
    assert words in report.hint
    assert location in report.location
    assert report.source == [] or any(line.is_failing for line in report.source)


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
@pytest.mark.parametrize(
    ("script", "name", "words"),
    [
        ("not_awaited.py", "not-awaited", "write `await fetch(...)`"),
        ("not_awaited_name.py", "not-awaited", "write `await fetch(...)`"),
        ("running_loop.py", "event-loop-running", "Write `await ...` instead"),
    ],
)
def test_coroutine_that_is_not_awaited_is_explained(
    fail: Fail, script: str, name: str, words: str
) -> None:
    where = Surroundings(script=str(BROKEN / script))

    error = fail(where)
    report = describe(error, "It failed", where)

    assert _hint_name(error, where) == name
    assert words in report.hint
    assert " in run" in report.location
    # Here, where its warning is expected, and not in some later test.
    del error
    gc.collect()


@pytest.mark.parametrize(("script", "location", "name", "words"), REFUSED)
def test_report_explains_a_script_that_is_refused(
    script: str, location: str, name: str, words: str
) -> None:
    where = Surroundings(script=str(BROKEN / script))
    error = ScriptError("It is refused.")

    report = describe(error, "It failed", where)

    assert _hint_name(error, where) == name
    assert words in report.hint
    assert report.location == location


def test_file_elsewhere_in_the_model_directory_is_found(
    fail: Fail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "v1").mkdir()
    (tmp_path / "v1" / "model.pkl").touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    where = Surroundings(script=str(BROKEN / "model_file.py"), model_dir=str(tmp_path))

    report = describe(fail(where), "It failed", where)

    assert 'os.path.join(os.environ["AZUREML_MODEL_DIR"], "v1", "model.pkl")' in report.hint


def test_missing_model_lists_what_the_model_directory_holds(
    fail: Fail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights.onnx").touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    where = Surroundings(script=str(BROKEN / "model_file.py"), model_dir=str(tmp_path))

    report = describe(fail(where), "It failed", where)

    assert report.hint.endswith("which holds weights.onnx.")


def test_folder_opened_as_a_file_lists_its_files(
    fail: Fail, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model.pkl").touch()
    monkeypatch.setenv("AZUREML_MODEL_DIR", str(tmp_path))
    where = Surroundings(script=str(BROKEN / "folder_as_file.py"), model_dir=str(tmp_path))

    report = describe(fail(where), "It failed", where)

    assert "It holds model.pkl." in report.hint


def test_file_that_hides_a_library_is_named(fail: Fail, monkeypatch: pytest.MonkeyPatch) -> None:
    # Only a folder in front of the standard library can do that, as with `python -m`.
    monkeypatch.syspath_prepend(str(BROKEN / "shadow"))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    where = Surroundings(script=str(BROKEN / "shadow" / "score.py"))

    error = fail(where)

    assert _hint_name(error, where) == "shadowing-file"


def test_failing_data_collector_points_at_its_variables(
    fail: Fail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BROKEN / "collector" / "site-packages"))
    where = Surroundings(script=str(BROKEN / "collector" / "score.py"))

    report = describe(fail(where), "It failed", where)

    assert "AZUREML_MDC_ENABLED=true" in report.hint
    assert report.location == "score.py:4 in init"


def test_hint_never_writes_out_what_the_caller_sent(fail: Fail) -> None:
    where = Surroundings(script=str(BROKEN / "missing_key.py"))

    report = describe(fail(where, '{"patient": "4711"}'), "It failed", where)

    assert "4711" not in report.hint
    assert "patient" not in report.hint


# Failures of the server's own telling, of which a script alone knows nothing.
REQUESTS = [
    ("too_slow.py", Interruption("timeout"), "time-limit", "--scoring_timeout_ms"),
    ("returns_object.py", EncodingFailed(f"{NOT_JSON}: x"), "result-not-json", "into a dict"),
    ("declared.py", UnsupportedMediaType("m"), "content-type", "-H 'Content-Type: applic"),
    ("declared.py", BadInput("m"), "bad-input", 'send the JSON object {"rows": ...}'),
    ("not_parsed.py", BadInput("m"), "bad-input", "decorate run() with @rawhttp"),
]


@pytest.mark.parametrize(("script", "error", "name", "words"), REQUESTS)
def test_call_without_an_exception_of_the_scripts_is_explained(
    script: str, error: BaseException, name: str, words: str
) -> None:
    where = Surroundings(script=str(BROKEN / script))

    assert _hint_name(error, where) == name
    assert words in describe(error, "It failed", where).hint


@pytest.mark.parametrize(
    ("error", "why"),
    [
        (Interruption("cancelled"), "nobody ran out of time"),
        (EncodingFailed("run() returned a response with status 999."), "it is no value"),
    ],
)
def test_hint_is_for_its_own_mistake_only(error: BaseException, why: str) -> None:
    where = Surroundings(script=str(BROKEN / "too_slow.py"))

    assert _hint_name(error, where) == "", why


# What the tables do not say: hints with a test of their own.
ELSEWHERE = {
    "shadowing-file": "test_file_that_hides_a_library_is_named",
    "data-collector": "test_failing_data_collector_points_at_its_variables",
    "folder-as-file": "test_folder_opened_as_a_file_lists_its_files",
    "not-awaited": "test_coroutine_that_is_not_awaited_is_explained",
    "event-loop-running": "test_coroutine_that_is_not_awaited_is_explained",
}


def test_every_hint_has_a_broken_script() -> None:
    tried = {name for row in RAISING for name in row[3].split("|")}
    tried |= {row[2] for row in REFUSED} | {row[2] for row in REQUESTS} | set(ELSEWHERE)

    assert all(test in globals() for test in ELSEWHERE.values())
    assert tried == {hint.name for hint in HINTS}
    assert len(tried) >= 30


def test_names_of_hints_are_unique() -> None:
    names = [hint.name for hint in HINTS]

    assert len(names) == len(set(names))


def test_hint_that_fails_is_passed_over() -> None:
    class HostileError(KeyError):
        @property
        def args(self) -> tuple[object, ...]:  # type: ignore[override]  # hostile on purpose
            raise ZeroDivisionError

    assert find_hint(Case(HostileError(), Surroundings(script="x.py"), None, "")) == ("", "")
