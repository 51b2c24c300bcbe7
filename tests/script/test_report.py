from __future__ import annotations

import linecache
import sys
from pathlib import Path

import msgspec
import pytest

from azmlinfsrv.errors import ScriptError
from azmlinfsrv.script.report import (
    Report,
    SourceLine,
    Surroundings,
    describe,
    format_report,
    location_of,
    user_traceback,
)
from tests.script.conftest import BROKEN, Fail


def _raised(code: str, path: Path) -> BaseException:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    try:
        exec(compile(code, str(path), "exec"), {"__name__": "entry_module"})
    except BaseException as error:
        return error
    raise AssertionError("the code did not fail")


def test_location_is_the_innermost_line_of_the_user(fail: Fail) -> None:
    where = Surroundings(script=str(BROKEN / "in_module" / "score.py"))

    assert location_of(fail(where), where) == "lib/features.py:3 in scale"


def test_error_in_a_library_is_at_the_line_that_called_it(fail: Fail) -> None:
    where = Surroundings(script=str(BROKEN / "invalid_json.py"))

    assert location_of(fail(where, "?"), where) == "invalid_json.py:8 in run"


def test_installed_packages_below_the_root_are_not_the_users(tmp_path: Path) -> None:
    library = tmp_path / ".venv" / "lib" / "site-packages" / "library.py"
    error = _raised("1 / 0", library)

    assert location_of(error, Surroundings(script=str(tmp_path / "score.py"))) == ""


def test_file_in_the_application_root_is_named_from_the_script(tmp_path: Path) -> None:
    error = _raised("1 / 0", tmp_path / "shared.py")
    where = Surroundings(script=str(tmp_path / "app" / "score.py"), app_root=str(tmp_path))

    assert location_of(error, where) == "../shared.py:1"


def test_syntax_error_is_where_it_was_found(fail: Fail) -> None:
    where = Surroundings(script=str(BROKEN / "syntax.py"))

    assert location_of(fail(where), where) == "syntax.py:4"


def test_line_in_a_comprehension_is_in_the_function_around_it(tmp_path: Path) -> None:
    error = _raised("def run():\n    return [1 / 0 for _ in (1,)]\nrun()", tmp_path / "score.py")

    assert location_of(error, Surroundings(str(tmp_path / "score.py"))) == "score.py:2 in run"


def test_error_of_the_server_is_where_its_cause_is(tmp_path: Path) -> None:
    wrapper = ScriptError("init failed")
    wrapper.__cause__ = _raised("\n1 / 0", tmp_path / "score.py")

    report = describe(wrapper, "init failed", Surroundings(str(tmp_path / "score.py")))

    assert report.location == "score.py:2"
    assert report.error_type == "ZeroDivisionError"


def test_source_has_three_lines_on_either_side(tmp_path: Path) -> None:
    code = "".join(f"x = {number}\n" for number in range(1, 6)) + "1 / 0\n" + "y = 0\n" * 5
    error = _raised(code, tmp_path / "score.py")

    report = describe(error, "It failed", Surroundings(str(tmp_path / "score.py")))

    assert [line.number for line in report.source] == [3, 4, 5, 6, 7, 8, 9]
    assert [line.text for line in report.source if line.is_failing] == ["1 / 0"]


def test_report_reads_well() -> None:
    report = Report(
        title="User's init function failed",
        location="score.py:10 in init",
        source=[SourceLine(9, "def init():"), SourceLine(10, "    load(path)", True)],
        error_type="FileNotFoundError",
        error_text="no such file",
        traceback="Traceback (most recent call last):\n  ...\n",
        hint="Start the server with --model_dir.",
    )

    assert format_report(report) == (
        "User's init function failed\n"
        "\n"
        "At score.py:10 in init:\n"
        "     9 | def init():\n"
        "  > 10 |     load(path)\n"
        "\n"
        "Encountered Exception FileNotFoundError: no such file\n"
        "\n"
        "Hint: Start the server with --model_dir.\n"
        "\n"
        "Traceback (most recent call last):\n"
        "  ..."
    )


