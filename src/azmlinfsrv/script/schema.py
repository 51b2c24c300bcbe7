"""What inference-schema's decorators say about run(): its parameters, types and documents.

Schema mode (contract 3e). The decorators convert the arguments themselves, inside the
call; here we read them once at start-up, choose the arguments of a call from its JSON
object, and tell a value the declared type rejects from an error of the script.
Reading the body, calling run() and the analysis of undecorated signatures are left to
others. inference-schema is looked at only if the script imported it.
"""

from __future__ import annotations

import copy
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import Any

from azmlinfsrv.errors import BadInput, ScriptError
from azmlinfsrv.script.arguments import missing, not_accepted
from azmlinfsrv.script.schema_conversion import (
    frames_of,
    keep_default,
    rejection_in,
    watch_conversions,
)

REQUEST_HEADERS = "request_headers"

# Swagger versions as inference-schema calls them, and as `?version=` does (R5.1).
SWAGGER_VERSIONS = {"2.0": "2", "3.0": "3", "3.1": "3.1"}

_DECORATORS = "inference_schema.schema_decorators"
_REGISTRY = "inference_schema.schema_util"
_VARIABLE = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


@dataclass(frozen=True, slots=True)
class Declared:
    """One ``@input_schema``.

    Attributes:
        name: The parameter it speaks of, which run() need not have.
        type: The AbstractParameterType it was given.
        converts: False for ``convert_to_provided_type=False``: run() gets the JSON value.
        is_optional: Conversion is skipped if the value is absent or falsy.
    """

    name: str
    type: Any
    converts: bool
    is_optional: bool

    @property
    def needs_value(self) -> bool:
        """The library fails without one."""
        return self.converts and not self.is_optional


@dataclass(frozen=True, slots=True)
class Parameter:
    """One input of run(); `default` counts only if it is not required."""

    name: str
    is_required: bool
    default: Any = None


@dataclass(frozen=True, slots=True)
class Schema:
    """All that the decorators of run() say; made once by `read_schema`.

    Attributes:
        parameters: The inputs, in signature order, without ``request_headers``.
        declared: The input decorators, innermost first, as they were applied.
        takes_any_key: run() has ``**kwargs``: it gets every key of the object.
        wants_headers: run() has a parameter ``request_headers`` (R3.11).
        input_fragment: ``ServiceInput`` of the Swagger documents (R5.6).
        output_fragment: ``ServiceOutput``.
        versions: Swagger versions these fragments can be written in, lowest first (R5.7).
        warnings: What will go wrong at every call, for the log at start-up.
    """

    parameters: tuple[Parameter, ...]
    declared: tuple[Declared, ...]
    takes_any_key: bool
    wants_headers: bool
    input_fragment: dict[str, Any]
    output_fragment: dict[str, Any]
    versions: tuple[str, ...]
    warnings: tuple[str, ...] = ()
    _body: CodeType | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs, as the log line of R3.12 lists them."""
        return tuple(parameter.name for parameter in self.parameters)

    @property
    def components(self) -> Mapping[str, Any]:
        """The named schemas that the fragments refer to: the library makes none."""
        return {}

    def arguments(self, body: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for one call; defaults are passed too, other keys dropped.

        Args:
            body: The JSON object of the request. Its values are handed on, not copied,
                and the library converts some of them in place.
        Raises:
            BadInput: A parameter without default is missing, the first in order (R3.18).
        """
        values = {}
        for parameter in self.parameters:
            if parameter.name in body:
                values[parameter.name] = body[parameter.name]
            elif parameter.is_required:
                raise missing(parameter.name)
            else:
                # As the reference server (1.5.1) does: the library converts what it sees.
                values[parameter.name] = parameter.default
        if self.takes_any_key:
            values.update((k, v) for k, v in body.items() if k not in values)
            values.pop(REQUEST_HEADERS, None)  # never an input (R3.11)
        return values

    def rejection_of(self, error: BaseException) -> BadInput | None:
        """The answer to a call that ended in *error*, if a declared type rejected a value.

        None if the error is the script's own: it arose in the body of run(), or in the
        conversion for some other function that the script calls. The message names the
        parameter, the place in it and the reason, and holds nothing of the value (R3.18).
        """
        rejection = rejection_in(error)
        if rejection is None:
            return None
        is_ours = not self.declared or any(
            declared.name == rejection.parameter and declared.type is rejection.declared
            for declared in self.declared
        )
        if not is_ours or any(entry.tb_frame.f_code is self._body for entry in frames_of(error)):
            return None
        return not_accepted(rejection.parameter, rejection.place, rejection.reason)


