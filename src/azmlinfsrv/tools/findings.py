"""What `check` can find: every kind, with its id, severity and next step; and the findings.

`docs/findings.md` is generated from `KINDS`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path


class Severity(IntEnum):
    """How bad a finding is; its name is the word SARIF has for it (SARIF 2.1.0, 3.27.10)."""

    note = 1
    warning = 2
    error = 3


SECTIONS = (
    "load",
    "samples",
    "contract",
    "edges",
    "repeatability",
    "budgets",
    "baseline",
    "lifecycle",
)


@dataclass(frozen=True, slots=True)
class Kind:
    """One thing that can be found.

    Attributes:
        meaning: What was seen, one sentence.
        next_step: What to do about it.
    """

    id: str
    section: str
    severity: Severity
    meaning: str
    next_step: str


_E, _W, _N = Severity.error, Severity.warning, Severity.note

KINDS: dict[str, Kind] = {
    kind.id: kind
    for kind in (
        Kind(
            "load-failed",
            "load",
            _E,
            "The script cannot be served: its import, its signature or init() is at fault.",
            "Read the report; it names the line. The exit status is 3, no other section runs.",
        ),
        Kind(
            "load-warning",
            "load",
            _W,
            "The script, or the server about the script, warned while it was loaded.",
            "Change the line that is named, or silence the warning in the script if it is wanted.",
        ),
        Kind(
            "sample-failed",
            "samples",
            _E,
            "A sample is answered by a status from 500 on.",
            "Mend the line of the script that is named. If the sample is meant to fail, "
            "write its status into its expected answer.",
        ),
        Kind(
            "sample-no-answer",
            "samples",
            _E,
            "A sample gets no answer: the connection was closed, or the time was up.",
            "Look at the log for what the script does with it.",
        ),
        Kind(
            "sample-differs",
            "samples",
            _E,
            "The answer to a sample is not the one expected.",
            "Mend the script; or, if the new answer is right, accept it with --update. For "
            "numbers that may be a little off, set a tolerance.",
        ),
        Kind(
            "sample-none",
            "samples",
            _N,
            "There are no samples, so most sections have nothing to send.",
            "Keep a request as samples/NAME.json beside the script.",
        ),
        Kind(
            "sample-unanswered",
            "samples",
            _N,
            "Some samples have no expected answer, so any below 500 is right.",
            "Run with --update, look at the answers, and commit them.",
        ),
        Kind(
            "sample-unused-file",
            "samples",
            _N,
            "A file in the folder of samples belongs to none.",
            "Describe it in a NAME.request.json beside it, or remove it.",
        ),
        Kind(
            "contract-not-encodable",
            "contract",
            _E,
            "What run() returned has no form on the wire.",
            "Return what JSON can hold; the text names the type and its place.",
        ),
        Kind(
            "contract-not-json",
            "contract",
            _E,
            "An answer is declared as JSON and is not.",
            "Return an object and let the server encode it, or set another content type.",
        ),
        Kind(
            "contract-nan",
            "contract",
            _E,
            "An answer holds NaN or Infinity, which no JSON parser has to accept (RFC 8259, 6).",
            "Replace them in run(), or serve with --nan null or --nan error.",
        ),
        Kind(
            "contract-schema",
            "contract",
            _E,
            "An answer does not match the output schema that the script declares.",
            "Change what run() returns, or the sample in @output_schema or the annotation.",
        ),
        Kind(
            "edge-worker-ended",
            "edges",
            _E,
            "A bad input ends the process that runs the script.",
            "Do not call sys.exit or os._exit; check the input before native code gets it.",
        ),
        Kind(
            "edge-no-answer",
            "edges",
            _E,
            "A bad input gets no answer in time.",
            "Check the input's size and form before the work begins; set SCORING_TIMEOUT_MS.",
        ),
        Kind(
            "edge-slow",
            "edges",
            _W,
            "A very long input gets no answer in time, and a worker is busy with it.",
            "Check the length before the work begins, or lower --max_body_bytes.",
        ),
        Kind(
            "edge-aftermath",
            "edges",
            _E,
            "After bad inputs a good one is no longer answered as before.",
            "Do not change module state before the input is known to be good.",
        ),
        Kind(
            "edge-5xx",
            "edges",
            _W,
            "A bad input is answered by a status from 500 on, as if the service were at fault.",
            "Check the input and answer AMLResponse(message, 400); or declare its form with "
            "@input_schema.",
        ),
        Kind(
            "repeat-differs",
            "repeatability",
            _E,
            "The same request twice in a row is answered differently.",
            "Seed what is random, or leave the field out with ignore in the expected answer.",
        ),
        Kind(
            "repeat-order",
            "repeatability",
            _E,
            "The answer to a request depends on the requests before it.",
            "Do not keep state between calls in module variables.",
        ),
        Kind(
            "repeat-concurrent",
            "repeatability",
            _E,
            "Requests that are sent at the same time are answered differently.",
            "Do not share what run() changes: files, module variables, a connection.",
        ),
        Kind(
            "budget-exceeded",
            "budgets",
            _E,
            "A measured figure is beyond its budget, in the best of three measurements.",
            "Make the script quicker or smaller, or give it a larger budget.",
        ),
        Kind(
            "budget-failures",
            "budgets",
            _E,
            "Requests failed under the load that was to be measured.",
            "Look at the log; lower the rate if it is beyond what the service must bear.",
        ),
        Kind(
            "baseline-regression",
            "baseline",
            _E,
            "The script is slower than the baseline by more than is allowed.",
            "Find what costs the time; or write a new baseline with --write_baseline.",
        ),
        Kind(
            "baseline-unusable",
            "baseline",
            _E,
            "The baseline cannot be served, so there is nothing to compare with.",
            "Write a new baseline with --write_baseline.",
        ),
        Kind(
            "baseline-undecided",
            "baseline",
            _N,
            "The machine was too noisy to say whether the script is slower.",
            "Run it again on a quieter machine.",
        ),
        Kind(
            "lifecycle-no-recovery",
            "lifecycle",
            _E,
            "After a process that runs the script was killed, no other took its place.",
            "init() must work again and again: look for locks, ports and files it leaves behind.",
        ),
        Kind(
            "lifecycle-lost",
            "lifecycle",
            _E,
            "Requests were lost when the server was told to stop.",
            "Look for signal handlers and exits in the script; make --drain_timeout longer than "
            "a call takes.",
        ),
        Kind(
            "lifecycle-stop",
            "lifecycle",
            _E,
            "The server did not end in time, or not with status 0.",
            "Look for threads and children of the script that do not end.",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Place:
    """A line of a user's file; 0 is the file as a whole."""

    file: Path
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else str(self.file)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found.

    Attributes:
        text: What was seen here, one plain sentence.
        place: The line to look at, if it is known.
        sample: The sample it was found with, if any.
        details: More lines, such as the fields that differ.
    """

    kind: Kind
    text: str
    place: Place | None = None
    sample: str = ""
    details: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        return self.kind.id


@dataclass(slots=True)
class SectionResult:
    """What became of one section.

    Attributes:
        figures: What was measured, by name with its unit.
        notes: Sentences about what was done.
        skipped: Why it did not run; empty if it did.
        checks: How many things were looked at.
    """

    name: str
    findings: list[Finding] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    skipped: str = ""
    checks: int = 0
    seconds: float = 0.0

    def find(
        self,
        id_: str,
        text: str,
        place: Place | None = None,
        sample: str = "",
        details: Iterable[str] = (),
    ) -> None:
        """Add a finding of this section."""
        self.findings.append(Finding(KINDS[id_], text, place, sample, tuple(details)))


@dataclass(frozen=True, slots=True)
class Report:
    """The outcome of all sections.

    Attributes:
        exit_status: 0 good, 1 findings, 3 the script cannot be served.
    """

    script: Path
    sections: tuple[SectionResult, ...]
    fail_on: Severity

    @property
    def findings(self) -> list[Finding]:
        return [finding for section in self.sections for finding in section.findings]

    @property
    def exit_status(self) -> int:
        if any(finding.id == "load-failed" for finding in self.findings):
            return 3
        return int(any(it.kind.severity >= self.fail_on for it in self.findings))
