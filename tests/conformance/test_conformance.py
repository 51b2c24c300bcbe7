"""Every case of the contract, over every server of ours.

A test is one case on one server. Cases with the same start share it: the groups are
evaluated two at a time in the background, in the order of the tests, and a test waits for
its own group. What does not apply to a server is skipped with the reason in `servers`.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.conformance.case import Case
from tests.conformance.catalogue import load
from tests.conformance.runner import Target, groups, run_group
from tests.conformance.servers import TARGETS, exemption

STARTS_AT_ONCE = 2
CASES = load()
PAIRS = [
    pytest.param(target, case, id=f"{target.name}-{case.id}")
    for target in TARGETS
    for case in CASES
    if not exemption(target.name, case)
]


class Runs:
    """What differs, by server and case; a group is run once, for all of its cases."""

    def __init__(self, wanted: list[tuple[Target, Case]]) -> None:
        self._pool = ThreadPoolExecutor(STARTS_AT_ONCE)
        self._results: dict[tuple[str, str], Future[dict[str, list[str]]]] = {}
        by_target: dict[Target, list[Case]] = {}
        for target, case in wanted:
            by_target.setdefault(target, []).append(case)
        for target, cases in by_target.items():
            for group in groups(cases):
                future = self._pool.submit(run_group, target, group)
                for case in group:
                    self._results[target.name, case.id] = future

    def differences(self, target: Target, case: Case) -> list[str]:
        """Wait for the group of *case*."""
        return self._results[target.name, case.id].result()[case.id]

    def close(self) -> None:
        """Start nothing more; wait for what runs, so that no process is left."""
        self._pool.shutdown(cancel_futures=True)


@pytest.fixture(scope="session")
def runs(request: pytest.FixtureRequest) -> Iterator[Runs]:
    """The groups of the cases that this session has selected."""
    wanted: list[tuple[Any, Any]] = [
        (item.callspec.params["target"], item.callspec.params["case"])
        for item in request.session.items
        if isinstance(item, pytest.Function)
        and item.originalname == "test_server_keeps_the_contract"
    ]
    started = Runs(wanted)
    yield started
    started.close()


@pytest.mark.parametrize(("target", "case"), PAIRS)
def test_server_keeps_the_contract(runs: Runs, target: Target, case: Case) -> None:
    differences = runs.differences(target, case)

    assert not differences, "\n".join([f"{case.id} shows {case.shows}", *differences])
