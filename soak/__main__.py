"""``python -m soak``: parse, measure, print.

Exit status 0 if everything our server must do was seen, 1 if not, 2 for wrong usage, 130 after
Ctrl-C. What another server does beside ours never fails anything.
"""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import os
import platform
import signal
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from soak import experiments
from soak.leak import REQUESTS, leak
from soak.mixture import Plan, mixture
from soak.overload import overload, probes_while_busy
from soak.report import Figure, as_data, side_by_side
from soak.target import Contender, TargetError, has_flag, ours, reference

Tell = Callable[[str], None]
Experiment = Callable[[Contender, argparse.Namespace, Tell], Awaitable[list[Figure]]]

# A flag that came with swapping scripts beside the old ones.
_SWAP_FLAG = "--warmup_requests"

EXPERIMENTS: dict[str, Experiment] = {
    "overload": lambda contender, options, tell: overload(contender, options.seconds, options.seed),
    "probe": lambda contender, options, tell: probes_while_busy(contender, 10),
    "slow": lambda contender, options, tell: experiments.slow(contender),
    "crash": lambda contender, options, tell: experiments.crash(contender),
    "stuck": lambda contender, options, tell: experiments.stuck(contender),
    "term": lambda contender, options, tell: experiments.term(contender),
    "swap": lambda contender, options, tell: experiments.swap(contender),
    "respawn": lambda contender, options, tell: experiments.respawn(contender),
    "abandoned": lambda contender, options, tell: experiments.abandoned(contender),
    "leak": lambda contender, options, tell: leak(contender, options.requests, options.seed, tell),
}


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="python -m soak",
        description="Trouble on purpose: all kinds at once, or one at a time.",
    )
    made.add_argument(
        "experiments",
        nargs="*",
        metavar="EXPERIMENT",
        help=f"mixture (the default), {', '.join(EXPERIMENTS)}, or all (all but the mixture)",
    )
    made.add_argument(
        "--server", choices=["gunicorn", "waitress"], default="gunicorn", help="default: gunicorn"
    )
    made.add_argument(
        "--beside",
        choices=["reference", "waitress"],
        action="append",
        default=[],
        help="measure this one as well, in a column of its own; not for the mixture",
    )
    made.add_argument("--seed", type=int, default=0, help="of everything that is drawn; default: 0")
    made.add_argument("--json", type=Path, metavar="FILE", help="every figure, for a program")
    made.add_argument("--minutes", type=_positive, default=10.0, help="of the mixture; default: 10")
    made.add_argument("--workers", type=int, default=2, help="in the mixture; default: 2")
    made.add_argument("--log", type=Path, metavar="FILE", help="the server's log of the mixture")
    made.add_argument(
        "--kill-front-end", action="store_true", help="in the mixture; calls are lost then"
    )
    made.add_argument(
        "--swaps",
        choices=["auto", "yes", "no"],
        default="auto",
        help=f"SIGHUP in the mixture; auto: if the server knows {_SWAP_FLAG}",
    )
    made.add_argument(
        "--seconds", type=_positive, default=30.0, help="of the overload; default: 30"
    )
    made.add_argument(
        "--requests", type=int, default=REQUESTS, help=f"of the leak; default: {REQUESTS}"
    )
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    reader = parser()
    options = reader.parse_args(arguments)
    if not sys.platform.startswith("linux"):
        reader.error("signals and /proc are needed: run this on Linux, or in WSL.")
    names = options.experiments or ["mixture"]
    if names == ["all"]:
        names = list(EXPERIMENTS)
    if unknown := set(names) - {"mixture", *EXPERIMENTS}:
        reader.error(f"{sorted(unknown)}: choose from mixture, {', '.join(EXPERIMENTS)}, or all")
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _interrupt)
    try:
        return asyncio.run(_measure(names, options))
    except KeyboardInterrupt:
        return 130


async def _measure(names: Sequence[str], options: argparse.Namespace) -> int:
    from rich.console import Console

    output, talk = Console(), Console(stderr=True)
    contenders = [ours(options.server)]
    for name in options.beside:
        contenders.append(reference() if name == "reference" else ours(name))
    is_met = True
    told: list[dict[str, Any]] = []
    with talk.status("start") as status:

        def tell(text: str) -> None:
            # On a terminal one line that changes; elsewhere a line each.
            if talk.is_terminal:
                status.update(text)
            else:
                talk.print(text, markup=False, highlight=False, soft_wrap=True)

        for name in names:
            columns = []
            for contender in contenders[:1] if name == "mixture" else contenders:
                tell(f"{name}: {contender.name}")
                load = os.getloadavg()[0]
                figures, more = await _one(name, contender, options, tell)
                columns.append((f"{contender.name}", figures))
                told.append(
                    {
                        "experiment": name,
                        "server": contender.name,
                        "load_average_before": load,
                        "figures": [as_data(figure) for figure in figures],
                        **more,
                    }
                )
            is_met = is_met and bool(columns[0][1]) and all(f.is_met for f in columns[0][1])
            output.print(side_by_side(name, columns))
            loads = ", ".join(
                f"{each['load_average_before']:.2f}" for each in told[-len(columns) :]
            )
            output.print(f"Load average before: {loads}.", markup=False, highlight=False)
            for line in told[-len(columns)].get("unexpected", ()):
                output.print(line, markup=False, highlight=False)
    if options.json:
        data = {
            "python": platform.python_version(),
            "cores": os.cpu_count(),
            "seed": options.seed,
            "results": told,
        }
        options.json.write_text(json.dumps(data, indent=2) + "\n", encoding="utf-8")
    return 0 if is_met else 1


async def _one(
    name: str, contender: Contender, options: argparse.Namespace, tell: Tell
) -> tuple[list[Figure], dict[str, Any]]:
    """The figures of one experiment, and what else is worth keeping."""
    try:
        if name != "mixture":
            return await EXPERIMENTS[name](contender, options, tell), {}
        plan = Plan(
            seconds=options.minutes * 60,
            workers=options.workers,
            seed=options.seed,
            kills_front_end=options.kill_front_end,
            log=options.log,
            swaps=options.swaps == "yes"
            or (options.swaps == "auto" and has_flag(contender, _SWAP_FLAG)),
            replaces_workers=has_flag(contender, "--max_requests"),
        )
        figures, tally = await mixture(contender, plan, tell)
        return figures, dataclasses.asdict(tally)
    except TargetError as error:
        tell(f"{name}: {contender.name}: {error}")
        return [Figure(f"{name}: could be measured (1: yes)", 0, "", "==", 1)], {}


def _positive(text: str) -> float:
    number = float(text)
    if not 0 < number < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not above 0")
    return number


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
