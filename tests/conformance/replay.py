"""Replay the cases against the published package, or any server, and print what differs.

    python -m tests.conformance.replay                      # azureml-inference-server-http 1.5.1
    python -m tests.conformance.replay -k cors -k r4.10     # some cases
    python -m tests.conformance.replay --server "azmlinfsrv" --ours

Without ``--server`` the published package is installed into ``.reference/``. Its answers are
compared with what the cases say was observed. What remains, the list of decisions, is
printed with the row of section 0 for each. Exit status 0 if every observation is as
recorded, 1 otherwise.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.conformance.case import Case
from tests.conformance.catalogue import load
from tests.conformance.runner import Target, groups, run_group
from tests.conformance.servers import exemption

# NumPy and pandas are what scripts bring along; debugpy is what a debugging user has.
PACKAGES = ("azureml-inference-server-http==1.5.1", "numpy", "pandas", "debugpy")
STARTS_AT_ONCE = 2


def main(arguments: list[str] | None = None) -> int:
    """Parse, replay, print."""
    parser = argparse.ArgumentParser(prog="replay", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--server", metavar="CMD", help="command to start, without arguments")
    parser.add_argument("--python", help="its interpreter (default: the one beside it)")
    parser.add_argument(
        "--ours", action="store_true", help="expect our answers, not the reference server's"
    )
    parser.add_argument("-k", action="append", default=[], metavar="WORD", dest="words")
    options = parser.parse_args(arguments)

    command = shlex.split(options.server) if options.server else [str(_install_reference())]
    # Servers are started in folders of their own.
    command[0] = os.path.abspath(shutil.which(command[0]) or command[0])
    target = Target(
        "gunicorn", tuple(command), options.python or _python(command), not options.ours
    )
    cases = [case for case in load() if _is_wanted(case, options.words)]
    if not target.is_reference:
        cases = [case for case in cases if not exemption(target.name, case)]
    started = time.monotonic()
    with ThreadPoolExecutor(STARTS_AT_ONCE) as pool:
        results = pool.map(lambda group: run_group(target, group), groups(cases))
        differences = {name: found for result in results for name, found in result.items()}
    _report(cases, differences, target, time.monotonic() - started)
    return 1 if any(differences.values()) else 0


def _is_wanted(case: Case, words: list[str]) -> bool:
    text = f"{case.id} {case.shows}".lower()
    return all(word.lower() in text for word in words)


def _report(
    cases: list[Case], differences: dict[str, list[str]], target: Target, took_s: float
) -> None:
    for case in cases:
        if differences[case.id]:
            print(f"DIFFERS {case.id} ({case.shows})")
            for line in differences[case.id]:
                print("    " + line.replace("\n", "\n    "))
    decided = [case for case in cases if case.reference is not None]
    if target.is_reference:
        rows = Counter(row for case in decided for row in case.rows)
        print("\nDecisions: the reference server is known to answer otherwise in")
        for case in decided:
            print(f"    {case.id}  [{' '.join(case.rows)}]")
        print(f"{len(decided)} cases under {len(rows)} rows of section 0")
    failed = sum(map(bool, differences.values()))
    print(
        f"\n{len(cases)} cases, {len(groups(cases))} starts, {took_s:.0f} s: "
        f"{len(cases) - failed} as recorded, {failed} not"
    )


def _python(command: list[str]) -> str:
    beside = Path(command[0]).parent / "python"
    return str(beside) if beside.exists() else sys.executable


def _install_reference() -> Path:
    folder = Path(__file__).parents[2] / ".reference"
    command = folder / "bin" / "azmlinfsrv"
    if not (folder / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder)], check=True)
        pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", *PACKAGES]
        subprocess.run(pip, check=True)
        (folder / "installed").touch()
    return command


if __name__ == "__main__":
    raise SystemExit(main())
