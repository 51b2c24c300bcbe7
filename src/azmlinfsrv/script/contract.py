"""What a script's ``run()`` takes, read once at start-up (contract 3c)."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal

from msgspec import Struct

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.script.batching import find_batched
from azmlinfsrv.script.loader import EntryScript
from azmlinfsrv.script.raw import is_raw
from azmlinfsrv.script.schema import Schema, read_schema

if TYPE_CHECKING:
    from azmlinfsrv.script.typed import Typed

HEADERS_PARAMETER = "request_headers"  # R3.11

Mode = Literal["text", "raw", "schema", "typed"]

_TYPED = "azmlinfsrv.script.typed"
_KINDS = inspect.Parameter


class Contract(Struct, frozen=True):
    """How to call ``run()``.

    Attributes:
        mode: What kind of input it takes (R3.12).
        input_name: The parameter that receives the input in text and raw mode.
        takes_headers: It has a parameter ``request_headers``.
        schema: The declared types in schema mode.
        typed: The annotations in typed mode.
    """

    mode: Mode
    input_name: str
    takes_headers: bool
    schema: Schema | None = None
    typed: Typed | None = None

    @property
    def declared(self) -> Schema | Typed | None:
        """The inputs that come by name from a JSON object; None in the other modes."""
        return self.schema if self.schema is not None else self.typed

    @property
    def description(self) -> str:
        """What the log says of the mode (R3.12)."""
        if self.mode == "raw":
            return (
                "run() is decorated with @rawhttp. "
                "Server will invoke it with the flask request object."
            )
        declared = self.declared
        if declared is not None:
            decorator = "@input_schema" if self.mode == "schema" else "@typed"
            names = ", ".join(declared.names)
            return (
                f"run() is decorated with {decorator}. "
                f"Server will invoke it with the following arguments: {names}."
            )
        return "run() is not decorated. Server will invoke it with the input in JSON string."


def read_contract(script: EntryScript) -> Contract:
    """Decide how ``run()`` will be called.

    Raises:
        ScriptError: it cannot be called with one input by keyword (R3.10, R3.11).
    """
    run = script.run
    if not callable(script.init):
        raise ScriptError("init is not a function. Define it as `def init():`.")
    if not callable(run):
        raise ScriptError("run is not a function. Define it as `def run(data):`.")
    parameters = _parameters(run)
    schema = read_schema(run)
    raw = is_raw(run, script.module)
    if raw and schema is not None:
        raise ScriptError("run() cannot be decorated with both @rawhttp and @input_schema")
    by_type = sys.modules.get(_TYPED)  # there if the script has imported it
    wants_types = by_type is not None and by_type.is_typed(run)
    if wants_types and (raw or schema is not None):
        other = "@rawhttp" if raw else "@input_schema"
        raise ScriptError(f"run() cannot be decorated with both {other} and @typed")
    _refuse_unclear(parameters, is_schema=schema is not None)
    takes_headers = HEADERS_PARAMETER in parameters
    if schema is not None:
        return Contract("schema", "", takes_headers, schema)
    if by_type is not None and wants_types:
        parameters.pop(HEADERS_PARAMETER, None)
        typed = by_type.read_typed(run, parameters, is_batched=find_batched(run) is not None)
        return Contract("typed", "", takes_headers, typed=typed)
    return Contract("raw" if raw else "text", _input_name(parameters), takes_headers)


def _parameters(run: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    try:
        return dict(inspect.signature(run).parameters)
    except (TypeError, ValueError) as error:
        raise ScriptError(
            "run() has no signature that Python can read. Define it as `def run(data):`."
        ) from error


def _refuse_unclear(parameters: dict[str, inspect.Parameter], *, is_schema: bool) -> None:
    """R3.10, with the decision: ``*args`` and ``**kwargs`` beside a named input are fine."""
    kinds = {parameter.kind for parameter in parameters.values()}
    named = [
        name
        for name, parameter in parameters.items()
        if parameter.kind in (_KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY)
        and name != HEADERS_PARAMETER
    ]
    variable = kinds & {_KINDS.VAR_POSITIONAL, _KINDS.VAR_KEYWORD}
    has_clear_input = bool(named) or (is_schema and _KINDS.VAR_KEYWORD in kinds)
    if _KINDS.POSITIONAL_ONLY in kinds or (variable and not has_clear_input):
        raise ScriptError(
            "run() cannot accept positional-only arguments, *args, or **kwargs.\n"
            "Name the parameter for the input, as in `def run(data):`; a decorator around "
            "run() keeps its signature with functools.wraps."
        )
    if not parameters:
        raise ScriptError("run() needs to accept an argument for input data.")
    if not has_clear_input:
        raise ScriptError('run() needs to accept an argument other than "request_headers".')


def _input_name(parameters: dict[str, inspect.Parameter]) -> str:
    """The first parameter that can be given by keyword (R3.13)."""
    return next(
        name
        for name, parameter in parameters.items()
        if name != HEADERS_PARAMETER
        and parameter.kind in (_KINDS.POSITIONAL_OR_KEYWORD, _KINDS.KEYWORD_ONLY)
    )
