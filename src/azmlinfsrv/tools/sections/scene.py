"""What every section has before it: the running server, the samples, and what they need."""

from __future__ import annotations

import ast
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from azmlinfsrv.samples import Sample, SampleRequest
from azmlinfsrv.tools.budget import Budget
from azmlinfsrv.tools.client import Answer, Client
from azmlinfsrv.tools.findings import Place
from azmlinfsrv.tools.serving import ScriptServer


@dataclass(frozen=True, slots=True)
class Options:
    """What the user asked for.

    Attributes:
        flags: To start the server with, as on the command line.
        script: Absolute.
        environ: The environment the server inherits.
        samples_folder: Where samples are, whether it exists or not.
        baseline: An old script, or a file written by ``--write_baseline``.
        max_regression: As a part: 0.1 is 10 %.
        call_limit_s: A request without an answer for so long has none.
    """

    flags: tuple[str, ...]
    script: Path
    environ: Mapping[str, str]
    samples_folder: Path
    budget: Budget
    baseline: Path | None = None
    write_baseline: Path | None = None
    max_regression: float = 0.1
    update: bool = False
    is_quick: bool = False
    call_limit_s: float = 30.0
    start_limit_s: float = 300.0


@dataclass(slots=True)
class Scene:
    """The server and what is known so far.

    Attributes:
        answers: To each sample, by name, as the first section that sent it got it.
        tell: Shows what is being done.
        unsteady: Samples whose answers were seen to vary.
    """

    options: Options
    server: ScriptServer
    samples: list[Sample]
    tell: Callable[[str], None]
    answers: dict[str, Answer] = field(default_factory=dict)
    unsteady: set[str] = field(default_factory=set)
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    def place(self, function: str = "run") -> Place:
        """Where the script defines a function: the line to look at if no other is known."""
        return Place(self.options.script, line_of(self.options.script, function))

    def client(self) -> Client:
        return self.server.client(self.options.call_limit_s)

    def send(self, client: Client, request: SampleRequest, what: str) -> tuple[Answer, str]:
        """The answer and the id it can be found by in the log.

        Raises:
            NoAnswer: none came.
        """
        request_id = f"check-{what}-{next(self._numbers)}"
        has_own = any(name.lower() == "x-request-id" for name in request.headers)
        headers = {} if has_own else {"x-request-id": request_id}
        answer = client.send(request, headers)
        return answer, answer.headers.get("x-request-id", request_id)

    def good_samples(self) -> list[Sample]:
        """The samples that were answered below 400: what can be repeated and varied."""
        return [
            sample
            for sample in self.samples
            if (answer := self.answers.get(sample.name)) is not None and answer.status < 400
        ]

    def scored_samples(self) -> list[Sample]:
        """Good ones that went to the script: no probe, no document."""
        return [it for it in self.good_samples() if it.request.path.partition("?")[0] == "/score"]

    def failure(self, request_id: str) -> tuple[str, Place | None]:
        """What the script raised, and where."""
        return self.server.failure_of(request_id)


@cache
def line_of(script: Path, function: str) -> int:
    """The line of a top-level ``def``; 0 if there is none."""
    try:
        tree = ast.parse(script.read_bytes())
    except (OSError, SyntaxError, ValueError):
        return 0
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == function:
            return node.lineno
    return 0
