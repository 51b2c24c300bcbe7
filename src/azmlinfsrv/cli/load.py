"""`azmlinfsrv load`: send many requests to a server and print how they were answered."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from azmlinfsrv.samples import SampleRequest
    from azmlinfsrv.tools.client import Address
    from azmlinfsrv.tools.load import Outcome

_OPEN_CONNECTIONS = 100
_CLOSED_CONNECTIONS = 8
# Between two lines of progress where there is no terminal, in seconds.
_LINE_EVERY_S = 5.0


@click.command()
@click.argument("url")
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Open load: N requests a second are due whatever the server does; latency counts from "
    "when a request was due. Without it each connection waits for its answer.",
)
@click.option(
    "--connections",
    type=click.IntRange(min=1),
    metavar="N",
    help=f"Requests under way at once, at most. [default: {_CLOSED_CONNECTIONS}; "
    f"{_OPEN_CONNECTIONS} with --rate]",
)
@click.option(
    "--duration",
    type=click.FloatRange(min=0, min_open=True),
    default=10.0,
    show_default=True,
    metavar="SECONDS",
    help="How long requests are sent.",
)
@click.option("--data", metavar="TEXT", help="The body; @FILE is the content of a file.")
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Send the requests of a folder of samples in turn, instead of --data.",
)
@click.option("--method", default=None, help="HTTP method. [default: POST with --data, else GET]")
@click.option(
    "--header", "headers", multiple=True, metavar="'NAME: VALUE'", help="May be given repeatedly."
)
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    metavar="SECONDS",
    help="A request without an answer for so long has failed.",
)
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How to print the outcome; json is for machines.",
)
def load(
    url: str,
    rate: float | None,
    connections: int | None,
    duration: float,
    data: str | None,
    samples: Path | None,
    method: str | None,
    headers: tuple[str, ...],
    timeout: float,
    format_: str,
) -> int:
    """Send many requests to URL and print how they were answered.

    The exit status is 1 if any request got no answer or one from 500 on.
    """
    from azmlinfsrv.tools.client import BadUrl, parse_url
    from azmlinfsrv.tools.load import Plan, send_load

    try:
        address = parse_url(url)
    except BadUrl as error:
        raise click.UsageError(str(error)) from error
    if samples is not None and (data is not None or method is not None):
        raise click.UsageError("--samples stands in place of --data and --method.")
    given = dict(_header(text) for text in headers)
    requests = (
        _sampled(samples, given)
        if samples is not None
        else [_request(address, data, method, given)]
    )
    default = _CLOSED_CONNECTIONS if rate is None else _OPEN_CONNECTIONS
    plan = Plan(requests, duration, connections or default, rate, timeout_s=timeout)
    with _progress(duration) as tell:
        outcome = send_load(address, plan, tell=tell)
    print(json.dumps(outcome.as_data(), indent=2) if format_ == "json" else outcome_text(outcome))
    return 1 if outcome.failed else 0


def outcome_text(outcome: Outcome) -> str:
    """What a person wants to know, a line each."""
    lines = [
        f"answered   {outcome.answered} in {outcome.seconds:.2f} s, "
        f"{outcome.per_second:.1f} a second"
    ]
    if outcome.answered:
        latency = outcome.latencies.as_data()
        lines += [
            f"{label:10} {latency[key]:.3f} ms"
            for label, key in (
                ("mean", "mean_ms"),
                ("p50", "p50_ms"),
                ("p90", "p90_ms"),
                ("p95", "p95_ms"),
                ("p99", "p99_ms"),
                ("p99.9", "p99.9_ms"),
                ("longest", "max_ms"),
            )
        ]
    lines += [f"status {status} {outcome.statuses[status]}" for status in sorted(outcome.statuses)]
    lines += [f"{kind}: {count}" for kind, count in outcome.errors.most_common()]
    if outcome.unsent:
        lines.append(f"never sent: {outcome.unsent}")
    return "\n".join(lines)


def _header(text: str) -> tuple[str, str]:
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or "\n" in text or "\r" in text:
        raise click.UsageError(f"--header {text!r}: write 'Name: value'.")
    return name.strip(), value.strip()


def _request(
    address: Address, data: str | None, method: str | None, headers: dict[str, str]
) -> SampleRequest:
    from azmlinfsrv.samples import SampleRequest

    body = None
    if data is not None:
        body = data.encode()
        if data.startswith("@"):
            try:
                body = Path(data[1:]).read_bytes()
            except OSError as error:
                raise click.UsageError(f"--data {data}: {error.strerror}.") from error
        if not any(name.lower() == "content-type" for name in headers):
            headers = {"Content-Type": "application/json", **headers}
    return SampleRequest(
        method or ("GET" if body is None else "POST"), address.path or "/", headers, body
    )


def _sampled(folder: Path, headers: dict[str, str]) -> list[SampleRequest]:
    from azmlinfsrv.samples import SampleError, SampleRequest, samples_in

    try:
        found = [sample.request for sample in samples_in(folder)]
    except SampleError as error:
        raise click.UsageError(f"--samples: {error}") from error
    if not found:
        raise click.UsageError(f"--samples: {folder} holds no samples.")
    return [SampleRequest(it.method, it.path, {**it.headers, **headers}, it.body) for it in found]


Tell = Callable[["Outcome", float], None]


def _progress(duration_s: float) -> AbstractContextManager[Tell]:
    """Shows how far it is: in place on a terminal, else a line now and then; on stderr."""
    if sys.stderr.isatty():
        return _Live(duration_s)
    next_s = _LINE_EVERY_S

    def tell(outcome: Outcome, seconds: float) -> None:
        nonlocal next_s
        if seconds >= next_s:
            next_s += _LINE_EVERY_S
            click.echo(f"{seconds:.0f} s of {duration_s:g} s: {_so_far(outcome)}", err=True)

    return nullcontext(tell)


class _Live(AbstractContextManager[Tell]):
    def __init__(self, duration_s: float) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

        columns = (
            BarColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
        )
        self._duration_s = duration_s
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)

    def __enter__(self) -> Tell:
        self._bar.start()
        task = self._bar.add_task("start", total=self._duration_s)

        def tell(outcome: Outcome, seconds: float) -> None:
            self._bar.update(task, completed=seconds, description=_so_far(outcome))

        return tell

    def __exit__(self, *_: object) -> None:
        self._bar.stop()


def _so_far(outcome: Outcome) -> str:
    if not outcome.answered:
        return f"no answers yet, {outcome.failed} failed"
    p99_ms = outcome.latencies.percentile_s(99) * 1000
    return f"{outcome.answered} answered, p99 {p99_ms:.1f} ms, {outcome.failed} failed"
