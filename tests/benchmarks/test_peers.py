from __future__ import annotations

import ast
import json
from pathlib import Path

import pytest

from benchmarks.jobs import JOBS, PROBE, Job
from benchmarks.peers import PEERS, Peer, Start

JOB_LIST = [*JOBS.values(), PROBE]


@pytest.mark.parametrize("peer", PEERS.values(), ids=lambda peer: peer.name)
@pytest.mark.parametrize("job", JOB_LIST, ids=lambda job: job.name)
def test_every_server_gets_readable_files_and_a_readable_request(peer: Peer, job: Job) -> None:
    start = Start(job, Path("bin"), 5001, 2, (5002, 5003))

    for name, text in peer.files(start).items():
        ast.parse(text) if name.endswith(".py") else json.loads(text)
    json.loads(peer.wrap(job, job.body()))
    assert peer.command(start)


@pytest.mark.parametrize("job", JOB_LIST, ids=lambda job: job.name)
def test_every_script_has_the_three_functions(job: Job) -> None:
    tree = ast.parse(job.source.read_text(encoding="utf-8"))

    assert {"init", "predict", "run"} <= {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