def read_schema(run: Callable[..., Any]) -> Schema | None:
    """What the decorators of *run* say; None if it carries none, whatever else wraps it.

    Raises:
        ScriptError: A declared type cannot describe itself.
    """
    decorators, registry = sys.modules.get(_DECORATORS), sys.modules.get(_REGISTRY)
    if decorators is None or registry is None:
        return None
    is_registered = _is_registered(run, registry)
    layers = _layers(run, is_registered=is_registered)
    applied = {id(layer): cells for layer in layers if (cells := _decoration(layer)) is not None}
    if not applied and not is_registered:
        return None
    watch_conversions(decorators)
    inputs = tuple(_declared(cells) for cells in reversed(applied.values()) if cells)
    signature, takes_any_key = _merged(layers)
    # The library knows a function by what it wraps, so any of its own layers will do; the
    # script's layers may mislead it. None of its own: a version we cannot look into.
    decorated = [layer for layer in layers if id(layer) in applied] or [run]
    versions = set(SWAGGER_VERSIONS)
    for layer in decorated:
        versions &= set(registry.get_supported_versions(layer) or SWAGGER_VERSIONS)
    if applied:
        input_fragment = _input_fragment(list(signature), inputs)
    else:
        input_fragment = registry.get_input_schema(run)
    parameters = {
        name: _parameter(name, parameter)
        for name, parameter in signature.items()
        if name != REQUEST_HEADERS
    }
    for one in inputs:
        parameter = parameters.get(one.name)
        if parameter is not None and not parameter.is_required:
            keep_default(one.type, one.name, parameter.default)
    unknown = [one.name for one in inputs if one.needs_value and one.name not in signature]
    if takes_any_key:  # the library looks for these in what **kwargs got
        parameters.update((name, Parameter(name, is_required=True)) for name in unknown)
        unknown = []
    return Schema(
        parameters=tuple(parameters.values()),
        declared=inputs,
        takes_any_key=takes_any_key,
        wants_headers=REQUEST_HEADERS in signature,
        input_fragment=input_fragment,
        output_fragment=_output_fragment(decorated, registry),
        versions=tuple(ours for theirs, ours in SWAGGER_VERSIONS.items() if theirs in versions),
        warnings=tuple(
            f"@input_schema names {name!r}, which is no parameter of run(): every call will "
            "fail. Rename one of the two."
            for name in unknown
        ),
        _body=getattr(layers[-1], "__code__", None),
    )


def forget_script(module_name: str) -> None:
    """Drop what inference-schema remembers of a module that is about to be loaded again.

    It keeps schemas by ``module.function`` for the life of the process, and refuses a
    second ``@output_schema`` under one name.
    """
    registry = sys.modules.get(_REGISTRY)
    for table in ("__functions_schema__", "__versions__"):
        known = getattr(registry, table, {})
        for name in [name for name in known if name.startswith(f"{module_name}.")]:
            del known[name]


def _is_registered(run: Callable[..., Any], registry: ModuleType) -> bool:
    """The library's own opinion, which misses and even fails on some closures (D27)."""
    try:
        return bool(registry.is_schema_decorated(run))
    except Exception:  # noqa: BLE001  # it looks into whatever the closure holds
        return False


def _layers(layer: Any, *, is_registered: bool, seen: frozenset[int] = frozenset()) -> list[Any]:
    """*layer* and everything it wraps, outermost first; the last one is the body of run()."""
    if id(layer) in seen:
        return []
    seen |= {id(layer)}
    inner = _wrapped_by(layer)
    if inner is not None:
        return [layer, *_layers(inner, is_registered=is_registered, seen=seen)]
    if not isinstance(layer, FunctionType):
        return [layer]
    # A decorator without functools.wraps keeps what it wraps in a closure. So does any
    # function that uses another one: only one that takes everything passes everything on.
    kinds = {parameter.kind for parameter in _signature(layer)}
    branches = [
        _layers(function, is_registered=is_registered, seen=seen)
        for function in _functions_in_closure(layer)
    ]
    if is_registered or inspect.Parameter.VAR_KEYWORD in kinds:
        for branch in branches:
            if any(_decoration(inner) is not None for inner in branch):
                return [layer, *branch]
    return [layer, *branches[0]] if kinds.issuperset(_VARIABLE) and len(branches) == 1 else [layer]


