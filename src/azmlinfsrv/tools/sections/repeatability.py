"""Repeatability: the same request has the same answer; again, in another order, and at once."""

from __future__ import annotations

from collections import defaultdict

from azmlinfsrv.comparison import (
    EXACT,
    Difference,
    Expected,
    Tolerance,
    answer_as_expected,
    differences,
    summary,
)
from azmlinfsrv.samples import Sample
from azmlinfsrv.tools.client import Answer, NoAnswer
from azmlinfsrv.tools.findings import SectionResult
from azmlinfsrv.tools.load import Plan, send_load
from azmlinfsrv.tools.sections.scene import Scene

# Sums in another order differ in the last digits; what people mean by "the same" allows it.
_LAST_DIGITS = Tolerance(1e-9, 1e-9)
_AT_ONCE = 4
_ROUNDS = 5


def as_answered(sample: Sample, answer: Answer) -> Expected:
    """What an answer must be to be the same as *answer*, as tolerant as the sample is."""
    tolerance = sample.expected.tolerance
    if tolerance == EXACT:
        tolerance = _LAST_DIGITS
    return answer_as_expected(answer, ("content-type",), tolerance, sample.expected.ignore)


def check_repeatability(scene: Scene, result: SectionResult) -> None:
    """Three ways to repeat; a later one is left out for samples an earlier one finds fault with."""
    good = scene.scored_samples()
    if not good:
        result.skipped = "no sample is answered below 400"
        return
    steady = [it for it in good if not _differs_twice(scene, it, result)]
    unsteady = _differ_in_order(scene, steady, result)
    steady = [it for it in steady if it.name not in unsteady]
    if steady:
        _check_at_once(scene, steady, result)
    # Whose answers vary anyway says nothing in the sections after this one.
    # Where the order counts, it counts for all.
    scene.unsteady.update({it.name for it in good} if unsteady else set())
    scene.unsteady.update(it.sample for it in result.findings)


def _differs_twice(scene: Scene, sample: Sample, result: SectionResult) -> bool:
    scene.tell(f"{sample.name} twice")
    result.checks += 1
    client = scene.client()
    try:
        first, _ = scene.send(client, sample.request, "repeat")
        second, _ = scene.send(client, sample.request, "repeat")
    except NoAnswer as error:
        found = [Difference("the second request", f"got no answer: {error}")]
    else:
        found = list(differences(second, as_answered(sample, first)))
        # An answer that is the same twice may be another one than at first: order's to tell.
    if found:
        text = f"The sample {sample.name}, sent twice in a row, is answered differently."
        result.find("repeat-differs", text, scene.place(), sample.name, summary(found))
    return bool(found)


def _differ_in_order(scene: Scene, samples: list[Sample], result: SectionResult) -> set[str]:
    """The names of samples answered differently when they come the other way round."""
    client = scene.client()
    names = set()
    for sample in reversed(samples):
        scene.tell(f"{sample.name} in reverse order")
        result.checks += 1
        try:
            answer, _ = scene.send(client, sample.request, "order")
        except NoAnswer as error:
            found = [Difference("the request", f"got no answer: {error}")]
        else:
            found = list(differences(answer, as_answered(sample, scene.answers[sample.name])))
        if found:
            names.add(sample.name)
            text = f"The sample {sample.name} is answered differently after other requests."
            result.find("repeat-order", text, scene.place(), sample.name, summary(found))
    return names


def _check_at_once(scene: Scene, samples: list[Sample], result: SectionResult) -> None:
    scene.tell("all at once")
    count = len(samples) * _ROUNDS
    count = max(count, 2 * _AT_ONCE)
    answers: dict[str, list[Answer]] = defaultdict(list)
    plan = Plan(
        [it.request for it in samples],
        duration_s=scene.options.call_limit_s,
        connections=_AT_ONCE,
        count=count,
        timeout_s=scene.options.call_limit_s,
    )

    def observe(number: int, answer: Answer) -> None:
        answers[samples[number % len(samples)].name].append(answer)

    outcome = send_load(scene.server.address, plan, observe=observe)
    result.checks += outcome.answered
    for sample in samples:
        expected = as_answered(sample, scene.answers[sample.name])
        wrong = [found for it in answers[sample.name] if (found := list(differences(it, expected)))]
        if wrong:
            text = (
                f"The sample {sample.name}, sent {len(answers[sample.name])} times while others "
                f"were under way, was answered differently {len(wrong)} times."
            )
            place = scene.place()
            result.find("repeat-concurrent", text, place, sample.name, summary(wrong[0]))
    if outcome.errors:
        kinds = ", ".join(f"{kind}: {many}" for kind, many in outcome.errors.items())
        text = f"Of {count} requests sent {_AT_ONCE} at a time some got no answer ({kinds})."
        result.find("repeat-concurrent", text, scene.place())
