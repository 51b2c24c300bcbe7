"""``azmlinfsrv init``: what it takes and what it says."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("folder", metavar="[DIR]", default=".", type=click.Path(path_type=Path))
@click.option(
    "--template",
    type=click.Choice(["text", "sklearn", "torch", "raw", "batch", "stream"]),
    default="text",
    show_default=True,
    help="What the script is for.",
)
@click.pass_context
def init(ctx: click.Context, /, folder: Path, template: str) -> int:
    """Write a script to start from, a request for it, and a test.

    DIR is the current directory unless given. Nothing that is there is overwritten.
    """
    from azmlinfsrv.tools.init import FilesInTheWay, next_commands, write_template

    try:
        names = write_template(template, folder)
    except FilesInTheWay as error:
        raise click.UsageError(
            f"{', '.join(error.names)} would be overwritten. Choose another folder.", ctx
        ) from error
    except OSError as error:
        raise click.ClickException(f"{folder} cannot be written: {error.strerror}.") from error
    click.echo(f"Wrote {', '.join(names)}.\n\nNext:\n")
    commands = next_commands(template, folder)
    width = max(len(command) for command, _ in commands)
    for command, purpose in commands:
        click.echo(f"  {command:{width}}  # {purpose}" if purpose else f"  {command}")
    return 0
