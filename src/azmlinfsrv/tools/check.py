"""`azmlinfsrv check`: the sections, one after the other, against one real server."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from pathlib import Path

from azmlinfsrv.comparison import Expected
from azmlinfsrv.samples import Sample, samples_in
from azmlinfsrv.tools.baseline import BaselineError, write_baseline
from azmlinfsrv.tools.findings import Place, Report, SectionResult, Severity
from azmlinfsrv.tools.sections import loading
from azmlinfsrv.tools.sections.answers import check_samples
from azmlinfsrv.tools.sections.budgets import check_budgets
from azmlinfsrv.tools.sections.contract import check_contract, schema_example
from azmlinfsrv.tools.sections.edge_cases import check_edges
from azmlinfsrv.tools.sections.lifecycle import check_lifecycle
from azmlinfsrv.tools.sections.regression import check_regression
from azmlinfsrv.tools.sections.repeatability import check_repeatability
from azmlinfsrv.tools.sections.scene import Options, Scene
from azmlinfsrv.tools.serving import CannotServe, serving

Begin = Callable[[str], None]
Tell = Callable[[str], None]
End = Callable[[SectionResult], None]


def check(
    options: Options,
    *,
    ignored: Collection[str] = (),
    skipped: Collection[str] = (),
    fail_on: Severity = Severity.error,
    begin: Begin = lambda _: None,
    tell: Tell = lambda _: None,
    end: End = lambda _: None,
) -> Report:
    """Run every section and return what was found.

    Args:
        ignored: Ids of findings that are left out.
        skipped: Names of sections that are left out; ``load`` cannot be.
        begin, tell, end: Called with the name of a section, what it is doing, its result.
    Raises:
        SampleError: a sample cannot be read.
    """
    run = _Run(options, set(ignored), set(skipped), begin, tell, end)
    run.all_sections()
    return Report(options.script, tuple(run.results), fail_on)


class _Run:
    """One check while it runs."""

    def __init__(
        self,
        options: Options,
        ignored: set[str],
        skipped: set[str],
        begin: Begin,
        tell: Tell,
        end: End,
    ) -> None:
        self.results: list[SectionResult] = []
        self._options = options
        self._ignored = ignored
        self._skipped = skipped
        self._begin = begin
        self._tell = tell
        self._end = end

    def all_sections(self) -> None:
        options = self._options
        # Before anything is started: a sample that cannot be read is wrong usage.
        samples = samples_in(options.samples_folder) if options.samples_folder.is_dir() else []
        self._begin("load")
        began_s = time.monotonic()
        try:
            with serving(
                options.flags,
                options.script.parent,
                options.environ,
                timeout_s=options.start_limit_s,
                extra=loading.ENVIRONMENT,
            ) as server:
                scene = Scene(options, server, samples, self._tell)
                self._sections(scene)
        except CannotServe as error:
            result = loading.failed_load(error, options.script)
            result.seconds = time.monotonic() - began_s
            self._finish(result)

    def _sections(self, scene: Scene) -> None:
        load = self._run("load", lambda result: loading.check_load(scene, result))
        self._add_schema_example(scene)
        self._run("samples", lambda result: check_samples(scene, result))
        self._run("contract", lambda result: check_contract(scene, result))
        # Before edges: a script that is broken by them must not be blamed for it here.
        self._run("repeatability", lambda result: check_repeatability(scene, result))
        budgets = self._run("budgets", lambda result: check_budgets(scene, result, load.figures))
        self._run_baseline(scene, budgets)
        self._run("edges", lambda result: check_edges(scene, result))
        init_s = load.figures.get("init_s", 0.0)
        self._run("lifecycle", lambda result: check_lifecycle(scene, result, init_s))

    def _add_schema_example(self, scene: Scene) -> None:
        example = schema_example(scene)
        if example is None or any(it.request.body == example.body for it in scene.samples):
            return
        place = self._options.samples_folder / "schema-example.json"
        answer = place.with_name("schema-example.response.json")
        scene.samples.append(
            Sample("schema-example", example, Expected(), self._options.script, answer, False)
        )

    def _run_baseline(self, scene: Scene, budgets: SectionResult) -> None:
        options = self._options
        if options.baseline is not None:
            self._run("baseline", lambda result: check_regression(scene, result))
        if options.write_baseline is not None:
            try:
                made = write_baseline(options.write_baseline, options.script, budgets.figures)
            except BaselineError as error:
                budgets.find("baseline-unusable", str(error), Place(options.script))
            else:
                budgets.notes.append(f"wrote {options.write_baseline} ({made.digest[:12]})")

    def _run(self, name: str, work: Callable[[SectionResult], None]) -> SectionResult:
        result = SectionResult(name)
        if name in self._skipped and name != "load":
            result.skipped = "as asked"
        else:
            if name != "load":
                self._begin(name)
            began_s = time.monotonic()
            try:
                work(result)
            except CannotServe as error:
                # The server has gone in the middle of a section.
                text = "The server ended, or did not come back."
                details = error.report.splitlines()[:20]
                place = error.place or Place(self._options.script)
                result.find("lifecycle-no-recovery", text, place, details=details)
            result.seconds = time.monotonic() - began_s
        self._finish(result)
        return result

    def _finish(self, result: SectionResult) -> None:
        result.findings = [it for it in result.findings if it.id not in self._ignored]
        self.results.append(result)
        self._end(result)


def default_samples(script: Path) -> Path:
    """Where samples are unless it is said: beside the script."""
    return script.parent / "samples"
