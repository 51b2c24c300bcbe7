"""What is asked of every server: a script and one request body.

A script has ``init()``, ``run(text)`` for servers that speak the score.py contract, and
``predict(value)`` for servers that hand over parsed JSON. It leaves to `peers` how a script
reaches a server.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

SCRIPTS = Path(__file__).with_name("scripts")

# Installed in every environment, whatever jobs are asked for: a server that imports NumPy because
# it is there would otherwise look different from one run to the next.
PACKAGES = ("numpy", "scikit-learn", "joblib")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One script and its request.

    ``blocks`` says that ``predict`` computes or waits long enough to hold up an event loop.
    ``waits`` says that it only waits, ``batches`` that many rows cost little more than one;
    ``awaits`` that ``run`` and ``predict`` are coroutine functions, which not every server takes.
    ``trains`` says that the script, run as a program, writes what ``init()`` loads beside itself.
    ``connections`` is how many are open in the load with many; 0 where there is none.
    """

    name: str
    title: str
    script: str
    body: Callable[[], bytes]
    blocks: bool = True
    trains: bool = False
    batches: bool = False
    waits: bool = False
    awaits: bool = False
    connections: int = 64

    @property
    def heading(self) -> str:
        many = f", {self.connections} connections" if self.connections else ""
        return f"{self.name}: {self.title}{many}"

    @property
    def source(self) -> Path:
        return SCRIPTS / self.script


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _rows(rows: int, columns: int) -> bytes:
    draw = random.Random(0)
    return _json(
        {"data": [[round(draw.gauss(0, 1), 6) for _ in range(columns)] for _ in range(rows)]}
    )


def _wine() -> bytes:
    # The first and the last row of scikit-learn's wine data: classes 0 and 2.
    first = [14.23, 1.71, 2.43, 15.6, 127.0, 2.8, 3.06, 0.28, 2.29, 5.64, 1.04, 3.92, 1065.0]
    last = [14.13, 4.1, 2.74, 24.5, 96.0, 2.05, 0.76, 0.56, 1.35, 9.2, 0.61, 1.6, 560.0]
    return _json({"data": [first, last]})


JOBS = {
    job.name: job
    for job in (
        Job(
            name="j1",
            title="trivial script",
            script="hello.py",
            body=lambda: b"{}",
            blocks=False,
        ),
        Job(
            name="j2",
            title="scikit-learn model, wine data",
            script="wine.py",
            body=_wine,
            trains=True,
        ),
        Job(
            name="j3",
            title="1000 x 100 floats in JSON, NumPy mean of each row",
            script="means.py",
            body=lambda: _rows(1000, 100),
        ),
        Job(
            name="j4",
            title="neural network in NumPy, one row a call",
            script="mlp.py",
            body=lambda: _rows(1, 256),
            batches=True,
            connections=32,
        ),
        Job(
            name="j5",
            title="a script that waits 50 ms",
            script="wait.py",
            body=lambda: b"{}",
            waits=True,
        ),
        Job(
            name="j6",
            title="scikit-learn pipeline, wine data",
            script="pipeline.py",
            body=_wine,
            trains=True,
        ),
        Job(
            name="j7",
            title="a script that awaits 50 ms",
            script="awaits.py",
            body=lambda: b"{}",
            blocks=False,
            awaits=True,
        ),
    )
}

# Not chosen by name: it runs once for every server, to see whether probes are answered meanwhile.
PROBE = Job(
    name="probe",
    title="GET / every 10 ms while run() computes for 0.5 s",
    script="busy.py",
    body=lambda: b"{}",
    connections=0,
)
