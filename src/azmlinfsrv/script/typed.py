"""What the annotations of run() say: ``@typed``.

The arguments come by name from a JSON object, as in schema mode, and each is made into what
its parameter is annotated with. Python's own types, dataclasses, TypedDicts and msgspec's
structs are msgspec's business; arrays, data frames and pydantic's models are made here, from
packages that the script has imported. A value that does not fit is the client's error, and
the answer says where in the value. The same annotations are the Swagger document.

A batched run() is annotated with what it gets: ``list[T]`` where every call gives a ``T``; an
array or a data frame where every call gives one, stacked along the first axis.
"""

from __future__ import annotations

import collections.abc
import inspect
import logging
import sys
import typing
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.script.arguments import missing, not_accepted
from azmlinfsrv.script.conversion import qualified_name
from azmlinfsrv.script.conversion_cost import TooCostly, check_array, check_table

_MARK = "__azmlinfsrv_typed__"

_NAMED = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_SEQUENCES = (list, collections.abc.Sequence)
_STREAMS = (
    collections.abc.Iterator,
    collections.abc.Iterable,
    collections.abc.Generator,
    collections.abc.AsyncIterator,
    collections.abc.AsyncIterable,
    collections.abc.AsyncGenerator,
)
# Schemas of our own have these names in the document.
_RESERVED = frozenset({"ServiceInput", "ServiceOutput", "ErrorResponse"})
_REFER = "#/components/schemas/{name}"
_POSSIBLE = (
    "What JSON can be made into: Python's types for numbers, text, lists, dicts, dates and "
    "enumerations, dataclasses, TypedDict, msgspec.Struct, pydantic models, numpy.ndarray, "
    "numpy.typing.NDArray[...] and pandas.DataFrame"
)

# With this msgspec goes on to the place of the value in what it was given.
_PLACE = " - at `$"

# Errors of pydantic's that say what a validator has raised; those of its own have a page too.
_THEIR_WORDS = ("value_error", "type_error", "assertion_error")

_log = logging.getLogger("azmlinfsrv")

F = TypeVar("F", bound=Callable[..., Any])


class Input(Struct, frozen=True):
    """One input of run(); `default` counts only if it is not required.

    Attributes:
        kind: What one call gives for it.
    """

    name: str
    kind: Any
    is_required: bool
    default: Any = None


