"""What to do about the commonest mistakes in a scoring script.

A table: a name, the exceptions it can be about, and a function that looks at the `Case`
and answers with one or two sentences, or with nothing if this is not the mistake. The
first answer is given. The functions live beside their kind: imports, files, the script's own
file, its functions, the data, the model. To add a hint, write its function there, its row here, a
broken script in ``tests/scripts/broken`` and a row in ``tests/script/test_hints.py``.

A hint decides by the type and the attributes of an exception and by the user's own
source. It reads the text of an exception only where a library gives nothing else.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from azmlinfsrv.errors import (
    BadInput,
    EncodingFailed,
    Interruption,
    ScriptError,
    UnsupportedMediaType,
)
from azmlinfsrv.script import (
    data_hints,
    file_hints,
    import_hints,
    library_hints,
    request_hints,
    source_hints,
    structure_hints,
)
from azmlinfsrv.script.case import Case

__all__ = ["HINTS", "Case", "Hint", "find_hint", "hint_for"]


class Hint(NamedTuple):
    """One row of the table.

    Attributes:
        name: For tests and documents.
        about: The exceptions it can be about.
        say: What to do next; empty if this is not the mistake.
    """

    name: str
    about: tuple[type[BaseException], ...]
    say: Callable[[Case], str]


# From the particular to the general.
HINTS: tuple[Hint, ...] = (
    # Calls that end without an exception of the script's
    Hint("time-limit", (Interruption,), request_hints.time_limit),
    Hint("result-not-json", (EncodingFailed,), request_hints.result_not_json),
    Hint("content-type", (UnsupportedMediaType,), request_hints.content_type),
    Hint("bad-input", (BadInput,), request_hints.body_of_bad_input),
    # The script as a whole
    Hint("notebook-as-script", (ScriptError, SyntaxError, NameError), source_hints.notebook),
    Hint("script-not-found", (ScriptError,), source_hints.script_not_found),
    Hint("not-a-python-file", (ScriptError,), source_hints.not_python),
    Hint("missing-function", (ScriptError,), structure_hints.missing_function),
    Hint("run-signature", (ScriptError,), structure_hints.run_signature),
    Hint("init-arguments", (TypeError,), structure_hints.init_arguments),
    Hint("run-arguments", (Exception,), structure_hints.run_arguments),
    Hint("tabs-and-blanks", (TabError,), source_hints.tabs),
    Hint("merge-conflict", (SyntaxError,), source_hints.merge_conflict),
    Hint("python-2-print", (SyntaxError,), source_hints.python2_print),
    Hint("notebook-command", (SyntaxError,), source_hints.notebook_command),
    Hint("curly-quotes", (SyntaxError,), source_hints.curly_quotes),
    Hint("windows-path", (SyntaxError,), source_hints.windows_path),
    Hint("file-encoding", (SyntaxError, ValueError), source_hints.file_encoding),
    Hint("indentation", (IndentationError,), source_hints.indentation),
    Hint("argparse-in-script", (SystemExit,), structure_hints.argparse_in_script),
    Hint("script-exits", (SystemExit,), structure_hints.script_exits),
    Hint("recursion", (RecursionError,), structure_hints.recursion),
    Hint("global-forgotten", (NameError,), structure_hints.global_forgotten),
    Hint("import-forgotten", (NameError,), structure_hints.import_forgotten),
    Hint("model-is-none", (AttributeError, TypeError), structure_hints.value_is_none),
    # Unpickling comes before imports: what is missing is not the script's import
    Hint("unpickle-module", (ModuleNotFoundError,), library_hints.unpickle_module),
    Hint("unpickle-class", (AttributeError,), library_hints.unpickle_class),
    Hint("model-version", (Warning, AttributeError), library_hints.model_version),
    # Imports
    Hint("data-collector", (Exception,), library_hints.data_collector),
    Hint("missing-azureml-core", (ModuleNotFoundError,), import_hints.azureml_core),
    Hint("relative-import", (ImportError,), import_hints.relative_import),
    Hint("circular-import", (ImportError, AttributeError), import_hints.circular_import),
    Hint("shadowing-file", (ImportError, AttributeError), import_hints.shadowing_file),
    Hint("hidden-file", (ImportError, AttributeError), import_hints.hidden_file),
    Hint("module-elsewhere", (ModuleNotFoundError,), import_hints.module_elsewhere),
    Hint("misspelt-module", (ModuleNotFoundError,), import_hints.misspelt_module),
    Hint("removed-from-python", (ModuleNotFoundError,), import_hints.removed_from_python),
    Hint("missing-submodule", (ModuleNotFoundError,), import_hints.missing_submodule),
    Hint("distribution-name", (ModuleNotFoundError,), import_hints.distribution_name),
    Hint("missing-module", (ModuleNotFoundError,), import_hints.missing_module),
    Hint("shared-library", (ImportError, OSError), import_hints.shared_library),
    Hint("binary-mismatch", (ImportError, ValueError), import_hints.binary_mismatch),
    Hint("missing-name", (ImportError,), import_hints.missing_name),
    # Files, variables, the machine
    Hint("environment-variable", (KeyError,), file_hints.environment_variable),
    Hint("path-from-none", (TypeError,), file_hints.path_from_none),
    Hint("missing-file", (FileNotFoundError, NotADirectoryError), file_hints.missing_file),
    Hint("folder-as-file", (IsADirectoryError,), file_hints.folder_as_file),
    Hint("permission", (PermissionError,), file_hints.permission),
    Hint("port-in-use", (OSError,), file_hints.port_in_use),
    Hint("network", (OSError,), file_hints.network),
    Hint("disk", (OSError,), file_hints.disk),
    Hint("binary-as-text", (UnicodeDecodeError,), file_hints.binary_as_text),
    Hint("memory", (MemoryError,), file_hints.memory),
    # What a library says
    Hint("damaged-model", (Exception,), library_hints.damaged_model),
    Hint("cuda", (RuntimeError, AssertionError), library_hints.cuda),
    Hint("not-fitted", (ValueError,), library_hints.not_fitted),
    Hint("feature-count", (ValueError,), library_hints.feature_count),
    Hint("feature-names", (ValueError,), library_hints.feature_names),
    Hint("one-row", (ValueError,), library_hints.one_row),
    Hint("array-shapes", (ValueError,), library_hints.array_shapes),
    Hint("ragged-rows", (ValueError,), library_hints.ragged_rows),
    Hint("object-array", (TypeError, ValueError), library_hints.object_array),
    Hint("not-numbers", (ValueError, TypeError), library_hints.not_numbers),
    Hint("missing-column", (KeyError,), library_hints.missing_column),
    Hint("event-loop-running", (RuntimeError,), library_hints.event_loop_running),
    Hint("no-event-loop", (RuntimeError,), library_hints.no_event_loop),
    Hint("no-request", (RuntimeError,), library_hints.no_request),
    # What run() was given, and what it gives back
    Hint("not-awaited", (TypeError, AttributeError), data_hints.not_awaited),
    Hint("json-loads-of-value", (TypeError,), data_hints.json_loads_of_value),
    Hint("json-in-json", (TypeError, AttributeError), data_hints.json_in_json),
    Hint("input-not-parsed", (TypeError, AttributeError), data_hints.input_not_parsed),
    Hint("list-not-object", (TypeError, AttributeError), data_hints.list_not_object),
    Hint("invalid-json", (ValueError,), data_hints.invalid_json),
    Hint("not-serialisable", (TypeError,), data_hints.not_serialisable),
    Hint("base64", (ValueError,), data_hints.base64_text),
    Hint("bytes-not-str", (TypeError,), data_hints.bytes_not_str),
    Hint("missing-key", (KeyError,), data_hints.missing_key),
)


def find_hint(case: Case) -> tuple[str, str]:
    """Name and text of the first hint that fits; both empty if none does.

    Never raises: a hint looks at objects of the user's, which may do anything.
    """
    for hint in HINTS:
        if not isinstance(case.error, hint.about):
            continue
        try:
            text = hint.say(case)
        except Exception:  # noqa: BLE001  # a hint is a courtesy; the next may fit
            continue
        if text:
            return hint.name, text
    return "", ""


def hint_for(case: Case) -> str:
    """The next step, in one or two sentences; empty if the mistake is not a known one."""
    return find_hint(case)[1]
