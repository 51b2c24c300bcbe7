"""`azmlinfsrv check`: try a script as a gate in continuous integration would."""

from __future__ import annotations

import json
import re
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from azmlinfsrv.cli.options import SettingsCommand, given_flags, setting_options
from azmlinfsrv.settings import FIELDS, Loaded, environment

if TYPE_CHECKING:
    from rich.status import Status

    from azmlinfsrv.tools.findings import Finding, Report, SectionResult
    from azmlinfsrv.tools.sections.scene import Options

_FILE = click.Path(dir_okay=False, path_type=Path)
_INSTALL = "python -m pip install 'azureml-inference-server-http[check]'"
# How a figure is shown: words around the number, by the end of its name.
_UNITS = (("_ms", "ms"), ("_mb", "MB"), ("_s", "s"), ("_percent", "%"))
# How the endpoint is kept is not the script's: it is tried over plain HTTP, without keys. What
# is sent to try it is nothing to record.
_NOT_TRIED = frozenset(
    ("auth_keys", "tls_cert", "tls_key", "tls_key_password", "tls_client_ca", "record_dir")
)
_NEWLINE = re.compile(r"\s*\n\s*")


def check_options() -> list[click.Parameter]:
    """The options of the command besides the settings."""
    option = click.Option
    return [
        option(
            ["--samples"],
            type=click.Path(file_okay=False, path_type=Path),
            metavar="DIR",
            help="Folder of samples. [default: samples beside the script]",
        ),
        option(
            ["--update"], is_flag=True, help="Write the answers to samples as the expected ones."
        ),
        option(
            ["--budget"],
            type=_FILE,
            metavar="FILE",
            help="Limits of cost. [default: budget.toml beside the script, if it is there]",
        ),
        option(
            ["--limit", "limits"],
            multiple=True,
            metavar="NAME=NUMBER",
            help="One limit, such as p99_ms=50; may be given repeatedly.",
        ),
        option(
            ["--baseline"],
            type=_FILE,
            metavar="FILE",
            help="Measure beside this: an older script, or what --write_baseline wrote.",
        ),
        option(
            ["--write_baseline"],
            type=_FILE,
            metavar="FILE",
            help="Write the script as the baseline of later checks.",
        ),
        option(
            ["--max_regression"],
            default="10%",
            show_default=True,
            metavar="PERCENT",
            help="How much slower than the baseline it may be.",
        ),
        option(["--junit"], type=_FILE, metavar="FILE", help="Write JUnit XML."),
        option(["--json", "json_"], type=_FILE, metavar="FILE", help="Write everything as JSON."),
        option(["--sarif"], type=_FILE, metavar="FILE", help="Write SARIF 2.1.0."),
        option(["--github"], is_flag=True, help="Print annotations for GitHub Actions."),
        option(
            ["--ignore"],
            multiple=True,
            metavar="ID",
            help="Leave out findings of this kind; may be given repeatedly.",
        ),
        option(
            ["--skip"],
            multiple=True,
            metavar="SECTION",
            help="Leave out a section; may be given repeatedly.",
        ),
        option(
            ["--fail_on"],
            type=click.Choice(["error", "warning", "note"]),
            default="error",
            show_default=True,
            help="The least severity that makes the exit status 1.",
        ),
        option(
            ["--quick"], is_flag=True, help="Try the edges of one sample only, and kill no process."
        ),
        option(
            ["--call_limit"],
            type=click.FloatRange(min=0, min_open=True),
            default=30.0,
            show_default=True,
            metavar="SECONDS",
            help="A request without an answer for so long has none.",
        ),
    ]


@click.command(cls=SettingsCommand, params=[*check_options(), *setting_options()])
@click.pass_context
def check(ctx: click.Context, /, **params: Any) -> int:
    """Try a script with the real server: the gate for continuous integration.

    The settings are those of serving. Exit status: 0 good, 1 there are findings, 2 wrong
    usage, 3 the script cannot be served.
    """
    from azmlinfsrv.cli.commands import loaded_settings

    loaded = loaded_settings(ctx)
    with _config_file(loaded) as config_file:
        options = _options(ctx, loaded, config_file, params)
        _refuse_unknown(params)
        try:
            import psutil  # noqa: F401
        except ImportError as error:
            text = f"check needs psutil, which is not installed: {_INSTALL}"
            raise click.UsageError(text) from error
        report = _run(options, params)
    _write_files(report, params)
    return report.exit_status


