"""What goes on beside a fault: good calls and probes, and what the server holds."""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import psutil

from tests.harness import Answer, Server, ask, until

# A probe that takes longer has been in somebody's way. Loaded machines need the room.
PROBE_S = 2.0
# Between two probes. Without it they would take more of the machine than the calls.
BETWEEN_PROBES_S = 0.01


def order(server: Server, timeout_s: float = 30.0, **content: object) -> Answer:
    """Tell the script what to do."""
    return server.score(json.dumps(content).encode(), timeout_s=timeout_s)


def message(answer: Answer) -> str:
    """What an error says to the client."""
    return str(json.loads(answer.body)["message"])


def scoring_processes(server: Server) -> list[psutil.Process]:
    """The workers of either server: under Waitress the front end is the first process."""
    first = psutil.Process(server.popen.pid)
    children = [child for child in first.children() if child.status() != psutil.STATUS_ZOMBIE]
    if "--server=waitress" in first.cmdline():
        return children
    return [
        worker
        for front_end in children
        for worker in front_end.children()
        if worker.status() != psutil.STATUS_ZOMBIE
    ]


def holdings(server: Server) -> tuple[int, int]:
    """How many processes, and how many descriptors in all of them."""
    descriptors = count = 0
    for process in server.tree():
        with contextlib.suppress(psutil.NoSuchProcess):
            if process.status() != psutil.STATUS_ZOMBIE:
                descriptors += process.num_fds()
                count += 1
    return count, descriptors


def settled(server: Server, workers: int) -> tuple[int, int]:
    """The holdings once every worker has answered, and connections that are over are closed."""
    until(lambda: len(scoring_processes(server)) == workers, 20, server.log)
    for _ in range(3 * workers):
        assert order(server).status == 200
    found = [holdings(server)]

    def stands_still() -> bool:
        time.sleep(0.1)  # between two looks, not for something to happen
        found.append(holdings(server))
        return found[-5:] == found[-1:] * 5

    until(stands_still, 10, lambda: f"{found}")
    return found[-1]


def holds_the_same(server: Server, before: tuple[int, int]) -> None:
    """Return once the server holds what it held *before*."""
    until(
        lambda: holdings(server) == before,
        20,
        lambda: f"before: {before}, now: {holdings(server)}\n{server.log()}",
    )


@dataclass
class Watch:
    """Counts of good calls and of probes, while somebody else makes trouble."""

    answered: int = 0
    failed: list[str] = field(default_factory=list)
    probes: int = 0
    failed_probes: list[str] = field(default_factory=list)


@contextlib.contextmanager
def watching(server: Server, callers: int = 2) -> Iterator[Watch]:
    """Good calls from *callers* connections and probes, until the block ends and once after."""
    watch = Watch()
    stop = threading.Event()

    def call(number: int) -> None:
        index = 0
        with contextlib.closing(server.connect()) as connection:
            while not stop.is_set() or not index:
                index += 1
                token = f"{number}-{index}"
                try:
                    answer = ask(
                        connection, "POST", "/score", json.dumps({"token": token}).encode()
                    )
                except (OSError, http.client.HTTPException) as error:
                    watch.failed.append(repr(error))
                    connection.close()
                    time.sleep(0.01)  # nobody listens for a moment; not to spin
                    continue
                if answer.status == 200 and json.loads(answer.body)["token"] == token:
                    watch.answered += 1
                else:
                    watch.failed.append(f"{answer.status} {answer.body[:200]!r}")

    def probe() -> None:
        while not stop.is_set() or not watch.probes:
            watch.probes += 1
            began = time.monotonic()
            try:
                status = server.get("/health/live").status
            except (OSError, http.client.HTTPException) as error:
                watch.failed_probes.append(repr(error))
                continue
            took_s = time.monotonic() - began
            if status != 200 or took_s > PROBE_S:
                watch.failed_probes.append(f"{status} after {took_s:.2f} s")
            stop.wait(BETWEEN_PROBES_S)

    threads = [threading.Thread(target=call, args=(number,)) for number in range(callers)]
    threads.append(threading.Thread(target=probe))
    for thread in threads:
        thread.start()
    try:
        until(lambda: watch.answered >= callers and watch.probes > 1, 20, server.log)
        yield watch
    finally:
        stop.set()
        for thread in threads:
            thread.join()
