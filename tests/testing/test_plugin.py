"""The plugin, in a pytest of its own on a small project."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

SCORE = """
loaded = 0

def init():
    global loaded
    loaded += 1

def run(data):
    return [NAME, loaded]
"""


# schemathesis, which is for our own tests, would be imported at each start: a second.
PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:schemathesis")


def run_pytest(root: Path, *flags: str) -> tuple[int, str]:
    """Exit status and output."""
    done = subprocess.run(
        [*PYTEST, "-W", "error", *flags],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def project(root: Path, **files: str) -> None:
    for name, content in files.items():
        path = root / name.replace("__", "/").replace("_py", ".py").replace("_ini", ".ini")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(content))


def test_marker_and_default_script(tmp_path: Path) -> None:
    project(
        tmp_path,
        pytest_ini="[pytest]\nazmlinfsrv_entry_script = score.py\n",
        score_py=f"NAME = 'root'\n{SCORE}",
        tests__near_py=f"NAME = 'near'\n{SCORE}",
        tests__test_it_py="""
            import pytest

            def test_default(scoring_client):
                assert scoring_client.score().json() == ["root", 1]

            def test_default_again(scoring_client):
                assert scoring_client.score().json() == ["root", 1]

            @pytest.mark.entry_script("near.py", nan="null")
            def test_beside_the_test(scoring_client):
                assert scoring_client.score().json() == ["near", 1]

            @pytest.mark.entry_script("score.py", model_dir="models")
            def test_in_the_root(scoring_client, capsys):
                assert scoring_client.score().json() == ["root", 1]
        """,
    )

    status, output = run_pytest(tmp_path, "--strict-markers")

    assert status == 0, output
    assert "4 passed" in output


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def test_it(scoring_client): pass", "does not know which script to load"),
        (
            'import pytest\n@pytest.mark.entry_script("no.py")\ndef test_it(scoring_client): pass',
            "the script is not at",
        ),
        (
            'import pytest\n@pytest.mark.entry_script("bad.py")\ndef test_it(scoring_client): pass',
            "ModuleNotFoundError: No module named 'no_such_module'",
        ),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, source: str, words: str) -> None:
    project(tmp_path, test_it_py=source, bad_py="import no_such_module\n")

    status, output = run_pytest(tmp_path)

    assert status == 1
    assert words in output
    assert "1 error" in output


def test_the_plugin_is_listed_and_can_be_left_out(tmp_path: Path) -> None:
    project(tmp_path, test_it_py="def test_it(scoring_client): pass\n")

    _, markers = run_pytest(tmp_path, "--markers")
    status, without = run_pytest(tmp_path, "-p", "no:azmlinfsrv")

    assert "@pytest.mark.entry_script(path, **settings)" in markers
    assert status == 1
    assert "fixture 'scoring_client' not found" in without


def test_serving_does_not_import_pytest(tmp_path: Path) -> None:
    code = (
        "import sys, azmlinfsrv.__main__, azmlinfsrv.cli.commands, azmlinfsrv.servers.gunicorn, "
        "azmlinfsrv.worker.main; print([n for n in ('pytest', 'azmlinfsrv.testing') "
        "if n in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