def _run(options: Options, params: dict[str, Any]) -> Report:
    from azmlinfsrv.samples import SampleError
    from azmlinfsrv.tools.check import check as check_script
    from azmlinfsrv.tools.findings import Severity

    with _ending_on_signals(), _progress() as show:
        try:
            report = check_script(
                options,
                ignored=params["ignore"],
                skipped=params["skip"],
                fail_on=Severity[params["fail_on"]],
                begin=show.begin,
                tell=show.tell,
                end=show.end,
            )
        except SampleError as error:
            raise click.UsageError(str(error)) from error
    print(_summary(report))
    return report


def _options(
    ctx: click.Context, loaded: Loaded, config_file: str, params: dict[str, Any]
) -> Options:
    from azmlinfsrv.tools.budget import BudgetError, read_budget
    from azmlinfsrv.tools.check import default_samples
    from azmlinfsrv.tools.sections.scene import Options

    settings = loaded.settings
    if settings.entry_script is None:
        raise click.UsageError("Name the script to check with --entry_script.", ctx)
    script = (Path(settings.app_root) / settings.entry_script).resolve()
    budget_file = params["budget"]
    if budget_file is None and (script.parent / "budget.toml").is_file():
        budget_file = script.parent / "budget.toml"
    try:
        budget = read_budget(budget_file, params["limits"])
    except BudgetError as error:
        raise click.UsageError(str(error), ctx) from error
    if params["samples"] is not None and not params["samples"].is_dir():
        raise click.UsageError(f"--samples: {params['samples']} is not a folder.", ctx)
    if params["baseline"] is not None and not params["baseline"].is_file():
        raise click.UsageError(f"--baseline: {params['baseline']} does not exist.", ctx)
    return Options(
        flags=_flags(ctx, config_file),
        script=script,
        environ=_environment(),
        samples_folder=params["samples"] or default_samples(script),
        budget=budget,
        baseline=params["baseline"],
        write_baseline=params["write_baseline"],
        max_regression=_part(params["max_regression"]),
        update=params["update"],
        is_quick=params["quick"],
        call_limit_s=params["call_limit"],
    )


@contextmanager
def _config_file(loaded: Loaded) -> Iterator[str]:
    """A copy of the configuration file without what is not tried; empty if nothing of it is there.

    Nothing else would do: keys in a file cannot be taken back by an empty variable.
    """
    left_out = {key for field in FIELDS if field.name in _NOT_TRIED for key in field.keys}
    path = loaded.config_path
    content = json.loads(Path(path).read_text(encoding="utf-8-sig")) if path else {}
    if not left_out & content.keys():
        yield ""
        return
    with tempfile.TemporaryDirectory(prefix="azmlinfsrv-check-") as folder:
        copy = Path(folder) / "config.json"
        kept = {key: value for key, value in content.items() if key not in left_out}
        copy.write_text(json.dumps(kept), encoding="utf-8")
        yield str(copy)


def _flags(ctx: click.Context, config_file: str) -> tuple[str, ...]:
    """The settings given as flags, to be given to the server that is tried."""
    given: dict[str, str] = {}
    for params in (ctx.parent.params if ctx.parent else {}, ctx.params):
        given.update(given_flags(params))
    if config_file:
        given["config_file"] = config_file
    flags: list[str] = []
    for field in FIELDS:
        if field.name in given and field.name not in _NOT_TRIED:
            flags.append(field.setting.flag)
            if not field.setting.is_switch:
                flags.append(given[field.name])
    return tuple(flags)


def _environment() -> dict[str, str]:
    """That of this process, without what is not tried."""
    left_out = {
        variable for field in FIELDS if field.name in _NOT_TRIED for variable in field.variables
    }
    return {name: value for name, value in environment().items() if name.upper() not in left_out}


def _part(text: str) -> float:
    """``10%`` and ``0.1`` are the same part."""
    try:
        number = float(text.strip().removesuffix("%"))
    except ValueError:
        number = -1.0
    part = number / 100 if text.strip().endswith("%") else number
    if not 0 < part < 10:
        raise click.UsageError(f"--max_regression {text}: write a percentage, such as 10%.")
    return part


def _refuse_unknown(params: dict[str, Any]) -> None:
    from azmlinfsrv.tools.findings import KINDS, SECTIONS

    for flag, given, known in (
        ("--ignore", params["ignore"], list(KINDS)),
        ("--skip", params["skip"], [it for it in SECTIONS if it != "load"]),
    ):
        for name in given:
            if name not in known:
                raise click.UsageError(f"{flag} {name}: choose from {', '.join(known)}.")


