"""Samples: each is sent, and its answer compared with the one expected."""

from __future__ import annotations

from azmlinfsrv.comparison import differences, summary
from azmlinfsrv.samples import Sample, unused_files, write_answer
from azmlinfsrv.tools.client import Answer, NoAnswer
from azmlinfsrv.tools.findings import Place, SectionResult
from azmlinfsrv.tools.sections.scene import Scene


def check_samples(scene: Scene, result: SectionResult) -> None:
    """Every sample once; with ``--update`` the answers become the expected ones."""
    options = scene.options
    if not scene.samples:
        result.find("sample-none", f"There are no samples in {options.samples_folder}.")
        return
    client = scene.client()
    for sample in scene.samples:
        scene.tell(f"sample {sample.name}")
        result.checks += 1
        try:
            answer, request_id = scene.send(client, sample.request, "sample")
        except NoAnswer as error:
            result.find(
                "sample-no-answer",
                f"The sample {sample.name} got no answer: {error}.",
                scene.place(),
                sample.name,
            )
            continue
        scene.answers[sample.name] = answer
        if options.update and answer.status < 500:
            path = write_answer(sample, answer)
            result.notes.append(f"wrote {path}")
        else:
            _compare(scene, sample, answer, request_id, result)
    if options.samples_folder.is_dir():
        for path in unused_files(options.samples_folder):
            result.find("sample-unused-file", f"{path.name} belongs to no sample.", Place(path))
    bare = [it.name for it in scene.samples if not it.has_answer and it.name in scene.answers]
    if bare and not options.update:
        few = ", ".join(bare[:5]) + (" and others" if len(bare) > 5 else "")
        result.find("sample-unanswered", f"{len(bare)} samples have no expected answer: {few}.")


def _compare(
    scene: Scene, sample: Sample, answer: Answer, request_id: str, result: SectionResult
) -> None:
    found = list(differences(answer, sample.expected))
    if not found:
        return
    if answer.status >= 500 and answer.status != sample.expected.status:
        raised, place = scene.failure(request_id)
        if is_encoding_failure(answer):
            return  # the contract's to tell
        words = f": {raised}" if raised else f": {answer.body[:200].decode(errors='replace')}"
        result.find(
            "sample-failed",
            f"The sample {sample.name} is answered {answer.status}{words}",
            place or scene.place(),
            sample.name,
        )
        return
    result.find(
        "sample-differs",
        f"The answer to the sample {sample.name} is not the one expected.",
        Place(sample.answer_file, 1),
        sample.name,
        summary(found),
    )


def is_encoding_failure(answer: Answer) -> bool:
    """Whether run() returned, and what it returned could not be sent.

    A failure of run() itself names its line, or is the fixed text of R3.36.
    """
    from azmlinfsrv.script.scorer import FAILED

    if answer.status != 500 or answer.headers.get("x-ms-run-function-failed") != "True":
        return False
    return (
        b'"location"' not in answer.body
        and FAILED.encode() not in answer.body
        and (b"run() returned" in answer.body)
    )