def _wrapped_by(layer: Any) -> Any:
    if isinstance(layer, functools.partial):
        return layer.func
    if (wrapped := getattr(layer, "__wrapped__", None)) is not None:
        return wrapped
    if isinstance(layer, MethodType):
        return layer.__func__
    if isinstance(layer, FunctionType | type):
        return None
    call = getattr(type(layer), "__call__", None)  # noqa: B004  # its code is wanted
    return layer.__call__ if isinstance(call, FunctionType) else None


def _functions_in_closure(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        try:
            content = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
        if isinstance(content, FunctionType | MethodType | functools.partial) or (
            hasattr(content, "__wrapped__") and callable(content)
        ):
            yield content


def _decoration(layer: Any) -> dict[str, Any] | None:
    """What an inference-schema decorator was given, by name; None for any other layer.

    Empty for ``@output_schema``, which does nothing when it is called.
    """
    wrapper = getattr(layer, "_self_wrapper", None)  # wrapt's name for the decorator's part
    if getattr(wrapper, "__module__", None) != _DECORATORS or wrapper is None:
        return None
    code, cells = wrapper.__code__, wrapper.__closure__ or ()
    return {name: cell.cell_contents for name, cell in zip(code.co_freevars, cells, strict=True)}


def _declared(cells: dict[str, Any]) -> Declared:
    return Declared(
        name=cells["param_name"],
        type=cells["param_type"],
        converts=bool(cells.get("convert_to_provided_type", True)),
        is_optional=bool(cells.get("optional", False)),
    )


def _signature(layer: Any) -> list[inspect.Parameter]:
    try:
        return list(inspect.signature(layer).parameters.values())
    except (TypeError, ValueError):
        return []


def _merged(layers: list[Any]) -> tuple[dict[str, inspect.Parameter], bool]:
    """The named parameters, and whether ``**kwargs`` reaches the innermost function.

    A layer that takes ``**kwargs`` hands them on: what the next one names belongs to run().
    """
    found: dict[str, inspect.Parameter] = {}
    for layer in layers:
        signature = _signature(layer)
        for parameter in signature:
            if parameter.kind not in _VARIABLE:
                found.setdefault(parameter.name, parameter)
        if not any(p.kind is inspect.Parameter.VAR_KEYWORD for p in signature):
            return found, False
    return found, True


def _parameter(name: str, parameter: inspect.Parameter) -> Parameter:
    if parameter.default is inspect.Parameter.empty:
        return Parameter(name, is_required=True)
    return Parameter(name, is_required=False, default=parameter.default)


def _input_fragment(names: list[str], inputs: tuple[Declared, ...]) -> dict[str, Any]:
    """R5.6: every parameter in signature order, then names run() does not have."""
    if not inputs:
        return {"type": "object"}
    properties: dict[str, Any] = {name: {} for name in names}
    example: dict[str, Any] = dict.fromkeys(names, "")
    for one in inputs:
        described = _describe(one.type, f"@input_schema for {one.name!r}")
        example[one.name] = described.pop("example")
        properties[one.name] = described
    return {"type": "object", "properties": properties, "example": example}


def _output_fragment(decorated: list[Any], registry: ModuleType) -> dict[str, Any]:
    """What the library noted for ``@output_schema``: its decorator keeps no type of its own."""
    nothing = {"type": "object"}
    found = (registry.get_output_schema(layer) for layer in decorated)
    return copy.deepcopy(next((schema for schema in found if schema != nothing), nothing))


def _describe(declared: Any, decorator: str) -> dict[str, Any]:
    try:
        described: dict[str, Any] = copy.deepcopy(declared.input_to_swagger())
    except Exception as error:  # user code: a type of their own
        raise ScriptError(
            f"{decorator}: {type(declared).__name__}.input_to_swagger() raised "
            f"{type(error).__name__}. It has to return a dict with an 'example', every time."
        ) from error
    return described
