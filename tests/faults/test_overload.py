"""More callers than can be served, who give up and come again: no work is for nobody."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

from soak.ledger import read_runs, wasted
from soak.overload import Crowd
from soak.target import SCRIPT
from tests.faults.watch import watching
from tests.harness import Server, serving

RUN_S = 0.05
SECONDS = 10.0


def _press(server: Server, count: int, patience_s: float) -> Crowd:
    crowd = Crowd(server.port, count, seed=1, run_s=RUN_S, patience_s=patience_s)
    asyncio.run(crowd.press(SECONDS))
    return crowd


def test_callers_who_give_up_do_not_keep_the_server_busy_for_nobody(
    tmp_path: Path, flags: tuple[str, ...]
) -> None:
    shutil.copyfile(SCRIPT, tmp_path / "score.py")
    with serving(tmp_path / "score.py", *flags, root=tmp_path) as server:
        crowd = _press(server, count=80, patience_s=2.0)
        runs = read_runs(tmp_path / "ledger")
        with watching(server, callers=1) as watch:
            pass

    capacity = SECONDS / RUN_S
    assert crowd.gave_up > 80
    assert len(crowd.useful) > 0.7 * capacity
    assert wasted(runs, crowd.useful) < 0.2 * len(runs)
    assert watch.failed == []
