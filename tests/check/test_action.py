"""The action's steps, run as the runner would: what is not GitHub's own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
GOOD = Path(__file__).parent / "scripts" / "good" / "score.py"


def test_its_check_runs_and_tells_where_the_reports_are(tmp_path: Path) -> None:
    (step,) = [it for it in ACTION["runs"]["steps"] if it.get("id") == "check"]
    output = tmp_path / "output"
    environ = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_OUTPUT": str(output),
        "ENTRY_SCRIPT": str(GOOD),
        "ARGUMENTS": "--quick --skip lifecycle",
    }

    done = subprocess.run(
        ["bash", "-e", "-c", step["run"]], env=environ, capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    outputs = dict(line.split("=", 1) for line in output.read_text().splitlines())
    assert json.loads(Path(outputs["sarif"]).read_text())["version"] == "2.1.0"
    assert Path(outputs["junit"]).read_text().startswith("<?xml")


def test_inputs_reach_the_shell_through_the_environment_only() -> None:
    for step in ACTION["runs"]["steps"]:
        assert "${{" not in step.get("run", "")
    used = set(re.findall(r"inputs\.(\w+)", (ROOT / "action.yml").read_text()))
    assert used == set(ACTION["inputs"])
