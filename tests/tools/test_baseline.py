from __future__ import annotations

import json
from pathlib import Path

import pytest

from azmlinfsrv.tools.baseline import BaselineError, read_baseline, unpacked, write_baseline


def a_script(folder: Path) -> Path:
    (folder / "lib").mkdir(parents=True)
    (folder / "lib" / "features.py").write_text("N = 1\r\n", encoding="utf-8", newline="")
    (folder / "model.bin").write_bytes(b"\x00\xff")
    (folder / "environment").mkdir()
    (folder / "environment" / "pyvenv.cfg").write_text("", encoding="utf-8")
    (folder / "environment" / "other.py").write_text("", encoding="utf-8")
    script = folder / "score.py"
    script.write_text("import lib.features  # é\n", encoding="utf-8")
    return script


def test_a_baseline_holds_sources_and_finds_data_again(tmp_path: Path) -> None:
    script = a_script(tmp_path / "service")
    file = tmp_path / "baseline.json"
    write_baseline(file, script, {"p50_ms": 1.5})
    script.write_text("changed", encoding="utf-8")

    baseline = read_baseline(file)

    assert set(baseline.sources) == {"score.py", "lib/features.py"}
    assert baseline.figures == {"p50_ms": 1.5}
    with unpacked(baseline, script) as old:
        assert old.read_text(encoding="utf-8") == "import lib.features  # é\n"
        assert (old.parent / "lib" / "features.py").read_bytes() == b"N = 1\r\n"
        assert (old.parent / "model.bin").read_bytes() == b"\x00\xff"
    assert not old.exists()
    assert (tmp_path / "service" / "model.bin").exists()


def test_a_script_is_a_baseline_as_it_is(tmp_path: Path) -> None:
    script = a_script(tmp_path / "service")

    baseline = read_baseline(script)

    assert baseline.script == "score.py"
    assert baseline.sources["score.py"] == "import lib.features  # é\n"


@pytest.mark.parametrize("text", ["", "{}", '{"format": 1}', "[]"])
def test_what_is_no_baseline_is_refused(text: str, tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    file.write_text(text, encoding="utf-8")

    with pytest.raises(BaselineError, match="neither"):
        read_baseline(file)


def test_a_baseline_changed_by_hand_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "baseline.json"
    write_baseline(file, a_script(tmp_path / "service"), {})
    document = json.loads(file.read_text(encoding="utf-8"))
    document["sources"]["../outside.py"] = "1"
    file.write_text(json.dumps(document), encoding="utf-8")

    with pytest.raises(BaselineError, match="changed by hand"):
        read_baseline(file)
