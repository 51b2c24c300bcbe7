"""`azmlinfsrv check` on scripts with one fault each, which one section finds."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import psutil
import pytest

from azmlinfsrv.tools.findings import KINDS
from tests.harness import until

SCRIPTS = Path(__file__).parent / "scripts"


@dataclass(frozen=True)
class Fault:
    """What is wrong with a script.

    Attributes:
        text: Stands in the line that is named.
        flags: Of the command.
    """

    finding: str
    text: str
    status: int = 1
    flags: tuple[str, ...] = ()


FAULTS = {
    "import_error": Fault("load-failed", "import numpyy", 3),
    "wrong_answer": Fault("sample-differs", "{"),
    "not_a_number": Fault("contract-nan", "def run"),
    "undeclared": Fault("contract-schema", "def run"),
    "undeclared_typed": Fault("contract-schema", "def run"),
    "ends_the_process": Fault("edge-worker-ended", "def run"),
    "keeps_bad_input": Fault("edge-aftermath", "def run"),
    "random_answer": Fault("repeat-differs", "def run"),
    "remembers": Fault("repeat-order", "def run"),
    "leaks": Fault("budget-exceeded", "def run"),
    "waits": Fault("budget-exceeded", "def run"),
    "slower": Fault(
        "baseline-regression",
        "def run",
        flags=("--baseline", str(SCRIPTS / "slower" / "before" / "score.py")),
    ),
    "locks": Fault("lifecycle-no-recovery", "def init"),
    "outlives_the_drain": Fault(
        "lifecycle-lost", "def run", flags=("--drain_timeout", "0.1", "--quick")
    ),
}


def check(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "azmlinfsrv", "check", *arguments],
        capture_output=True,
        text=True,
        cwd=cwd,
    )


def report_of(tmp_path: Path, *arguments: str) -> dict[str, Any]:
    """What `--json` wrote."""
    file = tmp_path / "report.json"
    done = check("--json", str(file), *arguments)
    assert file.exists(), done.stdout + done.stderr
    report: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    assert report["exit_status"] == done.returncode
    assert done.stderr == ""
    return report


def findings_of(report: dict[str, Any]) -> list[dict[str, Any]]:
    return [finding for section in report["sections"] for finding in section["findings"]]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_found_named_and_located(name: str, tmp_path: Path) -> None:
    script = SCRIPTS / name / "score.py"
    fault = FAULTS[name]

    report = report_of(tmp_path, "--entry_script", str(script), *fault.flags)

    found = [it for it in findings_of(report) if it["severity"] != "note"]
    assert {it["id"] for it in found} == {fault.finding}
    assert report["exit_status"] == fault.status
    first = found[0]
    lines = Path(first["file"]).read_text(encoding="utf-8").splitlines()
    assert SCRIPTS / name in Path(first["file"]).parents
    assert fault.text in lines[first["line"] - 1]
    assert first["text"]
    assert first["next_step"]


@pytest.mark.timeout(300)
def test_a_good_script_passes_three_times_in_a_row(tmp_path: Path) -> None:
    script = SCRIPTS / "good" / "score.py"

    reports = [report_of(tmp_path, "--entry_script", str(script)) for _ in range(3)]

    assert [report["exit_status"] for report in reports] == [0, 0, 0]
    assert [findings_of(report) for report in reports] == [[], [], []]


def test_every_section_has_a_script_with_its_fault() -> None:
    assert {KINDS[fault.finding].section for fault in FAULTS.values()} == {
        kind.section for kind in KINDS.values()
    }


# --- what is printed and written ------------------------------------------------------------


def a_script(folder: Path, source: str, **samples: Any) -> Path:
    script = folder / "score.py"
    script.write_text(source, encoding="utf-8")
    (folder / "samples").mkdir()
    for name, content in samples.items():
        path = folder / "samples" / f"{name}.json"
        path.write_text(json.dumps(content), encoding="utf-8")
    return script


FAILING = """import warnings

def init():
    warnings.warn("too old", DeprecationWarning)

def run(data):
    raise ValueError("no, never")
