"""Edges: bad inputs made from good ones must not look like a fault of the service, nor end it."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from contextlib import suppress

from azmlinfsrv.comparison import differences, summary
from azmlinfsrv.samples import Sample
from azmlinfsrv.tools.client import Answer, Client, NoAnswer
from azmlinfsrv.tools.edges import Edge, edges_of
from azmlinfsrv.tools.findings import Place, SectionResult
from azmlinfsrv.tools.sections.repeatability import as_answered
from azmlinfsrv.tools.sections.scene import Scene

# Samples that are varied; each gives some tens of bad inputs.
_MAX_SAMPLES = 3
_READY_S = 60.0
# A slow script is not asked everything.
_LIMIT_S = 20.0
# Cases of one fault that are named.
_MAX_NAMED = 8


def check_edges(scene: Scene, result: SectionResult) -> None:
    """The bad variants of a few good samples; then the good ones once more."""
    good = [it for it in scene.scored_samples() if it.request.body is not None]
    chosen = good[: 1 if scene.options.is_quick else _MAX_SAMPLES]
    if not chosen:
        result.skipped = "no sample with a body is answered below 400"
        return
    cases = [
        (sample, edge)
        for sample in chosen
        for edge in edges_of(sample.request)
        if not (edge.is_huge and scene.options.is_quick)
    ]
    deadline = time.monotonic() + _LIMIT_S
    client = scene.client()
    faults = _Faults()
    for sample, edge in cases:
        if time.monotonic() > deadline:
            left = len(cases) - result.checks
            result.notes.append(f"{left} bad inputs were left out after {_LIMIT_S:g} s")
            break
        scene.tell(f"{sample.name}: {edge.what}")
        result.checks += 1
        _try(scene, client, sample, edge, faults)
    faults.report(scene, result)
    _check_aftermath(scene, client, chosen, result)


class _Faults:
    """Bad inputs by what they did: one finding for all that meet the same line."""

    def __init__(self) -> None:
        self._cases: dict[tuple[str, str, Place], list[str]] = defaultdict(list)

    def add(self, id_: str, how: str, place: Place, sample: Sample, edge: Edge) -> None:
        self._cases[id_, how, place].append(f"{sample.name}: {edge.what}")

    def report(self, scene: Scene, result: SectionResult) -> None:
        for (id_, how, place), cases in self._cases.items():
            many = len(cases)
            text = _TEXTS[id_].format(
                inputs=f"{many} bad inputs" if many > 1 else "A bad input",
                verb="are" if many > 1 else "is",
                s="" if many > 1 else "s",
                how=how,
            )
            more = [f"and {many - _MAX_NAMED} more"] if many > _MAX_NAMED else []
            result.find(id_, text, place, details=[*cases[:_MAX_NAMED], *more])


_TEXTS = {
    "edge-slow": "{inputs} got no answer: {how}.",
    "edge-no-answer": "{inputs} got no answer: {how}.",
    "edge-worker-ended": "{inputs} end{s} the process: {how}",
    "edge-5xx": "{inputs} {verb} answered as a fault of the service{how}.",
}


def _try(scene: Scene, client: Client, sample: Sample, edge: Edge, faults: _Faults) -> None:
    try:
        answer, request_id = scene.send(client, edge.request, "edge")
    except NoAnswer as error:
        id_ = "edge-slow" if edge.is_huge else "edge-no-answer"
        faults.add(id_, str(error), scene.place(), sample, edge)
        _wait_until_free(scene, sample)
        return
    if answer.status < 500:
        return
    if _has_ended(answer):
        faults.add("edge-worker-ended", _message(answer), scene.place(), sample, edge)
        scene.server.wait_until_ready(_READY_S)
        return
    raised, place = scene.failure(request_id)
    kind = raised.partition(":")[0]
    faults.add("edge-5xx", f": {kind}" if kind else "", place or scene.place(), sample, edge)


def _wait_until_free(scene: Scene, sample: Sample) -> None:
    """Until a good request is answered again: the next input must not be blamed for this one."""
    with suppress(NoAnswer):
        scene.server.client(_READY_S).send(sample.request)


def _has_ended(answer: Answer) -> bool:
    """Whether the process died under the call: the answer says so, and names no line of code."""
    return answer.status == 500 and _message(answer).startswith("The scoring process ")


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _check_aftermath(
    scene: Scene, client: Client, chosen: list[Sample], result: SectionResult
) -> None:
    for sample in chosen:
        if sample.name in scene.unsteady:
            continue
        before = scene.answers[sample.name]
        result.checks += 1
        try:
            answer, _ = scene.send(client, sample.request, "aftermath")
        except NoAnswer as error:
            details = [str(error)]
        else:
            details = summary(list(differences(answer, as_answered(sample, before))))
        if details:
            result.find(
                "edge-aftermath",
                f"After bad inputs the sample {sample.name} is no longer answered as before.",
                scene.place(),
                sample.name,
                details,
            )
