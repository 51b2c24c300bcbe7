from __future__ import annotations

import os
from pathlib import Path

import pytest

from azmlinfsrv.script.model_directory import tree


def test_tree_is_sorted_depth_first_and_marks_folders(tmp_path: Path) -> None:
    model = tmp_path / "model"
    for folder in ("a", "b/c", "empty", ".hidden"):
        (model / folder).mkdir(parents=True)
    for file in ("z", "B", "a.txt", "a/1", "b/c/x"):
        (model / file).touch()

    # As the reference server (1.5.1) prints it.
    assert [line.replace(os.sep, "/") for line in tree(f"{model}{os.sep}")] == [
        "model/",
        "    .hidden/",
        "    B",
        "    a/",
        "        1",
        "    a.txt",
        "    b/",
        "        c/",
        "            x",
        "    empty/",
        "    z",
    ]


def test_tree_says_that_it_is_cut_only_if_it_is(tmp_path: Path) -> None:
    for number in range(199):
        (tmp_path / f"f{number:03}").touch()
    whole = tree(str(tmp_path))
    (tmp_path / "f199").touch()
    cut = tree(str(tmp_path))

    assert (len(whole), whole[-1]) == (200, "    f198")
    assert cut == [*whole, "Output Truncated. First 200 lines shown."]


def test_file_has_one_line(tmp_path: Path) -> None:
    (tmp_path / "model.pkl").touch()

    assert tree(str(tmp_path / "model.pkl")) == ["model.pkl"]


def test_current_folder_keeps_its_short_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    assert tree(".") == [f".{os.sep}"]


def test_path_that_does_not_exist_has_no_lines(tmp_path: Path) -> None:
    assert tree(str(tmp_path / "no")) == []


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege")
def test_link_into_itself_ends(tmp_path: Path) -> None:
    model = tmp_path / "model"
    model.mkdir()
    (model / "loop").symlink_to("..")

    assert tree(str(model)) == ["model/", "    loop/", "        model/"]
