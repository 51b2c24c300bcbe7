"""Command line flags, generated from the settings.

Flags follow the conventions users of the reference server know (R1.2): unique
abbreviations, ``--flag=value``, the last repetition wins. They may be written with dashes.
What a value means is not decided here: flags leave as texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import click

from azmlinfsrv.settings import FIELDS, GROUPS, DeclaredField

# An abbreviation that meant one flag in the reference server (1.5.1) means it here, however
# many flags have been added since. Nothing else depends on this list.
_FIRST_FLAGS: Final = frozenset(
    (
        "--help",
        "--entry_script",
        "--model_dir",
        "--port",
        "--health_port",
        "--worker_count",
        "--appinsights_instrumentation_key",
        "--access_control_allow_origins",
        "--config_file",
        "--rest",
    )
)
_PLACEHOLDERS: Final = {int: "N", float: "SECONDS", bool: "true|false"}


def setting_options() -> list[click.Parameter]:
    """An option for each setting that has a flag; all arrive as texts or, switches, as bool."""
    return [_option(field) for field in FIELDS if field.setting.flag]


def given_flags(params: dict[str, Any]) -> dict[str, str]:
    """Texts by field name, of the flags that were given."""
    flags = {}
    for field in FIELDS:
        value = params.get(field.name)
        if field.setting.is_switch and value:
            # A switch over words chooses the last of them: `--rest`.
            flags[field.name] = field.choices[-1] if field.choices else "true"
        elif field.setting.off_flag and value is False:
            flags[field.name] = "false"
        elif value is not None and not field.setting.is_switch:
            flags[field.name] = value
    return flags


class SettingsCommand(click.Command):
    """A command whose flags may be abbreviated and whose help is grouped."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        # What follows the name of a command is that command's to read.
        goes_on = not isinstance(self, click.Group)
        expanded = expand_flags(args, _takes_value(self, ctx), ctx, goes_on=goes_on)
        return super().parse_args(ctx, expanded)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        write_settings_help(formatter)
        own = [record for param in _own_params(self, ctx) if (record := param.get_help_record(ctx))]
        with formatter.section("Options"):
            formatter.write_dl(own)


class SettingsGroup(SettingsCommand, click.Group):
    """The same for the command that has others under it."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_options(ctx, formatter)
        self.format_commands(ctx, formatter)


def expand_flags(
    args: Sequence[str],
    takes_value: dict[str, bool],
    ctx: click.Context | None = None,
    *,
    goes_on: bool = False,
) -> list[str]:
    """The arguments with every flag in its full spelling, up to the first that is no flag.

    Args:
        takes_value: By flag, as declared.
        goes_on: What is no flag is an argument, and flags may follow it.
    Raises:
        click.UsageError: an abbreviation is ambiguous, or a value is missing.
    """
    expanded: list[str] = []
    rest = list(args)
    while rest:
        token = rest.pop(0)
        if goes_on and not token.startswith("--"):
            expanded.append(token)
            continue
        if not token.startswith("--") or token == "--":
            return [*expanded, token, *rest]
        name, equals, value = token.partition("=")
        flag = _full_name(name, takes_value, ctx)
        expanded.append(f"{flag}{equals}{value}")
        if takes_value.get(flag) and not equals:
            # A following flag is not a value: `--entry_script --port 80` lacks one.
            if not rest or rest[0].startswith("--"):
                raise click.BadOptionUsage(flag, f"{flag}: expected a value.", ctx)
            expanded.append(rest.pop(0))
    return expanded


def _full_name(name: str, flags: Iterable[str], ctx: click.Context | None) -> str:
    spelled = "--" + name[2:].replace("-", "_")
    if spelled in flags:
        return spelled
    matches = sorted(flag for flag in flags if flag.startswith(spelled))
    first = [flag for flag in matches if flag in _FIRST_FLAGS]
    matches = first or matches
    if len(matches) > 1:
        raise click.UsageError(f"{name} is ambiguous: {', '.join(matches)}.", ctx)
    return matches[0] if matches else name


def write_settings_help(formatter: click.HelpFormatter) -> None:
    """A section a group, and one for the settings that have no flag."""
    shown = [field for field in FIELDS if not field.setting.is_hidden]
    for group in GROUPS:
        rows = [
            (f"{field.setting.flag}{_placeholder(field)}", _explained(field))
            for field in shown
            if field.setting.group == group and field.setting.flag
        ]
        if rows:
            with formatter.section(group):
                formatter.write_dl(rows)
    with formatter.section("Variables without a flag"):
        formatter.write_dl(
            [
                (field.setting.env[0], f"{field.setting.help} [default: {default_text(field)}]")
                for field in shown
                if not field.setting.flag
            ]
        )


def default_text(field: DeclaredField) -> str:
    """The default as users write it."""
    if field.setting.default_text or field.default is None:
        return field.setting.default_text or "none"
    if isinstance(field.default, bool):
        return str(field.default).lower()
    return f"{field.default:g}" if isinstance(field.default, float) else str(field.default) or "''"


def _explained(field: DeclaredField) -> str:
    return f"{field.setting.help} [{field.setting.env[0]}; default: {default_text(field)}]"


def _placeholder(field: DeclaredField) -> str:
    if field.setting.is_switch:
        return ""
    if field.choices:
        return f" {'|'.join(field.choices)}"
    if field.kind is float and not field.name.endswith("_s"):
        return " NUMBER"
    return f" {_PLACEHOLDERS.get(field.kind, 'TEXT')}"


def _option(field: DeclaredField) -> click.Option:
    if field.setting.off_flag:
        both = f"{field.setting.flag}/{field.setting.off_flag}"
        return click.Option([both, field.name], is_flag=True, default=None)
    if field.setting.is_switch:
        return click.Option([field.setting.flag, field.name], is_flag=True)
    return click.Option([field.setting.flag, field.name], type=click.UNPROCESSED)


def _own_params(command: click.Command, ctx: click.Context) -> list[click.Parameter]:
    names = {field.name for field in FIELDS}
    return [param for param in command.get_params(ctx) if param.name not in names]


def _takes_value(command: click.Command, ctx: click.Context) -> dict[str, bool]:
    return {
        flag: not option.is_flag and not option.count
        for option in command.get_params(ctx)
        if isinstance(option, click.Option)
        for flag in (*option.opts, *option.secondary_opts)
        if flag.startswith("--")
    }