class Typed(Struct, frozen=True):
    """All that the annotations of run() say; made once by `read_typed`.

    Attributes:
        inputs: In signature order, without ``request_headers``.
        input_fragment: ``ServiceInput`` of the Swagger documents.
        output_fragment: ``ServiceOutput``.
        components: The named schemas that these refer to.
        versions: Swagger versions these can be written in: annotations say more than older ones.
    """

    inputs: tuple[Input, ...]
    input_fragment: dict[str, Any]
    output_fragment: dict[str, Any]
    components: dict[str, Any]
    versions: tuple[str, ...] = ("3.1",)

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return tuple(one.name for one in self.inputs)

    def arguments(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for one call; defaults are passed too, other keys dropped.

        Raises:
            BadInput: one is missing, the first in order, or is not what it is annotated as.
        """
        values = {}
        for one in self.inputs:
            if one.name in body:
                values[one.name] = _convert(one, body[one.name])
            elif one.is_required:
                raise missing(one.name)
            else:
                values[one.name] = one.default
        return values


def typed(function: F) -> F:
    """Give ``run()`` what its parameters are annotated with, made from a JSON object.

    A request whose values do not fit is answered with status 400 before ``run()`` is called.
    The function itself is not changed: called by yourself it takes what you give it.
    """
    setattr(function, _MARK, True)
    return function


def is_typed(run: Any) -> bool:
    """Whether *run*, or what it wraps, is decorated with `typed`."""
    return hasattr(run, _MARK) or hasattr(inspect.unwrap(run), _MARK)


def read_typed(
    run: Callable[..., Any], parameters: Mapping[str, inspect.Parameter], *, is_batched: bool
) -> Typed:
    """What the annotations of *run* say.

    Args:
        parameters: Its inputs.
    Raises:
        ScriptError: one of them says nothing that could be made of JSON.
    """
    try:
        hints = typing.get_type_hints(_annotated(run), include_extras=True)
    except Exception as error:  # user code is evaluated
        raise ScriptError(
            f"The annotations of run() cannot be read: {type(error).__name__}: {error}."
        ) from error
    components: dict[str, Any] = {}
    properties = {}
    inputs = []
    for name, parameter in parameters.items():
        if parameter.kind not in _NAMED:
            continue
        kind = hints.get(name, Any)
        one = Input(
            name,
            _of_one_call(name, kind, parameter) if is_batched else kind,
            parameter.default is inspect.Parameter.empty,
            parameter.default,
        )
        try:
            properties[name] = _schema_of(one.kind, components)
        except TypeError as error:
            raise ScriptError(
                f"The parameter {name!r} of run() is annotated with {_name_of(kind)}, which "
                f"cannot be made of JSON ({_first_line(error)}). {_POSSIBLE}."
            ) from error
        inputs.append(one)
    service_input = {
        "type": "object",
        "properties": properties,
        "required": [one.name for one in inputs if one.is_required],
    }
    output = _output_of(hints.get("return", Any), components, is_batched=is_batched)
    return Typed(tuple(inputs), service_input, output, components)


def _annotated(run: Any) -> Any:
    """The function whose annotations count; those of an object are its ``__call__``'s."""
    inner = inspect.unwrap(run)
    return inner if inspect.isroutine(inner) else type(inner).__call__


def _of_one_call(name: str, kind: Any, parameter: inspect.Parameter) -> Any:
    """What one call gives, of what a batched run() gets."""
    if parameter.default is not inspect.Parameter.empty:
        raise ScriptError(f"run() is batched: its parameter {name!r} cannot have a default.")
    if _package_type(kind) in ("numpy.ndarray", "pandas.DataFrame"):
        return kind
    return _item_of(kind, f"its parameter {name!r}", "gets")


def _item_of(kind: Any, what: str, does: str) -> Any:
    if typing.get_origin(kind) in _SEQUENCES:
        return typing.get_args(kind)[0]
    raise ScriptError(
        f"run() is batched and {does} an item for each call: annotate {what} with list[...], "
        f"an array or a data frame. It is annotated with {_name_of(kind)}."
    )


# --- values ---------------------------------------------------------------------------------


def _convert(one: Input, value: Any) -> Any:
    try:
        return msgspec.convert(value, one.kind, dec_hook=_make)
    except msgspec.ValidationError as error:
        what, _, place = str(error).partition(_PLACE)
        cause = error.__cause__
        if cause is not None and not isinstance(cause, _Rejected):
            # What an exception of theirs says is for the log, never for the client.
            _log.info("A value was refused: %s: %s", type(cause).__name__, cause)
            what = "Its class does not accept it"
        elif what.startswith("Invalid enum value"):  # it goes on with the value itself
            what = "Expected one of the values that are declared"
        place = one.name + place.rstrip("`")
        raise not_accepted(one.name, place, what.rstrip(".")) from None


class _Rejected(ValueError):
    """A value is not what it should be; the text goes to the client."""


def _make(kind: Any, value: Any) -> Any:
    """A value of a type that msgspec does not know.

    Raises:
        _Rejected: it cannot be made.
    """
    name = _package_type(kind)
    if name == "numpy.ndarray":
        return _array(kind, value)
    if name == "pandas.DataFrame":
        return _frame(value)
    return _model(kind, value)


def _array(kind: Any, value: Any) -> Any:
    numpy = sys.modules["numpy"]
    dtype = _dtype_of(kind)
    expected = f"Expected an array of {dtype}" if dtype is not None else "Expected an array"
    if not isinstance(value, list):
        raise _Rejected(f"{expected} (lists in lists), got `{_kind_of(value)}`")
    try:
        check_array(value, dtype)
        array = numpy.asarray(value, dtype=dtype)
        if dtype is not None and dtype.kind in "biu":
            is_exact = bool((numpy.asarray(value, dtype=numpy.float64) == array).all())
        else:
            is_exact = True
    except TooCostly as error:
        raise _Rejected(f"{expected}, got {error.got}") from None
    except (TypeError, ValueError, OverflowError):
        raise _Rejected(f"{expected} (lists in lists, as long as each other)") from None
    if not is_exact:
        raise _Rejected(f"{expected}, got numbers that are none")
    return array


def _frame(value: Any) -> Any:
    pandas = sys.modules["pandas"]
    expected = "Expected a table: a list of objects, or an object of `columns` and `data`"
    try:
        if isinstance(value, list) and all(isinstance(row, dict) for row in value):
            check_table(value, "records")
            return pandas.DataFrame.from_records(value)
        if isinstance(value, dict) and isinstance(value.get("data"), list):
            check_table(value, "split")
            return pandas.DataFrame(value["data"], value.get("index"), value["columns"])
    except TooCostly as error:
        raise _Rejected(f"{expected}; got {error.got}") from None
    except (KeyError, TypeError, ValueError):
        pass
    raise _Rejected(expected)


def _model(kind: Any, value: Any) -> Any:
    """A pydantic model, of either generation."""
    try:
        return kind.model_validate(value) if _is_new(kind) else kind.parse_obj(value)
    except sys.modules["pydantic"].ValidationError as error:
        first = error.errors()[0]
        what = first["msg"]
        if first["type"] in _THEIR_WORDS or ("url" not in first and _is_new(kind)):
            _log.info("A value was refused: %s", what)
            what = f"{_name_of(kind)} does not accept it"
        place = ".".join(map(str, first["loc"]))
        raise _Rejected(f"{what} ({place})" if place else what) from None


def _dtype_of(kind: Any) -> Any:
    """The dtype that ``NDArray[...]`` names; None if it names none."""
    numpy = sys.modules["numpy"]
    for argument in typing.get_args(kind)[1:]:
        for scalar in typing.get_args(argument):
            # Not for a family, such as numpy.floating: there the values decide.
            return numpy.dtype(scalar) if scalar in numpy.sctypeDict.values() else None
    return None


def _package_type(kind: Any) -> str:
    """``numpy.ndarray``, ``pandas.DataFrame``, ``pydantic.BaseModel``, or nothing."""
    plain = typing.get_origin(kind) or kind
    if typing.get_origin(kind) is typing.Annotated:
        return _package_type(typing.get_args(kind)[0])
    for base in getattr(plain, "__mro__", ()):
        name = qualified_name(base)
        if name in ("numpy.ndarray", "pandas.DataFrame", "pydantic.BaseModel"):
            return name
    return ""


def _is_new(model: Any) -> bool:
    return hasattr(model, "model_validate")


# --- schemas --------------------------------------------------------------------------------


def _schema_of(kind: Any, components: dict[str, Any]) -> dict[str, Any]:
    """The JSON schema of a type; the named ones it refers to go to *components*.

    Raises:
        TypeError: JSON cannot be made into it.
    """

    def describe(custom: Any) -> dict[str, Any]:
        name = _package_type(custom)
        if name == "numpy.ndarray":
            return {"type": "array"}
        if name == "pandas.DataFrame":
            return {"type": "array", "items": {"type": "object"}}
        if name == "pydantic.BaseModel":
            return _schema_of_model(custom, components)
        raise TypeError(f"{_name_of(custom)} is not known")

    for hint in _metadata_in(kind):
        if type(hint).__module__.partition(".")[0] in ("pydantic", "annotated_types"):
            raise TypeError(
                f"{type(hint).__name__}() counts in a pydantic model only; use msgspec.Meta"
            )
    (schema,), named = msgspec.json.schema_components(
        [kind], schema_hook=describe, ref_template=_REFER
    )
    _add(components, named)
    return dict(schema)


def _schema_of_model(model: Any, components: dict[str, Any]) -> dict[str, Any]:
    if _is_new(model):
        schema = model.model_json_schema(ref_template=_REFER.replace("name", "model"))
    else:
        schema = model.schema(ref_template=_REFER.replace("name", "model"))
    for key in ("$defs", "definitions"):
        _add(components, schema.pop(key, {}))
    return dict(schema)


def _add(components: dict[str, Any], named: Mapping[str, Any]) -> None:
    for name, schema in named.items():
        if name in _RESERVED or components.get(name, schema) != schema:
            raise TypeError(f"the document has another {name}; give the type another name")
        components[name] = schema


def _metadata_in(kind: Any) -> Iterator[Any]:
    yield from getattr(kind, "__metadata__", ())
    for argument in typing.get_args(kind):
        yield from _metadata_in(argument)


def _output_of(kind: Any, components: dict[str, Any], *, is_batched: bool) -> dict[str, Any]:
    """The schema of what one call returns; an empty one, anything, if that cannot be told."""
    if is_batched and kind is not Any and not _package_type(kind):
        kind = _item_of(kind, "what it returns", "returns")
    if typing.get_origin(kind) in _STREAMS:
        return {}
    found = dict(components)
    try:
        schema = _schema_of(kind, found)
    except TypeError:
        return {}
    components.update(found)
    return schema


def _name_of(kind: Any) -> str:
    return kind.__name__ if isinstance(kind, type) else str(kind).replace("typing.", "")


def _kind_of(value: Any) -> str:
    return "null" if value is None else type(value).__name__


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0].rstrip(":.")
