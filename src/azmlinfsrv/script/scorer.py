"""Answers one call with the script: parse, run, encode. No processes, no sockets."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from functools import partial
from time import perf_counter
from types import AsyncGeneratorType, CoroutineType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from azmlinfsrv.errors import EncodingFailed, Interruption, RequestError, ScoringFailed
from azmlinfsrv.messages import BUFFERS, Request, Response, Timings
from azmlinfsrv.script import raw
from azmlinfsrv.script.arguments import header_dict, json_object, text_argument
from azmlinfsrv.script.batching import Batch, BatchPolicy, find_batched, groups_of
from azmlinfsrv.script.contract import HEADERS_PARAMETER, Contract
from azmlinfsrv.script.flask_response import response_of
from azmlinfsrv.script.json_text import NaN
from azmlinfsrv.script.loader import EntryScript
from azmlinfsrv.script.location import Surroundings, location_of
from azmlinfsrv.script.result import encode, encode_async_stream

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop

    from azmlinfsrv.script.typed import Typed

# R3.36, to the letter: clients and log queries match on it.
FAILED = "An unexpected error occurred in scoring script. Check the logs for more info."


def is_cancellation(error: BaseException) -> bool:
    """Whether a task is being cancelled; asked without importing asyncio."""
    asyncio = sys.modules.get("asyncio")
    return asyncio is not None and isinstance(error, asyncio.CancelledError)


class ScriptScorer:
    """The script behind one door: `init` once, then `score` for every call."""

    def __init__(
        self,
        script: EntryScript,
        contract: Contract,
        where: Surroundings,
        nan: NaN,
        batch: BatchPolicy = BatchPolicy(),  # noqa: B008  # frozen
    ) -> None:
        self._script = script
        self._contract = contract
        self._where = where
        self._nan = nan
        self._batched = find_batched(script.run)
        self._is_batched = self._batched is not None or batch.max_size > 1
        self._loop: AbstractEventLoop | None = None
        self._has_waited = False
        self._inherited: AbstractEventLoop | None = None  # of the process it was forked from
        self._uses_flask = False

    def init(self) -> None:
        """Call the script's ``init()``; its exceptions come out as they are."""
        if "asyncio" in sys.modules:
            # A plain run() may call get_event_loop(): the main thread has one (X3).
            self.event_loop()
        try:
            self._finish(self._script.init())
        except BaseException:
            self.close()
            raise
        # R8.8: flask.request works in every mode; scripts without it pay nothing.
        self._uses_flask = self._contract.mode == "raw" or raw.uses_flask(self._script.module)

    def close(self) -> None:
        """No more calls: end the event loop, as `asyncio.run` does; the script cannot use it."""
        if self._loop is not None and not self._loop.is_closed():
            import asyncio  # there already

            self._loop.run_until_complete(self._loop.shutdown_asyncgens())
            self._loop.close()
            asyncio.set_event_loop(None)

    @property
    def is_async(self) -> bool:
        """Whether the script has waited for something in the event loop."""
        return self._has_waited

    def forked(self) -> None:
        """Take up work in a fork, with an event loop of its own.

        The old one is left alone: its selector is shared with the parent.
        """
        self._inherited, self._loop = self._loop, None
        if self._inherited is not None:
            self.event_loop()

    @property
    def is_concurrent(self) -> bool:
        """Whether calls can be awaited side by side: run() is ``async`` and asks for no Flask."""
        run = inspect.unwrap(self._script.run)
        function = run if inspect.isroutine(run) else getattr(type(run), "__call__", run)  # noqa: B004  # its code is wanted
        is_async = inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)
        return is_async and not self._uses_flask and not self._is_batched

    def score(self, request: Request) -> Response:
        """Answer one call.

        Raises:
            BadInput, UnsupportedMediaType: the request does not fit run().
            ScoringFailed: run() raised; its exception is the ``__cause__``.
            EncodingFailed: what it returned has no form on the wire.
            Interruption: the call was ended from outside.
        """
        if self._is_batched:
            (outcome,) = self.score_many([request])
            if isinstance(outcome, RequestError):
                raise outcome
            return outcome
        if self._uses_flask:
            return raw.call_with_request(request, lambda proxy: self._score(request, proxy))
        return self._score(request, None)

    def _score(self, request: Request, flask_request: Any) -> Response:
        began = perf_counter()
        inputs = self._arguments(request, flask_request)
        parsed = perf_counter()
        try:
            result = self._call(self._run, inputs)
            ran = perf_counter()
            response = self._encode(result, request)
        except (Interruption, RequestError) as error:
            error.arguments = inputs  # for the report
            raise
        timings = Timings(parsed - began, ran - parsed, perf_counter() - ran)
        return Response(response.status, response.headers, response.body, timings, response.reason)

    def _arguments(self, request: Request, flask_request: Any) -> dict[str, Any]:
        contract = self._contract
        inputs: dict[str, Any]
        if contract.mode == "text":
            inputs = {contract.input_name: text_argument(request)}
        elif contract.schema is not None:
            inputs = contract.schema.arguments(json_object(request))
        elif contract.typed is not None:
            inputs = self._converted(contract.typed, request)
        else:
            inputs = {contract.input_name: flask_request}
        if contract.takes_headers:
            inputs[HEADERS_PARAMETER] = header_dict(request)
        return inputs

    def _converted(self, typed: Typed, request: Request) -> dict[str, Any]:
        values = json_object(request)
        try:
            return typed.arguments(values)
        except (Interruption, RequestError):
            raise
        except BaseException as error:  # their classes are made here
            raise self._blame(error) from error

    def _run(self, /, **inputs: Any) -> Any:
        """The one place that calls the user's ``run()``, which may have any parameter."""
        return self._script.run(**inputs)

    def _call(self, function: Callable[..., Any], inputs: dict[str, Any]) -> Any:
        """The result of their function, waited for."""
        try:
            return self._finish(function(**inputs))
        except Interruption:
            raise
        except BaseException as error:  # their code: anything can come out
            raise self._blame(error) from error

    def _blame(self, error: BaseException) -> Exception:
        schema = self._contract.schema
        if schema is not None and (rejection := schema.rejection_of(error)) is not None:
            return rejection
        return ScoringFailed(FAILED, location=location_of(error, self._where))

    # --- several at once ----------------------------------------------------------------

    async def score_async(self, request: Request) -> Response:
        """`score`, in the event loop that runs, for a script that `is_concurrent`.

        A streamed body is an asynchronous iterator.
        """
        began = perf_counter()
        inputs = self._arguments(request, None)
        parsed = perf_counter()
        try:
            result = await self._call_async(inputs)
            ran = perf_counter()
            if isinstance(result, AsyncGeneratorType):
                response = await self._encode_async(result)
            else:
                response = self._encode(result, request)
        except (Interruption, RequestError) as error:
            error.arguments = inputs  # for the report
            raise
        timings = Timings(parsed - began, ran - parsed, perf_counter() - ran)
        return Response(response.status, response.headers, response.body, timings, response.reason)

    async def _call_async(self, inputs: dict[str, Any]) -> Any:
        try:
            result = self._run(**inputs)
            return await result if isinstance(result, CoroutineType) else result
        except Interruption:
            raise
        except BaseException as error:  # their code: anything can come out
            if is_cancellation(error):
                raise
            raise self._blame(error) from error

    async def _encode_async(self, items: AsyncGenerator[Any, None]) -> Response:
        try:
            return await encode_async_stream(items, nan=self._nan)
        except (Interruption, ScoringFailed):
            raise
        except BaseException as error:  # their generator
            if is_cancellation(error):
                raise
            raise self._blame(error) from error

    def score_many(self, requests: Sequence[Request]) -> list[Response | RequestError]:
        """Answer several calls with one call of ``run()``, or one for each form of its arrays.

        Returns:
            For each its response, or why it has none.
        Raises:
            Interruption: the calls were ended from outside.
        """
        began = perf_counter()
        failed: dict[int, RequestError] = {}
        calls: dict[int, dict[str, Any]] = {}
        for index, request in enumerate(requests):
            try:
                calls[index] = self._noted(self._arguments(request, None))
            except RequestError as error:
                failed[index] = error
        parsed = perf_counter()
        results = self._results_of(list(calls.values())) if calls else []
        ran = perf_counter()
        outcomes: list[Response | RequestError] = []
        remaining = iter(results)
        for index, request in enumerate(requests):
            if index in failed:
                outcomes.append(failed[index])
                continue
            began_encoding = perf_counter()
            outcome = self._outcome(next(remaining), request)
            if isinstance(outcome, Response):
                encoded = perf_counter() - began_encoding
                outcome = replace(outcome, timings=Timings(parsed - began, ran - parsed, encoded))
            outcomes.append(outcome)
        return outcomes

    def _noted(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """The arguments that run() would get, converted by what decorates it."""
        if self._batched is None or self._contract.schema is None:
            return inputs
        with self._batched.noting() as noted:
            self._call(self._run, inputs)
        if len(noted) != 1:
            raise ScoringFailed(FAILED) from RuntimeError(
                "A decorator around run() did not call it once for each input. Put @batch "
                "outside of that decorator."
            )
        return noted[0]

    def _results_of(self, calls: list[dict[str, Any]]) -> list[Any]:
        """What run() makes of several calls, a part each; a part may be an exception."""
        results: list[Any] = [None] * len(calls)
        for indices in groups_of(calls):
            parts = self._parts_of(Batch([calls[index] for index in indices]), len(indices))
            for index, part in zip(indices, parts, strict=True):
                results[index] = part
        return results

    def _parts_of(self, batch: Batch, count: int) -> list[Any]:
        function = self._run if self._batched is None else self._batched.function
        try:
            return batch.split(self._call(function, batch.arguments))
        except RequestError as error:
            error.arguments = batch.arguments  # for the report
            return [error] * count

    def _outcome(self, part: Any, request: Request) -> Response | RequestError:
        if isinstance(part, RequestError):
            return part
        try:
            if isinstance(part, BaseException):
                raise self._blame(part) from part
            response = self._encode(part, request)
        except RequestError as error:
            return error
        if not isinstance(response.body, BUFFERS):
            return EncodingFailed("run() is batched and returned a stream for one of its inputs.")
        return response

    def _encode(self, result: Any, request: Request) -> Response:
        """The response for what ``run()`` returned; a generator's first item is theirs too."""
        try:
            return encode(
                result,
                nan=self._nan,
                adapters=(partial(response_of, method=request.method),)
                if "flask" in sys.modules
                else (),
            )
        except (Interruption, ScoringFailed):
            raise
        except BaseException as error:  # their generator, their __str__
            raise self._blame(error) from error

    def _finish(self, result: Any) -> Any:
        """Wait for what an ``async def`` gave back (R3.8)."""
        if isinstance(result, CoroutineType):
            return self._wait(result)
        if isinstance(result, AsyncGeneratorType):
            return self._iterate(result)
        return result

    def _iterate(self, items: AsyncGenerator[Any, None]) -> Iterator[Any]:
        try:
            while True:
                try:
                    item = self._wait(items.__anext__())
                except StopAsyncIteration:
                    return
                yield item
        finally:
            self._wait(items.aclose())

    def _wait(self, coroutine: Coroutine[Any, Any, Any]) -> Any:
        import asyncio  # 10 ms and 5 MB that most scripts do not need

        loop = self.event_loop()
        self._has_waited = True
        try:
            return loop.run_until_complete(coroutine)
        except Interruption:
            tasks = asyncio.all_tasks(loop)
            for task in tasks:
                task.cancel()
            if tasks:
                loop.run_until_complete(asyncio.gather(*tasks, return_exceptions=True))
            raise

    def event_loop(self) -> AbstractEventLoop:
        """The one the script's coroutines run in."""
        if self._loop is None or self._loop.is_closed():
            import asyncio  # as above

            self._loop = asyncio.new_event_loop()
            asyncio.set_event_loop(self._loop)
        return self._loop
