"""Watches inference-schema convert the arguments of run(), and words what it rejects.

The library converts inside the call: every decorator hands its value to one function,
which calls itself for the values inside lists and objects. We put ourselves around that
function. What it raises passes on unchanged, so that the script's own decorators see what
they always saw; it only carries a note (`Rejection`) of which value did not fit.
Deciding whether a noted error answers the call is left to `azmlinfsrv.script.schema`.

Two mistakes of the library (1.8) are mended on the way, because every call would fail:
``date`` samples before Python 3.14, and ``bytearray`` samples (contract D33).
"""

from __future__ import annotations

import base64
import datetime
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import CodeType, ModuleType, TracebackType
from typing import Any

from azmlinfsrv.errors import ServerError
from azmlinfsrv.script.conversion_cost import TooCostly, check_array, check_date, check_table

# What inference-schema calls its converting function, since 1.0.
_CONVERTER = "_deserialize_input_argument"
_ORIGINAL = "__azmlinfsrv_original__"
_NOTE = "__azmlinfsrv_rejection__"
_DEFAULTS = "__azmlinfsrv_defaults__"
_LIBRARY = "inference_schema."

# Raised by a declared type, these say that the script or the machine is at fault.
_NOT_A_REJECTION = (ServerError, NameError, ImportError, OSError, MemoryError, SystemError)

_JSON_KINDS: dict[type, str] = {
    type(None): "null",
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    dict: "an object",
}

_STANDARD_SAMPLES: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "a list",
    tuple: "a list",
    dict: "an object",
    bytes: "a string of base64",
    bytearray: "a string of base64",
    datetime.date: "a date such as 2020-12-31",
    datetime.datetime: "a date and time such as 2020-12-31 23:59:59",
    datetime.time: "a time such as 23:59:59",
}

_STANDARD = "StandardPythonParameterType"
_DATES = frozenset({datetime.date, datetime.datetime, datetime.time})
_MENDED = frozenset({datetime.date, bytearray})
_PARSED_SAMPLES = (bytes, bytearray, datetime.date, datetime.datetime, datetime.time)


@dataclass(slots=True)
class Rejection:
    """Which value did not fit which declared type.

    Attributes:
        reason: What was expected and what came, without anything of the value itself.
        steps: ``(name, value, declared type)``, innermost first; the last is the parameter.
    """

    reason: str
    steps: list[tuple[str, Any, Any]] = field(default_factory=list)

    @property
    def parameter(self) -> str:
        return self.steps[-1][0]

    @property
    def declared(self) -> Any:
        return self.steps[-1][2]

    @property
    def place(self) -> str:
        """Where in the argument, as ``Inputs.rows[2]``; names are those of the sample."""
        place, parent = self.parameter, self.steps[-1][1]
        for name, value, _ in reversed(self.steps[:-1]):
            if isinstance(parent, list | tuple):
                place += f"[{next((i for i, item in enumerate(parent) if item is value), '')}]"
            else:
                place += f".{name}"
            parent = value
        return place


def watch_conversions(decorators: ModuleType) -> None:
    """Put ourselves around the library's converter; once for a process, however often called.

    A library without that function is left alone: its rejections stay script errors.

    Args:
        decorators: The module ``inference_schema.schema_decorators``.
    """
    original = getattr(decorators, _CONVERTER, None)
    if original is not None and not hasattr(original, _ORIGINAL):
        setattr(decorators, _CONVERTER, _watched(original))


def keep_default(declared: Any, name: str, default: Any) -> None:
    """Let run() have its own default as it is, where the declared type would reject it.

    The library converts defaults like any value, and so rejects ``None`` for most types.
    """
    try:
        vars(declared).setdefault(_DEFAULTS, {})[name] = default
    except TypeError:  # a type with __slots__: its defaults are converted, as before
        return


def rejection_in(error: BaseException) -> Rejection | None:
    """The note *error* carries from a conversion, if it speaks of the value at all."""
    if isinstance(error, _NOT_A_REJECTION):
        return None
    note = getattr(error, _NOTE, None)
    return note if isinstance(note, Rejection) else None


def frames_of(error: BaseException) -> Iterator[TracebackType]:
    """The traceback of *error*, outermost first."""
    entry = error.__traceback__
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _watched(original: Callable[[Any, Any, str], Any]) -> Callable[[Any, Any, str], Any]:
    code: CodeType | None = getattr(original, "__code__", None)

    # Called for every value of a nested type: a list of a thousand rows is a thousand calls.
    def convert(input_data: Any, param_type: Any, param_name: str) -> Any:
        try:
            sample_type = param_type.sample_data_type
            _check_cost(input_data, param_type, sample_type)
            if sample_type in _MENDED:
                return original(_mended(input_data, param_type), param_type, param_name)
            return original(input_data, param_type, param_name)
        except Exception as error:
            defaults = getattr(param_type, _DEFAULTS, None)
            if defaults and param_name in defaults and defaults[param_name] is input_data:
                return input_data
            _note(error, input_data, param_type, param_name, code)
            raise

    setattr(convert, _ORIGINAL, original)
    return convert