def test_report_crosses_a_process_boundary(tmp_path: Path) -> None:
    error = _raised("raise ValueError('\\ud800')", tmp_path / "score.py")
    report = describe(error, "It failed", Surroundings(str(tmp_path / "score.py")))

    packed = msgspec.msgpack.encode(report)

    assert msgspec.msgpack.decode(packed, type=Report) == report


def test_traceback_starts_at_the_users_first_frame(fail: Fail) -> None:
    where = Surroundings(script=str(BROKEN / "in_module" / "score.py"))

    text = user_traceback(fail(where), where)

    assert text.startswith('Traceback (most recent call last):\n  File "')
    assert "conftest.py" not in text
    assert text.index("score.py") < text.index("features.py")
    assert text.endswith("ZeroDivisionError: division by zero\n")


def test_traceback_keeps_causes(tmp_path: Path) -> None:
    code = "try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise ValueError('no') from e"
    error = _raised(code, tmp_path / "score.py")

    text = user_traceback(error, Surroundings(str(tmp_path / "score.py")))

    assert "ZeroDivisionError: division by zero\n\nThe above exception was the direct" in text
    assert __file__ not in text


def test_recursion_is_short(tmp_path: Path) -> None:
    code = "def a():\n    b()\ndef b():\n    a()\na()"
    error = _raised(code, tmp_path / "score.py")

    text = user_traceback(error, Surroundings(str(tmp_path / "score.py")))

    assert "more calls left out" in text
    assert text.count("\n") < 400


def test_huge_message_is_cut(tmp_path: Path) -> None:
    error = _raised("raise ValueError('x' * 1_000_000)", tmp_path / "score.py")
    where = Surroundings(str(tmp_path / "score.py"))

    report = describe(error, "It failed", where)

    assert len(report.error_text) < 9_000
    assert len(report.traceback) < 66_000


def test_exception_that_cannot_be_printed_is_reported(tmp_path: Path) -> None:
    code = "class Bad(Exception):\n    def __str__(self):\n        raise TypeError\nraise Bad"
    error = _raised(code, tmp_path / "score.py")

    report = describe(error, "It failed", Surroundings(str(tmp_path / "score.py")))

    assert report.error_type == "Bad"
    assert "__str__ raised TypeError" in report.error_text
    assert "Bad" in report.traceback


def test_source_that_has_vanished_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "score.py"
    error = _raised("1 / 0", path)
    path.unlink()
    linecache.clearcache()

    report = describe(error, "It failed", Surroundings(str(path)))

    assert report.location == "score.py:1"
    assert report.source == []


def test_code_made_at_run_time_is_at_the_line_that_ran_it(tmp_path: Path) -> None:
    error = _raised("exec('1 / 0')", tmp_path / "score.py")

    assert location_of(error, Surroundings(str(tmp_path / "score.py"))) == "score.py:1"


@pytest.mark.skipif(sys.version_info < (3, 11), reason="groups are new in Python 3.11")
def test_group_is_where_its_first_member_is(tmp_path: Path) -> None:
    code = (
        "def load():\n    raise KeyError('k')\n"
        "try:\n    load()\nexcept KeyError as e:\n    raise ExceptionGroup('all', [e])"
    )
    error = _raised(code, tmp_path / "score.py")

    report = describe(error, "It failed", Surroundings(str(tmp_path / "score.py")))

    assert report.location == "score.py:2 in load"
    assert "KeyError: 'k'" in report.traceback


def test_exception_without_a_traceback_is_reported() -> None:
    report = describe(ValueError("no"), "It failed", Surroundings(script=""))

    assert report == Report(
        "It failed", error_type="ValueError", error_text="no", traceback="ValueError: no\n"
    )