"""
FEW = ("--skip", "edges", "--skip", "lifecycle", "--skip", "budgets", "--skip", "repeatability")


def test_reports_are_written_in_every_form(tmp_path: Path) -> None:
    a_script(tmp_path, FAILING, one={})
    files = ("--junit", "j.xml", "--sarif", "s.json", "--json", "r.json")

    done = check("--entry_script", "score.py", *files, "--github", *FEW, cwd=tmp_path)

    assert done.returncode == 1
    assert "  error sample-failed at score.py:7\n" in done.stdout
    assert "The sample one is answered 500: ValueError: no, never\n" in done.stdout
    assert "::error file=score.py,line=7,title=sample-failed::The sample one" in done.stdout
    assert "::warning file=score.py,line=4,title=load-warning::DeprecationW" in done.stdout
    sarif = json.loads((tmp_path / "s.json").read_text(encoding="utf-8"))
    (run,) = sarif["runs"]
    results = {it["ruleId"]: it for it in run["results"]}
    place = results["sample-failed"]["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "score.py", "uriBaseId": "SRCROOT"}
    assert place["region"] == {"startLine": 7}
    assert run["tool"]["driver"]["rules"][results["sample-failed"]["ruleIndex"]]["id"] == (
        "sample-failed"
    )
    suites = ElementTree.parse(tmp_path / "j.xml").getroot()
    (failure,) = suites.iter("failure")
    assert failure.get("type") == "sample-failed"
    assert "score.py:7: The sample one is answered 500" in str(failure.text)
    assert suites.get("failures") == "1"


def test_a_kind_can_be_ignored_and_warnings_made_to_fail(tmp_path: Path) -> None:
    script = a_script(tmp_path, FAILING.replace("raise", "return 1; raise"), one={})

    plain = check("--entry_script", str(script), *FEW)
    strict = check("--entry_script", str(script), *FEW, "--fail_on", "warning")
    ignoring = check(
        "--entry_script", str(script), *FEW, "--fail_on", "warning", "--ignore", "load-warning"
    )

    assert (plain.returncode, strict.returncode, ignoring.returncode) == (0, 1, 0)
    assert "load-warning" not in ignoring.stdout


def test_answers_become_the_expected_ones_with_update(tmp_path: Path) -> None:
    source = "def init():\n    pass\n\ndef run(data):\n    return {'length': len(data)}\n"
    script = a_script(tmp_path, source, one={}, two=[1, 2])

    updated = check("--entry_script", str(script), *FEW, "--update")
    script.write_text(source.replace("len(data)", "len(data) + 1"), encoding="utf-8")
    changed = check("--entry_script", str(script), *FEW)

    assert updated.returncode == 0
    assert "one.response.json" in updated.stdout
    assert changed.returncode == 1
    assert "body.length is 3, expected 2" in changed.stdout


def test_what_cannot_be_sent_is_the_contracts(tmp_path: Path) -> None:
    source = "def init():\n    pass\n\ndef run(data):\n    return object()\n"
    script = a_script(tmp_path, source, one={})

    report = report_of(tmp_path, "--entry_script", str(script), *FEW)

    errors = [it for it in findings_of(report) if it["severity"] == "error"]
    assert [it["id"] for it in errors] == ["contract-not-encodable"]
    assert "object" in errors[0]["text"]


def test_a_baseline_can_be_written_and_compared_with(tmp_path: Path) -> None:
    source = (
        "from pathlib import Path\n"
        "import features\n\n"
        "def init():\n"
        "    global text\n"
        "    text = Path(__file__).with_name('words.txt').read_text()\n\n"
        "def run(data):\n"
        "    return [text, features.count(50_000)]\n"
    )
    script = a_script(tmp_path, source, one={})
    (tmp_path / "words.txt").write_text("words", encoding="utf-8")
    features = tmp_path / "features.py"
    features.write_text("def count(n):\n    return sum(i % 7 for i in range(n))\n")
    baseline = str(tmp_path / "baseline.json")
    few = ("--entry_script", str(script), *FEW)

    written = check(*few, "--write_baseline", baseline)
    # The module beside the script is what becomes slower.
    features.write_text("def count(n):\n    return sum(i % 7 for i in range(2 * n))\n")
    slower = check(*few, "--baseline", baseline)
    allowed = check(*few, "--baseline", baseline, "--max_regression", "300%")

    assert written.returncode == 0
    assert slower.returncode == 1
    assert "baseline-regression" in slower.stdout
    assert allowed.returncode == 0


def python(code: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=cwd)


def test_serving_loads_no_tools(tmp_path: Path) -> None:
    done = python(
        "import sys, azmlinfsrv.cli.commands; "
        "print([it for it in sys.modules if it.startswith('azmlinfsrv.tools')])",
        tmp_path,
    )

    assert done.stdout == "[]\n", done.stderr


def test_without_psutil_it_says_what_to_install(tmp_path: Path) -> None:
    a_script(tmp_path, "def init(): pass\ndef run(data): return 1\n")

    done = python(
        "import sys; sys.modules['psutil'] = None; "
        "from azmlinfsrv.__main__ import main; main(['check', '--entry_script', 'score.py'])",
        tmp_path,
    )

    assert done.returncode == 2
    assert "pip install 'azureml-inference-server-http[check]'" in done.stderr


def test_keys_and_recording_do_not_stand_in_the_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = "def init():\n    pass\n\ndef run(data):\n    return 1\n"
    script = a_script(tmp_path, source, one={})
    monkeypatch.setenv("AZMLINFSRV_AUTH_KEYS", "0123456789abcdef0123456789abcdef")
    monkeypatch.setenv("AZMLINFSRV_RECORD_DIR", str(tmp_path / "records"))

    done = check("--entry_script", str(script), *FEW)

    assert done.returncode == 0, done.stdout
    assert not (tmp_path / "records").exists()


@pytest.mark.parametrize("how", ["found", "--config_file", "AZUREML_CONFIG_FILE"])
def test_keys_tls_and_recording_in_a_file_do_not_either_and_the_rest_of_it_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    source = """
def init():
    pass

