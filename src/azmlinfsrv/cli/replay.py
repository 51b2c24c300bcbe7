"""`azmlinfsrv replay`: send recorded requests again, and print what is answered differently."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from azmlinfsrv.cli.options import SettingsCommand, given_flags, setting_options

if TYPE_CHECKING:
    from azmlinfsrv.tools.client import Address
    from azmlinfsrv.tools.peers import Command
    from azmlinfsrv.tools.replay import Replayed

CANNOT_SERVE = 3

tolerance_option = click.option(
    "--tolerance",
    type=click.FloatRange(min=0),
    default=0.0,
    metavar="X",
    help="How far numbers in JSON may be off, absolute or as a part, whichever is larger.",
)
ignore_option = click.option(
    "--ignore",
    multiple=True,
    metavar="PATH",
    help="Do not compare this: body.id, body.rows[*].time, header.etag. May be repeated.",
)
format_option = click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How to print the outcome; json is for machines.",
)


class CannotServe(Exception):
    """A server that was to be started does not; the exit status says whose mistake it is."""

    def __init__(self, report: str, exit_status: int) -> None:
        super().__init__(report)
        self.exit_status = exit_status


@click.command(cls=SettingsCommand, params=setting_options())
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path))
@click.option("--url", metavar="URL", help="Send to this server, instead of starting one.")
@tolerance_option
@ignore_option
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this with each request, in place of one that was redacted. May be repeated.",
)
@click.option(
    "--max_slowdown",
    type=click.FloatRange(min=0, min_open=True),
    metavar="FACTOR",
    help="A median duration above FACTOR times the recorded one is a difference, too.",
)
@click.option(
    "--save_sample",
    "sample_of",
    metavar="ID",
    help="Send nothing: make the recording with this id, or request id, a sample.",
)
@click.option(
    "--samples",
    type=click.Path(path_type=Path),
    default=Path("samples"),
    metavar="DIR",
    help="Where --save_sample writes. [default: samples]",
)
@click.option("--name", metavar="NAME", help="Name of the sample. [default: the id]")
@format_option
@click.pass_context
def replay(
    ctx: click.Context,
    /,
    folder: Path,
    url: str | None,
    tolerance: float,
    ignore: tuple[str, ...],
    headers: tuple[str, ...],
    max_slowdown: float | None,
    sample_of: str | None,
    samples: Path,
    name: str | None,
    format_: str,
    **_params: Any,
) -> int:
    """Send the requests recorded in DIR again, to --url or to a new server with --entry_script.

    The exit status is 0 if every answer is the recorded one, 1 if any is not, 3 if the script
    cannot be served.
    """
    from azmlinfsrv.comparison import Tolerance
    from azmlinfsrv.tools.recordings import RecordingError, find_recording, recordings_in
    from azmlinfsrv.tools.recordings import save_sample as save
    from azmlinfsrv.tools.replay import replay as send_again

    try:
        recordings = recordings_in(folder)
        if sample_of is not None:
            recording = find_recording(recordings, sample_of)
            path = save(recording, samples, name or recording.id)
            click.echo(path)
            for place in recording.redacted:
                if place.startswith("request."):
                    click.echo(f"{place} was redacted: see whether it needs a value.", err=True)
            return 0
    except RecordingError as error:
        raise click.UsageError(str(error), ctx) from error
    flags = settings_flags(ctx)
    if (url is None) is ("entry_script" not in flags):
        raise click.UsageError("Say where to send them: --url or --entry_script.", ctx)
    try:
        with _target(url, flags, ctx) as address:
            outcomes = list(
                send_again(
                    recordings,
                    address,
                    tolerance=Tolerance.of(tolerance),
                    ignore=ignore,
                    headers=dict(map(header_of, headers)),
                )
            )
    except CannotServe as error:
        click.echo(str(error), err=True)
        return error.exit_status
    slowdown = _slowdown(outcomes, max_slowdown)
    if format_ == "json":
        click.echo(json.dumps(_document(outcomes, slowdown), indent=2))
    else:
        click.echo(_text(outcomes, slowdown))
    return 1 if slowdown or any(it.verdict == "different" for it in outcomes) else 0


def settings_flags(ctx: click.Context) -> dict[str, str]:
    """The settings given before and after the command's name, as texts by field name."""
    before = given_flags(ctx.parent.params) if ctx.parent else {}
    return {**before, **given_flags(ctx.params)}


