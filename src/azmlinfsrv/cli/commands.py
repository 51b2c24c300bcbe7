"""The commands: parse, call, print. The work is done elsewhere.

A new command is a function with `@azmlinfsrv.command(...)` here; it reads its settings
with `loaded_settings`. One that grows has a file beside this one, and is added below.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from azmlinfsrv import __version__
from azmlinfsrv.cli.check import check
from azmlinfsrv.cli.compare import compare
from azmlinfsrv.cli.init import init
from azmlinfsrv.cli.load import load
from azmlinfsrv.cli.options import (
    SettingsCommand,
    SettingsGroup,
    given_flags,
    setting_options,
)
from azmlinfsrv.cli.records import format_record, startup_records, write_record
from azmlinfsrv.cli.replay import replay
from azmlinfsrv.cli.standard_streams import say
from azmlinfsrv.errors import SettingsError, StartupError
from azmlinfsrv.settings import Loaded, environment, read_settings

_NOTHING_TO_SERVE = (
    "Error!",
    # Literal: log queries match it (R1.4).
    "Either provide an entry_script using --entry_script or provide a path to the configuration "
    "file using --config_file",
)


def run(argv: Sequence[str]) -> int:
    """The exit status of a command line.

    Raises:
        StartupError: the server cannot serve.
    """
    try:
        result = azmlinfsrv.main(args=list(argv), prog_name="azmlinfsrv", standalone_mode=False)
    except click.ClickException as error:
        error.show()  # usage and message, on stderr
        return error.exit_code
    except click.Abort:
        return 1
    return result if isinstance(result, int) else 0


@click.group(
    cls=SettingsGroup,
    params=setting_options(),
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    subcommand_metavar="[COMMAND]",
)
@click.version_option(__version__, prog_name="azmlinfsrv", message="%(prog)s %(version)s")
@click.pass_context
def azmlinfsrv(ctx: click.Context, /, **_params: Any) -> int:
    """Serve a score.py over HTTP: init() loads a model, run(data) answers one request.

    Every setting can be given as a flag, an environment variable, or a key in the
    configuration file; the first of these wins. Flags may be written with dashes and
    abbreviated.
    """
    return 0 if ctx.invoked_subcommand else serve_command(loaded_settings(ctx))


@azmlinfsrv.command(cls=SettingsCommand, params=setting_options())
@click.option(
    "--format",
    "format_",
    type=click.Choice(["text", "json"]),
    default="text",
    help="How to print it; json is for machines.",
)
@click.pass_context
def config(ctx: click.Context, /, format_: str, **_params: Any) -> int:
    """Print every effective setting and where it came from."""
    from azmlinfsrv.cli.listing import print_listing

    loaded = loaded_settings(ctx)
    for level, text in loaded.notices:
        click.echo(format_record(level, text, loaded.settings.log_format), err=True)
    print_listing(loaded, format_)
    return 0


@azmlinfsrv.command(cls=SettingsCommand, params=setting_options())
@click.option(
    "--data",
    default="",
    help="The body: a text, @FILE, or - for standard input. [default: empty]",
)
@click.option(
    "--repeat", type=click.IntRange(1, 1_000_000), default=1, help="Calls, one after another."
)
@click.option(
    "--raw",
    is_flag=True,
    help="Send what --method, --header and --query say. Without it: POST, as JSON.",
)
@click.option("--method", help="With --raw. [default: POST]")
@click.option("--header", "headers", multiple=True, help="With --raw: 'Name: value'; repeatable.")
@click.option("--query", help="With --raw: a=1&b=2.")
@click.pass_context
def invoke(
    ctx: click.Context,
    /,
    data: str,
    repeat: int,
    raw: bool,
    method: str | None,
    headers: tuple[str, ...],
    query: str | None,
    **_params: Any,
) -> int:
    """Run the script on one request, without a server.

    The answer goes to standard output; times, memory and the log to standard error. Exit
    status: 0, 1 if the call failed, 2 for wrong usage, 3 if the script cannot be served.
    """
    from azmlinfsrv.cli.requests import read_body, read_request

    if not raw and (method or headers or query):
        raise click.UsageError("--method, --header and --query need --raw.", ctx)
    loaded = loaded_settings(ctx)
    settings = loaded.settings
    if not (settings.entry_script or settings.config_file):
        raise click.UsageError("There is no script: name one with --entry_script.", ctx)
    request = read_request(read_body(data), method, headers, query, is_raw=raw)
    for level, text in loaded.notices:
        click.echo(format_record(level, text, settings.log_format), err=True)
    from azmlinfsrv.tools.invoke import invoke as invoke_script

    return invoke_script(loaded, request, repeat)


for _command in (check, init, load, replay, compare):
    azmlinfsrv.add_command(_command)


def serve_command(loaded: Loaded) -> int:
    """Say what will be served, then serve it until told to stop; the exit status."""
    settings = loaded.settings
    log_format = settings.log_format
    if not (settings.entry_script or settings.config_file):
        for text in _NOTHING_TO_SERVE:
            write_record(logging.ERROR, text, log_format)
        return 1
    from azmlinfsrv.cli.banner import banner
    from azmlinfsrv.servers import check, serve

    check(loaded)
    lines = [
        format_record(level, text, log_format) + "\n"
        for level, text in loaded.notices
        if level >= logging.getLevelName(settings.log_level)
    ]
    if log_format == "json":  # then every line is an object
        lines.append(format_record(logging.INFO, banner(loaded).strip("\n"), log_format) + "\n")
    else:
        lines.append(banner(loaded))
    # Out at once: no process started later may inherit and repeat it (D11).
    say("".join(lines))
    try:
        return serve(loaded)
    except StartupError as error:
        error.log_format = log_format
        raise


def loaded_settings(ctx: click.Context) -> Loaded:
    """The settings of the flags before and after the command's name, and of everything else.

    Raises:
        click.UsageError: a flag is malformed; exit status 2.
        SettingsError: only other settings are; exit status 3.
    """
    flags: dict[str, str] = {}
    for params in (ctx.parent.params if ctx.parent else {}, ctx.params):
        flags.update(given_flags(params))
    try:
        return read_settings(flags, environment(), Path.cwd())
    except SettingsError as error:
        usage = [problem for problem in error.problems if problem[0].startswith("--")]
        if not usage:
            raise
        others = [problem for problem in error.problems if problem not in usage]
        for level, text in startup_records(SettingsError(others)):
            write_record(level, text, error.log_format)
        message = "\n".join(f"{name}: {text}" for name, text in usage)
        raise click.UsageError(message, ctx) from error