def run(data):
    return float("nan")
"""
    script = a_script(tmp_path, source, one={})
    config = tmp_path / ("config.json" if how == "found" else "production.json")
    not_tried = {
        "AZMLINFSRV_AUTH_KEYS": "0123456789abcdef0123456789abcdef",
        "AZMLINFSRV_TLS_CERT": str(tmp_path / "certificate.pem"),
        "AZMLINFSRV_TLS_KEY": str(tmp_path / "key.pem"),
        "AZMLINFSRV_TLS_KEY_PASSWORD": "secret",
        "AZMLINFSRV_TLS_CLIENT_CA": str(tmp_path / "clients.pem"),
        "AZMLINFSRV_RECORD_DIR": str(tmp_path / "records"),
    }
    content = json.dumps({**not_tried, "AZMLINFSRV_NAN": "error"})
    config.write_text(content, encoding="utf-8")
    flags = ["--config_file", str(config)] if how == "--config_file" else []
    if how == "AZUREML_CONFIG_FILE":
        monkeypatch.setenv(how, str(config))

    done = check("--entry_script", str(script), *FEW, *flags)

    # NaN is an error, as the same file says; nothing else is.
    assert done.returncode == 1, done.stdout
    assert "contract-not-encodable" in done.stdout
    assert "(1 error, 1 note)" in done.stdout
    assert not (tmp_path / "records").exists()
    assert config.read_text(encoding="utf-8") == content


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--entry_script"),
        (["--entry_script", "score.py", "--samples", "nowhere"], "nowhere"),
        (["--entry_script", "score.py", "--budget", "nowhere.toml"], "No such file"),
        (["--entry_script", "score.py", "--limit", "p99"], "NAME=NUMBER"),
        (["--entry_script", "score.py", "--limit", "speed=1"], "speed"),
        (["--entry_script", "score.py", "--limit", "rate=0"], "more than 0"),
        (["--entry_script", "score.py", "--ignore", "nothing"], "sample-differs"),
        (["--entry_script", "score.py", "--skip", "load"], "lifecycle"),
        (["--entry_script", "score.py", "--baseline", "nowhere.json"], "does not exist"),
        (["--entry_script", "score.py", "--max_regression", "x"], "percentage"),
        (["--entry_script", "score.py", "--port", "abc"], "from 1 to 65535"),
        (["--entry_script", "score.py", "--samples", "bad"], "boddy"),
    ],
)
def test_wrong_usage_is_status_2(arguments: list[str], words: str, tmp_path: Path) -> None:
    a_script(tmp_path, "def init(): pass\ndef run(data): return 1\n")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "one.request.json").write_text('{"boddy": 1}', encoding="utf-8")

    done = check(*arguments, cwd=tmp_path)

    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


def test_nothing_is_left_behind_when_it_is_ended(tmp_path: Path) -> None:
    source = (
        "import os, pathlib, time\n"
        "def init():\n"
        f"    pathlib.Path({str(tmp_path)!r}, 'pid').write_text(str(os.getpid()))\n"
        "    time.sleep(60)\n"
        "def run(data): return 1\n"
    )
    script = a_script(tmp_path, source)
    pid_file = tmp_path / "pid"
    running = subprocess.Popen(
        [sys.executable, "-m", "azmlinfsrv", "check", "--entry_script", str(script)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    until(lambda: pid_file.exists() and pid_file.read_text(), 30, lambda: "init() was not called")
    worker = psutil.Process(int(pid_file.read_text()))

    running.terminate()
    running.communicate(timeout=30)

    until(lambda: not worker.is_running(), 10, lambda: "the worker still runs")
    assert running.returncode != 0
