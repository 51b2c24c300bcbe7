"""`azmlinfsrv compare`: the same requests to two servers, and every difference printed."""

from __future__ import annotations

import json
import shlex
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from azmlinfsrv.cli.options import SettingsCommand, setting_options
from azmlinfsrv.cli.replay import (
    CannotServe,
    address_of,
    format_option,
    header_of,
    ignore_option,
    running,
    settings_flags,
    tolerance_option,
)

if TYPE_CHECKING:
    from azmlinfsrv.samples import SampleRequest
    from azmlinfsrv.tools.client import Address
    from azmlinfsrv.tools.compare import Compared

_SIDES = "azmlinfsrv.compare.sides"


class Side(NamedTuple):
    """One of the two.

    Attributes:
        kind: ``entry_script``, ``server_command`` or ``url``.
    """

    kind: str
    text: str


def _add_sides(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    """Options come in the order of the command line: so the first is the first named."""
    sides = ctx.meta.setdefault(_SIDES, [])
    sides += [Side(str(param.name), value) for value in values]


def _side_option(flag: str, metavar: str, text: str) -> click.Option:
    return click.Option(
        [f"--{flag}", f"side_{flag}"],
        multiple=True,
        metavar=metavar,
        help=text,
        callback=_add_sides,
        expose_value=False,
    )


@click.command(
    cls=SettingsCommand,
    params=[
        *(option for option in setting_options() if option.name != "entry_script"),
        _side_option("entry_script", "PATH", "A script; a server of ours is started with it."),
        _side_option(
            "server_command",
            "COMMAND",
            "Any server, started by this command; {port} in it is the port, else --port N is "
            "appended. It is ready when / answers 200.",
        ),
        _side_option("url", "URL", "A server that runs already."),
    ],
)
@click.option("--samples", type=click.Path(path_type=Path), metavar="DIR", help="Samples to send.")
@click.option(
    "--recordings",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Recorded requests to send, instead of or besides samples.",
)
@tolerance_option
@ignore_option
@click.option(
    "--exact",
    is_flag=True,
    help="A body that is equal as compared, but not byte for byte, is a difference, too.",
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="'NAME: VALUE'",
    help="Send this with each request. May be repeated.",
)
@format_option
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    samples: Path | None,
    recordings: Path | None,
    tolerance: float,
    ignore: tuple[str, ...],
    exact: bool,
    headers: tuple[str, ...],
    format_: str,
    **_params: Any,
) -> int:
    """Send the same requests to two servers, and print every difference in the answers.

    Name two, in any mixture: --entry_script, --server_command, --url. Settings hold for the
    servers started with --entry_script. The exit status is 0 if all answers are the same, 1 if
    any differ, 3 if one of the two cannot be served.
    """
    from azmlinfsrv.comparison import Tolerance
    from azmlinfsrv.tools.compare import compare as compare_servers

    sides: list[Side] = ctx.meta.get(_SIDES, [])
    if len(sides) != 2:
        raise click.UsageError(
            "Name two servers to compare: --entry_script, --server_command or --url, twice.", ctx
        )
    requests = _requests(samples, recordings, dict(map(header_of, headers)), ctx)
    flags = settings_flags(ctx)
    flags.pop("entry_script", None)
    try:
        with ExitStack() as stack:
            first, second = (_enter(side, flags, stack, ctx) for side in sides)
            outcomes = list(
                compare_servers(
                    requests,
                    first,
                    second,
                    tolerance=Tolerance.of(tolerance),
                    ignore=ignore,
                    is_exact=exact,
                )
            )
    except CannotServe as error:
        click.echo(str(error), err=True)
        return error.exit_status
    if format_ == "json":
        click.echo(json.dumps(_document(sides, outcomes), indent=2))
    else:
        click.echo(_text(sides, outcomes))
    return 1 if any(it.found for it in outcomes) else 0


def _requests(
    samples: Path | None, recordings: Path | None, headers: dict[str, str], ctx: click.Context
) -> list[tuple[str, SampleRequest]]:
    from azmlinfsrv.samples import SampleError, SampleRequest, samples_in
    from azmlinfsrv.tools.recordings import (
        RecordingError,
        reason_not_to_send,
        recordings_in,
        request_of,
    )

    found: list[tuple[str, SampleRequest]] = []
    try:
        if samples is not None:
            for sample in samples_in(samples):
                it = sample.request
                merged = {**it.headers, **headers}
                found.append((sample.name, SampleRequest(it.method, it.path, merged, it.body)))
        for recording in recordings_in(recordings) if recordings is not None else ():
            if reason := reason_not_to_send(recording):
                click.echo(f"{recording.id} is not sent: {reason}.", err=True)
            else:
                found.append((recording.id, request_of(recording, headers)))
    except (SampleError, RecordingError) as error:
        raise click.UsageError(str(error), ctx) from error
    if not found:
        raise click.UsageError("There is nothing to send. Name --samples or --recordings.", ctx)
    return found


def _enter(side: Side, flags: dict[str, str], stack: ExitStack, ctx: click.Context) -> Address:
    from azmlinfsrv.tools.peers import any_command, our_command

    if side.kind == "side_url":
        return address_of(side.text, ctx)
    if side.kind == "side_server_command":
        try:
            command = any_command(shlex.split(side.text))
        except ValueError as error:
            raise click.UsageError(f"--server_command {side.text!r}: {error}.", ctx) from error
    else:
        command = our_command({"log_format": "json", **flags, "entry_script": side.text})
    return stack.enter_context(running(command, side.text))


# --- what is printed ----------------------------------------------------------------------


def _document(sides: list[Side], outcomes: list[Compared]) -> dict[str, Any]:
    from azmlinfsrv.tools.compare import medians_ms

    medians = medians_ms(outcomes)
    return {
        "first": sides[0].text,
        "second": sides[1].text,
        "same": sum(not it.found for it in outcomes),
        "different": sum(bool(it.found) for it in outcomes),
        "median_ms": None
        if medians is None
        else {"first": round(medians[0], 3), "second": round(medians[1], 3)},
        "requests": [it.as_data() for it in outcomes],
    }


def _text(sides: list[Side], outcomes: list[Compared]) -> str:
    from azmlinfsrv.comparison import summary
    from azmlinfsrv.tools.compare import medians_ms

    width = max(len("request"), *(len(it.name) for it in outcomes))
    lines = [
        f"first:  {sides[0].text}",
        f"second: {sides[1].text}; what the first answered is expected of it",
        "",
        f"{'request':{width}}  {'first':>14}  {'second':>14}",
    ]
    for it in outcomes:
        cells = [
            "-" if one is None else f"{one.status} {one.duration_s * 1000:7.1f} ms"
            for one in (it.first, it.second)
        ]
        lines.append(
            f"{it.name:{width}}  {cells[0]:>14}  {cells[1]:>14}  "
            f"{'different' if it.found else 'same'}"
        )
        lines += [f"  {line}" for line in summary(it.found, limit=1000)]
        if it.is_rewritten and not any(one.path == "body" for one in it.found):
            lines.append("  body is equal as compared, but not byte for byte (--exact)")
    different = sum(bool(it.found) for it in outcomes)
    lines += ["", f"{len(outcomes) - different} same, {different} different"]
    if medians := medians_ms(outcomes):
        lines.append(f"median duration: {medians[0]:.1f} ms and {medians[1]:.1f} ms")
    return "\n".join(lines)