def header_of(text: str) -> tuple[str, str]:
    """Name and value of a ``--header``.

    Raises:
        click.UsageError: it has no colon.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or "\n" in text or "\r" in text:
        raise click.UsageError(f"--header {text!r}: write 'Name: value'.")
    return name.strip(), value.strip()


@contextmanager
def running(command: Command, what: str) -> Iterator[Address]:
    """A server for the time of the block.

    Raises:
        CannotServe: it does not start.
    """
    from azmlinfsrv.tools.peers import CannotStart, started

    click.echo(f"Starting {what}", err=True)
    try:
        with started(command) as peer:
            yield peer.address
    except CannotStart as error:
        status = 2 if error.status == 2 else CANNOT_SERVE
        raise CannotServe(f"{what} cannot be served:\n{error}", status) from error


def address_of(url: str, ctx: click.Context) -> Address:
    """The server at a URL.

    Raises:
        click.UsageError: it is none.
    """
    from azmlinfsrv.tools.client import BadUrl
    from azmlinfsrv.tools.peers import server_at

    try:
        return server_at(url)
    except BadUrl as error:
        raise click.UsageError(str(error), ctx) from error


@contextmanager
def _target(url: str | None, flags: Mapping[str, str], ctx: click.Context) -> Iterator[Address]:
    if url is not None:
        yield address_of(url, ctx)
        return
    from azmlinfsrv.tools.peers import our_command

    command = our_command({"log_format": "json", **flags})
    with running(command, flags["entry_script"]) as address:
        yield address


# --- what is printed ----------------------------------------------------------------------


def _slowdown(outcomes: list[Replayed], limit: float | None) -> str:
    from azmlinfsrv.tools.replay import median_ms

    medians = median_ms(outcomes)
    if limit is None or medians is None or medians[1] <= limit * medians[0]:
        return ""
    return f"The median duration is {medians[1] / medians[0]:.2f} times what it was."


def _document(outcomes: list[Replayed], slowdown: str) -> dict[str, Any]:
    from azmlinfsrv.tools.replay import median_ms

    medians = median_ms(outcomes)
    counts = _counts(outcomes)
    return {
        **counts,
        "median_ms": None
        if medians is None
        else {"then": round(medians[0], 3), "now": round(medians[1], 3)},
        "slowdown": slowdown or None,
        "requests": [it.as_data() for it in outcomes],
    }


def _counts(outcomes: list[Replayed]) -> dict[str, int]:
    verdicts = [it.verdict for it in outcomes]
    return {word: verdicts.count(word) for word in ("same", "different", "skipped")}


def _text(outcomes: list[Replayed], slowdown: str) -> str:
    from azmlinfsrv.comparison import summary
    from azmlinfsrv.tools.replay import median_ms

    width = max(len(it.recording.id) for it in outcomes)
    lines = [f"{'id':{width}}  {'then':>14}  {'now':>14}"]
    for it in outcomes:
        then = it.recording
        was = f"{then.response.status} {then.duration_ms:7.1f} ms"
        now = "-" if it.answer is None else f"{it.answer.status} {it.duration_ms:7.1f} ms"
        reason = f": {it.skipped}" if it.skipped else ""
        lines.append(f"{then.id:{width}}  {was:>14}  {now:>14}  {it.verdict}{reason}")
        lines += [f"  {line}" for line in summary(it.found)]
        lines += [f"  {note}" for note in it.notes]
    counts = ", ".join(f"{count} {word}" for word, count in _counts(outcomes).items())
    lines.append(f"{counts}")
    if medians := median_ms(outcomes):
        lines.append(f"median duration: {medians[0]:.1f} ms then, {medians[1]:.1f} ms now")
    return "\n".join([*lines, slowdown] if slowdown else lines)
