"""What counts as a change of a script, with real files and without waiting."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from azmlinfsrv.pool.watched_files import WatchedFiles


def changed(files: WatchedFiles) -> list[str]:
    return [files.name_of(path) for path in files.look()]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    root = tmp_path.resolve() / "service"
    (root / "lib").mkdir(parents=True)
    (root / "score.py").write_text("1")
    (root / "lib" / "near.py").write_text("1")
    return root


def test_only_what_has_another_content_has_changed(root: Path) -> None:
    files = WatchedFiles(str(root / "score.py"))
    files.look()

    (root / "score.py").write_text("1")
    os.utime(root / "lib" / "near.py", (0, 0))
    assert changed(files) == []
    (root / "score.py").write_text("2")
    (root / "lib" / "near.py").unlink()
    (root / "lib" / "new.py").write_text("")
    assert changed(files) == ["lib/near.py", "lib/new.py", "score.py"]
    assert changed(files) == []


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("model/weights.txt", True),
        ("model/deep/variables.index", True),
        ("model/train.log", False),
        ("model/.cache/x.bin", False),
        ("model/x.lock", False),
        ("service/model.pkl", True),
        ("service/logging.json", True),
        ("service/swagger3.json", True),
        ("service/answers.json", False),
        ("service/run.log", False),
        ("service/site-packages/x.py", False),
        ("service/lib/near.py~", False),
        ("elsewhere/x.py", False),
    ],
)
def test_what_counts(root: Path, name: str, counts: bool) -> None:
    files = WatchedFiles(str(root / "score.py"), "", str(root.parent / "model"))
    files.look()
    path = root.parent / name
    path.parent.mkdir(parents=True, exist_ok=True)

    path.write_text("new")

    assert (str(path) in files.look()) is counts
    assert files.counts(str(path)) is counts


def test_a_script_in_the_model_directory_may_write_beside_itself(root: Path) -> None:
    files = WatchedFiles(str(root / "score.py"), "", str(root.parent))
    files.look()

    (root / "state.txt").write_text("x")
    (root.parent / "weights.txt").write_text("x")

    assert changed(files) == [str(root.parent / "weights.txt")]


def test_environments_are_not_looked_into(root: Path) -> None:
    (root / "env" / "lib").mkdir(parents=True)
    (root / "env" / "pyvenv.cfg").write_text("")
    files = WatchedFiles(str(root / "score.py"))
    files.look()

    (root / "env" / "lib" / "x.py").write_text("x")

    assert changed(files) == []
    assert files.folders == {str(root), str(root / "lib")}


def test_what_was_imported_from_elsewhere_is_watched_from_then_on(root: Path) -> None:
    far = root.parent / "far" / "scale.py"
    far.parent.mkdir()
    far.write_text("1")
    files = WatchedFiles(str(root / "score.py"))
    files.look()

    files.add_imported([str(far)])
    assert changed(files) == []
    far.write_text("2")

    assert changed(files) == [str(far)]
    assert str(far.parent) in files.folders
