"""Several calls computed by one call of ``run()``: ``@batch``.

A decorated ``run()`` gets a list for each of its parameters, an item a call, and returns a
list as long. What inference-schema's decorators convert is converted call by call, by
having them call the decorated function, which then only notes what it was given (`noting`);
arrays and frames are stacked along their first axis, and the result is split back in the
same way. When calls are put together is for `azmlinfsrv.pool`.
"""

from __future__ import annotations

import contextlib
import functools
import inspect
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar, overload

from msgspec import Struct

from azmlinfsrv.errors import EncodingFailed, ScriptError

_MARK = "__azmlinfsrv_batched__"

F = TypeVar("F", bound=Callable[..., Any])


class BatchPolicy(Struct, frozen=True):
    """How calls are put together.

    Attributes:
        max_size: Calls in one batch at most; 1 is no batching.
        max_wait_s: Seconds a worker that is idle waits for more, from the arrival of the oldest.
    """

    max_size: int = 1
    max_wait_s: float = 0.0


class Batched:
    """What the server knows of a function that `batch` decorates.

    Attributes:
        function: The one decorated.
        policy: How its calls are put together.
    """

    def __init__(self, function: Callable[..., Any], policy: BatchPolicy) -> None:
        self.function = function
        self.policy = policy
        self.is_noting = False
        self._noted: list[dict[str, Any]] = []

    def note(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Remember what the function would have been called with."""
        bound = inspect.signature(self.function).bind(*args, **kwargs)
        bound.apply_defaults()
        self._noted.append(dict(bound.arguments))

    @contextlib.contextmanager
    def noting(self) -> Iterator[list[dict[str, Any]]]:
        """Note arguments instead of calling the function, into the list that is given."""
        self._noted, self.is_noting = [], True
        try:
            yield self._noted
        finally:
            self.is_noting = False


@overload
def batch(function: F) -> F: ...


@overload
def batch(*, max_size: int = 32, max_wait_ms: float = 0.0) -> Callable[[F], F]: ...


def batch(
    function: F | None = None, *, max_size: int = 32, max_wait_ms: float = 0.0
) -> F | Callable[[F], F]:
    """Let ``run()`` compute several calls at once: it gets lists, and returns a list.

    Put it directly above ``def run``, under any schema decorators.

    Args:
        max_size: Calls in one batch at most.
        max_wait_ms: How long an idle worker waits for more calls, in milliseconds. Without it
            a batch is what has queued while the worker was busy.
    Raises:
        ValueError: a number makes no sense.
    """
    if max_size < 1 or max_wait_ms < 0:
        raise ValueError("batch: max_size must be at least 1 and max_wait_ms at least 0.")

    def decorate(function: F) -> F:
        batched = Batched(function, BatchPolicy(max_size, max_wait_ms / 1000))

        # inference-schema looks for the decorated function in the closure: it has to be there,
        # and the last one by name.
        @functools.wraps(function)
        def run(*args: Any, **kwargs: Any) -> Any:
            return batched.note(args, kwargs) if batched.is_noting else function(*args, **kwargs)

        setattr(run, _MARK, batched)
        return run  # type: ignore[return-value]  # called as it is

    return decorate if function is None else decorate(function)


def find_batched(run: Any) -> Batched | None:
    """The `Batched` of *run*, or of what it wraps."""
    seen = set()
    while run is not None and id(run) not in seen:
        batched = getattr(run, _MARK, None)
        if isinstance(batched, Batched):
            return batched
        seen.add(id(run))
        run = getattr(run, "__wrapped__", None)
    return None


class Batch:
    """The arguments of several calls, put together, and the way back for the results.

    Args:
        calls: The arguments of each, by name; a group of `groups_of`.
    """

    def __init__(self, calls: Sequence[dict[str, Any]]) -> None:
        self._count = len(calls)
        self._rows: list[int] | None = None
        self.arguments = {name: self._join([call[name] for call in calls]) for name in calls[0]}

    def split(self, result: Any) -> list[Any]:
        """What ``run()`` returned, a part for each call; a part may be an exception.

        Raises:
            EncodingFailed: it is no sequence, or has another length than the input.
        """
        expected = self._count if self._rows is None else sum(self._rows)
        try:
            length = len(result)
        except TypeError:
            raise EncodingFailed(
                f"run() is batched and returned {_kind(result)}. Return a list with an item for "
                "each input."
            ) from None
        if length != expected or isinstance(result, (str, bytes, dict)):
            what = "inputs" if self._rows is None else "rows"
            raise EncodingFailed(
                f"run() is batched and returned {_kind(result)} of length {length} for "
                f"{expected} {what}. Return an item for each."
            )
        if self._rows is None:
            return list(result)
        ends = [sum(self._rows[: index + 1]) for index in range(self._count)]
        rows = result.iloc if hasattr(result, "iloc") else result
        return [rows[end - count : end] for end, count in zip(ends, self._rows, strict=True)]

    def _join(self, values: list[Any]) -> Any:
        """One value for all calls: stacked if they are arrays or frames."""
        if _form_of(values[0]) is None:
            return values
        if self._rows is None:  # of several, the first says what belongs to which call
            self._rows = [len(value) for value in values]
        if len(values) == 1:
            return values[0]
        if hasattr(values[0], "iloc"):
            return sys.modules["pandas"].concat(values, ignore_index=True)
        return sys.modules["numpy"].concatenate(values)


def groups_of(calls: Sequence[dict[str, Any]]) -> Iterator[list[int]]:
    """Which of the calls go together, by index: those whose arrays can be stacked."""
    groups: dict[object, list[int]] = {}
    for index, call in enumerate(calls):
        forms = {name: form for name, value in call.items() if (form := _form_of(value))}
        key: object = tuple(forms.items())
        if len({len(call[name]) for name in forms}) > 1:
            key = object()  # its result could not be told from that of others
        groups.setdefault(key, []).append(index)
    yield from groups.values()


def _form_of(value: Any) -> object:
    """What arrays, and frames, must have in common to be stacked; None for other values."""
    numpy, pandas = sys.modules.get("numpy"), sys.modules.get("pandas")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return ("array", value.shape[1:]) if value.ndim else None
    if pandas is not None and isinstance(value, pandas.DataFrame):
        return ("frame", tuple(value.columns))
    return None


def policy_of(run: Any, mode: str, max_size: int, max_wait_s: float | None) -> BatchPolicy:
    """How calls of *run* are put together: as the settings say, or else its decorator.

    Args:
        mode: How it takes its input (`azmlinfsrv.script.contract`).
        max_size: 0 leaves it to the decorator.
        max_wait_s: None leaves it to the decorator.
    Raises:
        ScriptError: it cannot be batched.
    """
    batched = find_batched(run)
    if batched is None and max_size < 2:
        return BatchPolicy()
    if mode == "raw":
        raise ScriptError("run() cannot be batched and decorated with @rawhttp.")
    if mode in ("schema", "typed") and batched is None:
        decorator = "@input_schema" if mode == "schema" else "@typed"
        raise ScriptError(
            f"run() is decorated with {decorator}: to batch it, put @batch (from azmlinfsrv "
            "import batch) directly above `def run`."
        )
    declared = batched.policy if batched is not None else BatchPolicy()
    return BatchPolicy(
        max_size or declared.max_size,
        declared.max_wait_s if max_wait_s is None else max_wait_s,
    )


def _kind(value: object) -> str:
    return type(value).__name__
