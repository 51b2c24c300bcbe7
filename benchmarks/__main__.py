"""``python -m benchmarks``: parse, measure, print. It never fails a build.

Exit status 0, whatever was measured or not met; 2 for wrong usage; 130 after Ctrl-C (with what was
measured until then).
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime
import json
import platform
import signal
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import NoReturn

from benchmarks.chart import panels, svg
from benchmarks.growth import Growth
from benchmarks.growth import tables as growth_tables
from benchmarks.jobs import JOBS, Job
from benchmarks.load import LoadError, find_generator
from benchmarks.peers import CHECKOUT, PEERS
from benchmarks.report import (
    Circumstances,
    page_section,
    read_cpu_model,
    replace_section,
    rich_table,
    tables,
    usable_cores,
)
from benchmarks.results import Results
from benchmarks.study import Plan, Study

PAGE = CHECKOUT / "docs" / "benchmarks.md"
PICTURES = CHECKOUT / "docs" / "benchmarks"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure this server beside others, in one run."
    )
    made.add_argument(
        *("--jobs", "-j"),
        type=_names(JOBS),
        default=["j1", "j2"],
        metavar="J1,J2",
        help=f"of {', '.join(JOBS)}, or all (default: j1,j2)",
    )
    made.add_argument(
        *("--peers", "-p"),
        type=_names(PEERS),
        default=["reference"],
        metavar="A,B",
        help=f"servers beside the base: {', '.join(PEERS)}, or all (default: reference)",
    )
    made.add_argument(
        "--base",
        choices=list(PEERS),
        default="ours",
        help="the server that is divided by the others (default: ours)",
    )
    made.add_argument("--rounds", type=_positive, default=3, help="default: 3")
    made.add_argument(
        *("--seconds", "-d"), type=_positive, default=5, help="length of each load (default: 5)"
    )
    made.add_argument("--workers", type=_positive, default=1, help="of each server (default: 1)")
    made.add_argument(
        "--growth",
        action="store_true",
        help="instead: the base alone, with longer bodies, more connections, more workers",
    )
    made.add_argument("--no-probe", action="store_true", help="leave out the probe measurement")
    made.add_argument(
        "--generator",
        choices=["auto", "wrk", "client"],
        default="auto",
        help="auto is wrk where it is installed, else our own client (default: auto)",
    )
    made.add_argument("--json", type=Path, metavar="FILE", help="every sample, for a program")
    made.add_argument(
        "--write", action="store_true", help="put tables and charts into docs/benchmarks.md"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    from rich.console import Console

    reader = parser()
    options = reader.parse_args(arguments)
    if sys.platform == "win32":
        reader.error("process groups and /proc are needed: run this on Linux, or in WSL.")
    try:
        generator = find_generator(options.generator)
    except LoadError as error:
        reader.error(str(error))
    others = [name for name in options.peers if name != options.base]
    circumstances = Circumstances(
        date=datetime.datetime.now(tz=datetime.timezone.utc).strftime("%Y-%m-%d"),
        cpu=read_cpu_model(),
        cores=usable_cores(),
        system=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        generator=generator.name,
        workers=0 if options.growth else options.workers,
        rounds=options.rounds,
        seconds=options.seconds,
    )
    results = Results()
    if options.growth:
        growth = Growth(PEERS[options.base], options.rounds, options.seconds, generator, results)
        interrupted = _carry_out(growth)
        found = growth_tables(results, options.base)
    else:
        plan = Plan(
            jobs=[JOBS[name] for name in options.jobs],
            peers=[PEERS[name] for name in (options.base, *others)],
            rounds=options.rounds,
            seconds=options.seconds,
            workers=options.workers,
            probes=not options.no_probe,
        )
        interrupted = _carry_out(Study(plan, generator, results))
        ours = options.base == "ours"
        found = tables(results, plan.all_jobs, options.base, others, budgets=ours)

    console = Console()
    for table in found:
        console.print(rich_table(table))
    for failure in results.failures if options.growth else ():
        console.print(f"{failure.job}: {failure.reason}", markup=False)
    console.print(circumstances.sentence, markup=False, highlight=False)
    if options.json:
        data = {"circumstances": dataclasses.asdict(circumstances), **results.as_data()}
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    if options.write and not interrupted:
        if options.growth:
            _write(page_section(found, circumstances, {}), "growth")
        else:
            charts = _draw(results, plan.all_jobs, [options.base, *others])
            _write(page_section(found, circumstances, charts), "servers")
        console.print(f"Wrote {PAGE.relative_to(CHECKOUT)}.", markup=False)
    return 130 if interrupted else 0


def _carry_out(study: Study | Growth) -> bool:
    """Carry out *study* under a progress bar; true if Ctrl-C (or SIGTERM) cut it short."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}", markup=False),
    )
    # Talk goes to stderr, results to stdout.
    with Progress(*columns, console=Console(stderr=True), refresh_per_second=2) as bar:
        task = bar.add_task("start", total=study.steps)
        try:
            for step, what in enumerate(study.run()):
                bar.update(task, completed=step, description=what)
        except KeyboardInterrupt:
            return True
        bar.update(task, completed=study.steps, description="done")
    return False


def _draw(results: Results, jobs: Sequence[Job], peers: Sequence[str]) -> dict[str, str]:
    """Write a chart for each job; from a job's heading to the path of its chart."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    charts = {}
    for job in jobs:
        drawn = panels(results, job.name, peers)
        if drawn:
            (PICTURES / f"{job.name}.svg").write_text(svg(job.heading, drawn), encoding="utf-8")
            charts[job.heading] = f"{PICTURES.name}/{job.name}.svg"
    return charts


def _write(section: str, which: str) -> None:
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(replace_section(page, section, which), encoding="utf-8")


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _names(known: Iterable[str]) -> Callable[[str], list[str]]:
    """Reads ``a,b``, names that must be in *known*; ``all`` is all of them."""
    choices = list(known)

    def read(text: str) -> list[str]:
        names = [name.strip() for name in text.split(",") if name.strip()]
        if names == ["all"]:
            return choices
        if not names or not set(names) <= set(choices):
            raise argparse.ArgumentTypeError(f"{text!r}: choose from {', '.join(choices)}, or all")
        return list(dict.fromkeys(names))

    return read


def _positive(text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