def _write_files(report: Report, params: dict[str, Any]) -> None:
    from azmlinfsrv.tools.github import workflow_commands
    from azmlinfsrv.tools.junit import junit_xml
    from azmlinfsrv.tools.sarif import sarif_document

    if params["github"]:
        for line in workflow_commands(report, Path.cwd()):
            print(line)
    texts: dict[str, Callable[[], str]] = {
        "junit": lambda: junit_xml(report),
        "sarif": lambda: json.dumps(sarif_document(report, Path.cwd()), indent=2) + "\n",
        "json_": lambda: json.dumps(report_data(report), indent=2) + "\n",
    }
    for name, make in texts.items():
        if params[name] is not None:
            try:
                params[name].write_text(make(), encoding="utf-8")
            except OSError as error:
                raise click.UsageError(f"{params[name]}: {error.strerror}.") from error


def report_data(report: Report) -> dict[str, Any]:
    """Everything, for JSON."""
    return {
        "script": str(report.script),
        "exit_status": report.exit_status,
        "sections": [
            {
                "name": section.name,
                "skipped": section.skipped or None,
                "checks": section.checks,
                "seconds": round(section.seconds, 3),
                "figures": section.figures,
                "notes": section.notes,
                "findings": [_finding_data(finding) for finding in section.findings],
            }
            for section in report.sections
        ],
    }


def _finding_data(finding: Finding) -> dict[str, Any]:
    place = finding.place
    return {
        "id": finding.id,
        "severity": finding.kind.severity.name,
        "text": finding.text,
        "next_step": finding.kind.next_step,
        "file": str(place.file) if place else None,
        "line": place.line or None if place else None,
        "sample": finding.sample or None,
        "details": list(finding.details),
    }


# --- what is printed ----------------------------------------------------------------------


def section_text(section: SectionResult) -> str:
    """What became of one section: a line, and some for each finding."""
    worst = max((it.kind.severity for it in section.findings), default=None)
    word = "skip" if section.skipped else worst.name if worst else "ok"
    facts = [section.skipped] if section.skipped else [f"{section.checks} checks"]
    facts += [_figure(name, value) for name, value in section.figures.items()]
    lines = [f"{word:8}{section.name:15}{', '.join(facts)}"]
    lines += [f"        {note}" for note in section.notes]
    for finding in section.findings:
        place = f" at {_short(finding)}" if finding.place else ""
        lines.append(f"  {finding.kind.severity.name} {finding.id}{place}")
        lines.append(f"    {_NEWLINE.sub(' ', finding.text)}")
        lines += [f"      {line}" for line in finding.details]
        lines.append(f"    Next: {finding.kind.next_step}")
    return "\n".join(lines)


def _short(finding: Finding) -> str:
    place = str(finding.place)
    here = f"{Path.cwd()}/"
    return place.removeprefix(here)


def _figure(name: str, value: float) -> str:
    for end, unit in _UNITS:
        if name.endswith(end):
            return f"{name.removesuffix(end).replace('_', ' ')} {value:g} {unit}"
    return f"{name.replace('_', ' ')} {value:g}"


def _summary(report: Report) -> str:
    counts = {
        name: sum(it.kind.severity.name == name for it in report.findings)
        for name in ("error", "warning", "note")
    }
    found = ", ".join(
        f"{many} {name}{'' if many == 1 else 's'}" for name, many in counts.items() if many
    )
    verdicts = {0: "good", 1: "findings", 3: "the script cannot be served"}
    return f"{report.script.name}: {verdicts[report.exit_status]}{f' ({found})' if found else ''}"


class _Show:
    """Sections as they end on stdout; what is being done on a terminal on stderr."""

    def __init__(self, status: Status | None) -> None:
        self._status = status
        self._section = ""

    def begin(self, section: str) -> None:
        self._section = section
        self.tell("")

    def tell(self, what: str) -> None:
        if self._status is not None:
            from rich.text import Text

            self._status.update(Text(f"{self._section} {what}"))

    def end(self, section: SectionResult) -> None:
        print(section_text(section), flush=True)


@contextmanager
def _progress() -> Iterator[_Show]:
    if not sys.stderr.isatty():
        yield _Show(None)
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield _Show(status)


@contextmanager
def _ending_on_signals() -> Iterator[None]:
    """SIGTERM and SIGHUP end the check as Ctrl-C does: with the server it started."""

    def stop(number: int, frame: object) -> NoReturn:
        raise KeyboardInterrupt

    numbers = [signal.SIGTERM, *([signal.SIGHUP] if sys.platform != "win32" else [])]
    before = [(number, signal.signal(number, stop)) for number in numbers]
    try:
        yield
    finally:
        for number, handler in before:
            signal.signal(number, handler)
