"""A server with the script of `soak/scripts`: started in a folder of its own, ended with all of it.

Any server that takes our flags will do: ours from this checkout, or the published package.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks import processes
from benchmarks.environments import install
from benchmarks.peers import PEERS
from benchmarks.server import FOREIGN, free_ports, stop
from soak.clients import Answer, NoAnswer, ask_once, new_token, order, request
from soak.ledger import Run, read_latest_runs, read_runs

SCRIPT = Path(__file__).with_name("scripts") / "score.py"
START_S = 60.0


class TargetError(Exception):
    """The server did not start, or ended by itself; the message ends with its log's end."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A server to try: its name in tables, its command, and whether it is ours."""

    name: str
    command: tuple[str, ...]
    flags: tuple[str, ...] = ()
    is_ours: bool = True


def ours(server: str = "gunicorn") -> Contender:
    """This checkout, by the interpreter that runs this."""
    command = (sys.executable, "-m", "azmlinfsrv")
    return Contender(f"ours, {server}", command, ("--server", server))


def reference() -> Contender:
    """The published package, installed into its own environment (once).

    Raises:
        benchmarks.environments.InstallError: pip could not.
    """
    environment = install(PEERS["reference"])
    program = str(environment.bin / "azmlinfsrv")
    return Contender(f"reference {environment.version}", (program,), is_ours=False)


class Target:
    """A server that runs."""

    def __init__(self, process: subprocess.Popen[bytes], port: int, folder: Path) -> None:
        self.process = process
        self.port = port
        self.folder = folder

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def runs(self) -> list[Run]:
        """Every ``run()`` the script has begun."""
        return read_runs(self.folder / "ledger")

    def latest_runs(self) -> list[Run]:
        """The last few hundred of them."""
        return read_latest_runs(self.folder / "ledger")

    def write_script(self, source: str) -> None:
        """Replace the script's text at once, as a deployment would."""
        fresh = self.folder / "score.py.new"
        fresh.write_text(source, encoding="utf-8")
        fresh.replace(self.folder / "score.py")

    def signal(self, number: signal.Signals) -> None:
        """To the process that was started."""
        self.process.send_signal(number)

    def members(self) -> list[processes.Process]:
        """Every process of the server."""
        return processes.tree(processes.read_all(), self.process.pid)

    async def ask(self, limit_s: float = 60.0, **content: object) -> Answer:
        """One scoring request on a new connection."""
        return await ask_once(self.port, order(new_token(), **content), limit_s)

    async def until_ready(self, limit_s: float = START_S) -> None:
        """Wait until it answers probes.

        Raises:
            TargetError: it does not within *limit_s*.
        """
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s and self.process.poll() is None:
            try:
                if (await ask_once(self.port, request("GET", "/"), 5)).status == 200:
                    return
            except NoAnswer:
                pass
            await asyncio.sleep(0.02)
        raise TargetError(f"it does not serve; its log ends:\n{self.log()[-2000:]}")

    async def until_run(self, token: str, limit_s: float = 30.0) -> Run:
        """Wait until the run of *token* has begun.

        Raises:
            TargetError: it has not within *limit_s*.
        """
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            for run in self.runs():
                if run.token == token:
                    return run
            await asyncio.sleep(0.005)
        raise TargetError(f"the request {token} was never run")


@asynccontextmanager
async def serving(
    contender: Contender,
    *flags: str,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Target]:
    """A target that answers; it is ended, whatever happens, with every process of its own.

    Raises:
        TargetError: it does not start.
    """
    folder = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        shutil.copyfile(SCRIPT, folder / "score.py")
        port = free_ports(1)[0]
        with (folder / "log").open("wb") as output:
            process = subprocess.Popen(
                _argv(contender, port, workers, flags),
                cwd=folder,
                env=_environment(environment or {}),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        target = Target(process, port, folder)
        try:
            await target.until_ready()
            yield target
        finally:
            await asyncio.to_thread(stop, process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _argv(contender: Contender, port: int, workers: int, flags: Sequence[str]) -> list[str]:
    return [
        *contender.command,
        *("--entry_script", "score.py", "--port", str(port), "--worker_count", str(workers)),
        *contender.flags,
        *flags,
    ]


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith((*FOREIGN, "SCORING_"))
    }
    return {**kept, **more}


def has_flag(contender: Contender, flag: str) -> bool:
    """Whether its help names *flag*: newer ways to be robust are tried where they exist."""
    done = subprocess.run(
        [*contender.command, "--help"], capture_output=True, text=True, check=False
    )
    return flag in done.stdout
