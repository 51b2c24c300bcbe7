"""A report as JUnit XML, as CI systems read it: a suite for each section, a case for each kind."""

from __future__ import annotations

from xml.etree import ElementTree

from azmlinfsrv.tools.findings import KINDS, Report, SectionResult


def junit_xml(report: Report) -> str:
    """The document. What does not fail the check is no failure, and stands in ``system-out``."""
    root = ElementTree.Element("testsuites", name=f"azmlinfsrv check {report.script.name}")
    for section in report.sections:
        root.append(_suite(section, report))
    totals = {
        key: str(sum(int(suite.get(key, "0")) for suite in root))
        for key in ("tests", "failures", "skipped")
    }
    root.attrib.update(totals)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


def _suite(section: SectionResult, report: Report) -> ElementTree.Element:
    suite = ElementTree.Element("testsuite", name=section.name, time=f"{section.seconds:.3f}")
    failures = skipped = tests = 0
    for kind in KINDS.values():
        found = [it for it in section.findings if it.kind is kind]
        if kind.section != section.name and not found:
            continue
        tests += 1
        case = ElementTree.SubElement(suite, "testcase", classname=section.name, name=kind.id)
        if section.skipped:
            skipped += 1
            ElementTree.SubElement(case, "skipped", message=_legal(section.skipped))
        for finding in found:
            place = f"{finding.place}: " if finding.place else ""
            text = "\n".join(
                [f"{place}{finding.text}", *finding.details, f"Next: {kind.next_step}"]
            )
            if kind.severity >= report.fail_on:
                if case.get("file") is None and finding.place:
                    case.set("file", str(finding.place.file))
                    case.set("line", str(finding.place.line))
                message = _legal(finding.text)
                failure = ElementTree.SubElement(case, "failure", type=kind.id, message=message)
                failure.text = _legal(text)
            else:
                out = ElementTree.SubElement(case, "system-out")
                out.text = _legal(f"{kind.severity.name}: {text}")
        failures += any(kind.severity >= report.fail_on for _ in found)
    suite.attrib.update(tests=str(tests), failures=str(failures), skipped=str(skipped), errors="0")
    return suite


def _legal(text: str) -> str:
    """Without the characters that XML cannot hold (XML 1.0, 2.2)."""
    return "".join(
        it
        if it in "\t\n\r"
        or "\x20" <= it <= "\ud7ff"
        or "\ue000" <= it <= "\ufffd"
        or it >= "\U00010000"
        else "\ufffd"
        for it in text
    )
