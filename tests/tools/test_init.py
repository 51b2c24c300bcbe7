"""What `init` writes works as it is: its commands run, its sample is answered, its test passes."""

from __future__ import annotations

import ast
import os
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from azmlinfsrv.tools.init import TEMPLATES
from tests.harness import serving

COMMAND = (sys.executable, "-m", "azmlinfsrv")
# schemathesis, which is for our own tests, would be imported at each start: a second.
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")
# The answer to the sample, or words of it.
ANSWERS = {
    "text": '{"km": 42.1648128}',
    "batch": '"species": "virginica"',
    "sklearn": '"species": ["setosa", "virginica"]',
    "raw": '"words": 9',
    "stream": "ONE WORD AFTER ANOTHER",
    "torch": '{"sum": [',
}


def init(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The outcome of ``azmlinfsrv init``."""
    return subprocess.run(
        [*COMMAND, "init", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def next_commands(told: str) -> list[str]:
    """What the user is told to type next."""
    lines = told.partition("Next:")[2].splitlines()
    return [line.partition("  # ")[0].strip() for line in lines if line.strip()]


def run_there(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Type one of them."""
    program, *arguments = shlex.split(command)
    ours = {
        "azmlinfsrv": [*COMMAND],
        "python": [sys.executable],
        "pytest": [*PYTEST],
    }
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AZ")}
    return subprocess.run(
        [*ours[program], *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


HERE = [name for name in ANSWERS if name != "torch" or find_spec("torch") is not None]


@pytest.mark.parametrize("template", HERE)
def test_template_works_as_it_is_written(tmp_path: Path, template: str) -> None:
    folder = tmp_path / "my service"
    told = init(tmp_path, "my service", "--template", template)
    assert (told.returncode, told.stderr) == (0, "")
    change, *commands = next_commands(told.stdout)
    assert shlex.split(change) == ["cd", "my service"]

    for command in commands:
        if command.startswith("pip "):
            continue  # all of it is installed beside the tests
        if "--dev" in command:
            flags = [flag for flag in shlex.split(command)[1:] if flag != "--entry_script"]
            flags.remove("score.py")
            with serving(folder / "score.py", *flags, root=folder) as server:
                sample = folder / TEMPLATES[template].sample
                answer = server.score(sample.read_bytes())
            assert answer.status == 200
            assert ANSWERS[template] in answer.body.decode()
            continue
        done = run_there(command, folder)
        assert done.returncode == 0, (command, done.stdout, done.stderr)
        if " invoke " in command:
            assert ANSWERS[template] in done.stdout
        if command == "pytest":
            assert " passed" in done.stdout


@pytest.mark.parametrize("template", HERE)
def test_template_passes_check_as_it_is_written(tmp_path: Path, template: str) -> None:
    init(tmp_path, "--template", template)
    trained = TEMPLATES[template].is_trained
    if trained:
        run_there("python train.py", tmp_path)
    model = " --model_dir model" if trained else ""

    done = run_there(
        f"azmlinfsrv check --entry_script score.py{model} --quick --skip budgets --skip lifecycle",
        tmp_path,
    )

    assert done.returncode == 0, (done.stdout, done.stderr)
    assert "score.py: good" in done.stdout


def test_every_template_is_tried() -> None:
    assert set(ANSWERS) == set(TEMPLATES)


@pytest.mark.skipif(find_spec("torch") is not None, reason="torch is installed")
def test_torch_template_is_python_and_names_what_it_lacks(tmp_path: Path) -> None:
    init(tmp_path, "--template", "torch")
    for file in tmp_path.glob("*.py"):
        ast.parse(file.read_text(encoding="utf-8"))

    done = run_there("azmlinfsrv invoke --entry_script score.py --model_dir model", tmp_path)

    assert done.returncode == 3
    assert "At score.py:7:" in done.stderr
    assert "pip install torch`" in done.stderr


def test_default_is_text_in_the_current_folder(tmp_path: Path) -> None:
    told = init(tmp_path)

    assert told.returncode == 0
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*")) == [
        "samples/marathon.json",
        "score.py",
        "test_score.py",
    ]
    assert not next_commands(told.stdout)[0].startswith("cd ")


def test_nothing_is_overwritten_and_nothing_is_written_beside(tmp_path: Path) -> None:
    (tmp_path / "score.py").write_text("mine")

    told = init(tmp_path)

    assert told.returncode == 2
    assert "score.py would be overwritten" in told.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["score.py"]
    assert (tmp_path / "score.py").read_text() == "mine"


def test_link_that_leads_nowhere_is_not_written_through(tmp_path: Path) -> None:
    (tmp_path / "score.py").symlink_to(tmp_path / "elsewhere.py")

    assert init(tmp_path).returncode == 2
    assert not (tmp_path / "elsewhere.py").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--template", "nonsense"], "nonsense"),
        (["a", "b"], "b"),
        (["file/below"], "file/below cannot be written"),
    ],
)
def test_what_cannot_be_done_is_said(tmp_path: Path, arguments: list[str], words: str) -> None:
    (tmp_path / "file").write_text("")

    told = init(tmp_path, *arguments)

    assert told.returncode in (1, 2)
    assert words in told.stderr
    assert "Traceback" not in told.stderr