def _check_cost(value: Any, declared: Any, sample_type: Any) -> None:
    """Refuse what would take the library far more memory or time than it took to send."""
    if isinstance(value, str):
        if sample_type in _DATES and _library_type(declared) == _STANDARD:
            check_date(value)
    elif isinstance(value, list | dict):
        kind = _library_type(declared)
        if kind == "NumpyParameterType":
            check_array(
                value, declared.sample_input.dtype if declared.enforce_column_type else None
            )
        elif kind == "PandasParameterType":
            width = declared.sample_input.shape[1] if declared.enforce_shape else math.inf
            check_table(value, declared.orient, width)


def _note(error: Exception, value: Any, declared: Any, name: str, code: CodeType | None) -> None:
    note = getattr(error, _NOTE, None)
    # A type may raise one and the same exception at every call, with our old note on it.
    if note is None or not _holds(value, note.steps[-1]):
        *_, last = frames_of(error)
        is_at_the_top = last.tb_frame.f_code is code or last is error.__traceback__
        if is_at_the_top and not isinstance(error, ValueError):
            return  # the library could not even look at the type: no call can work
        note = Rejection(_reason(value, declared, error))
        try:
            setattr(error, _NOTE, note)
        except AttributeError:  # an exception class that takes no attributes
            return
    note.steps.append((name, value, declared))


def _holds(value: Any, step: tuple[str, Any, Any]) -> bool:
    """Whether *step* was taken inside *value*."""
    name, inner, _ = step
    if isinstance(value, dict):
        return value.get(name) is inner
    return isinstance(value, list | tuple) and any(item is inner for item in value)


def _mended(value: Any, declared: Any) -> Any:
    """*value*, converted here if the library's own conversion can only fail."""
    if not isinstance(value, str) or _library_type(declared) != _STANDARD:
        return value
    if declared.sample_data_type is bytearray:
        return bytearray(base64.b64decode(value.encode()))
    return datetime.datetime.strptime(value, "%Y-%m-%d").date()


def _library_type(declared: Any) -> str:
    """The library's class whose conversion *declared* uses; empty for the script's own."""
    for kind in type(declared).__mro__:
        if "deserialize_input" in vars(kind):
            return kind.__name__ if kind.__module__.startswith(_LIBRARY) else ""
    return ""


def _reason(value: Any, declared: Any, error: Exception) -> str:
    try:
        return f"expected {_expected(declared)}, got {_got(value, declared, error)}"
    except Exception:  # noqa: BLE001  # a class of the script's own that lacks an attribute
        return f"expected a value that {type(declared).__name__} accepts"


def _expected(declared: Any) -> str:
    sample: Any = getattr(declared, "sample_input", None)
    kind = _library_type(declared)
    if kind == _STANDARD:
        return _STANDARD_SAMPLES.get(type(sample), f"a value of type {type(sample).__name__}")
    if kind == "NumpyParameterType":
        item = f" of {sample.dtype}" if declared.enforce_column_type else ""
        return f"an array{item}" + (_shape(sample.shape) if declared.enforce_shape else "")
    if kind == "PandasParameterType":
        columns = f" with {_columns(sample.shape)}" if declared.enforce_shape else ""
        return f"a table in the form {declared.orient!r}{columns}"
    if kind == "SparkParameterType":
        return "a list of records"
    return f"a value that {type(declared).__name__} accepts"


def _got(value: Any, declared: Any, error: Exception) -> str:
    if isinstance(error, TooCostly):
        return error.got
    kind = _JSON_KINDS.get(type(value), f"a value of type {type(value).__name__}")
    library_type = _library_type(declared)
    if library_type in ("NumpyParameterType", "PandasParameterType"):
        shape = _converted_shape(error)
        if shape is None:
            is_close = isinstance(value, list | dict)
            return f"{kind} that cannot be converted to it" if is_close else kind
        if library_type == "PandasParameterType":
            return _columns(shape)
        return "one" + _shape(shape, first=str(shape[0]) if shape else "")
    # The kind may be right and its content wrong: text that is no date, say.
    is_parsed = isinstance(value, str) and declared.sample_data_type in _PARSED_SAMPLES
    if is_parsed or library_type != _STANDARD:
        return f"{kind} that is not one"
    return kind


def _shape(shape: tuple[int, ...], first: str = "n") -> str:
    """The shape in words; the sample's first dimension is free (R3.22)."""
    inner = ", ".join([first, *map(str, shape[1:])]) if shape else ""
    return f" of shape ({inner}{',' if len(shape) == 1 else ''})"


def _columns(shape: tuple[int, ...]) -> str:
    return "1 column" if shape[1] == 1 else f"{shape[1]} columns"


def _converted_shape(error: Exception) -> tuple[int, ...] | None:
    """The shape the value had once converted, if the library got as far as to compare it."""
    for entry in frames_of(error):
        names = entry.tb_frame.f_locals
        if entry.tb_frame.f_code.co_name == "deserialize_input" and "expected_shape" in names:
            converted = names.get("input_array", names.get("data_frame"))
            return getattr(converted, "shape", None)
    return None
