"""A script in the process of a test: what it answers, and what is left when it has gone."""

from __future__ import annotations

import asyncio
import builtins
import json
import logging
import os
import sys
import textwrap
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from azmlinfsrv.testing import IncompleteAnswer, ScoringClient, ScriptError, SettingsError

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """``write(source, name="score.py")``: a file in a folder of the test's own."""

    def create(source: str, name: str = "score.py") -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return create


ECHO = """
def init():
    pass

def run(data):
    return {"got": data}
"""


@pytest.mark.parametrize(
    ("data", "got"),
    [
        (b"abc", "abc"),
        ("ä", "ä"),
        (None, ""),
        ({"data": [1, 2.5]}, '{"data": [1, 2.5]}'),
        ([1], "[1]"),
        (False, "false"),
    ],
)
def test_data_is_sent_as_it_should_be(write: Write, data: object, got: str) -> None:
    with ScoringClient(write(ECHO)) as client:
        answer = client.score(data)

    assert answer.status == 200
    assert answer.json() == {"got": got}
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["content-length"] == str(len(answer.body))


def test_query_headers_and_method_reach_the_script(write: Write) -> None:
    script = write("""
        from azureml_inference_server_http.api.aml_request import rawhttp

        def init():
            pass

        @rawhttp
        def run(request):
            return [request.method, dict(request.args), request.headers["X-A"], request.host]
    """)
    with ScoringClient(script) as client:
        answer = client.score(method="GET", query="a=1%202", headers={"x-a": "b"})

    assert answer.json() == ["GET", {"a": "1 2"}, "b", "127.0.0.1:5001"]


def test_other_paths_are_answered_too(write: Write) -> None:
    with ScoringClient(write(ECHO), service_name="wine") as client:
        assert client.request("GET", "/").text == "Healthy"
        assert client.request("GET", "/swagger.json?version=3").json()["info"]["title"] == "wine"
        assert client.request("DELETE", "/score").status == 405
        assert client.request("GET", "/no%2Fwhere").status == 404


def test_an_error_of_the_script_is_answered_and_logged(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    script = write("""
        def init():
            pass

        def run(data):
            raise ValueError("patient 4711")
    """)
    with ScoringClient(script) as client:
        answer = client.score({})

    assert answer.status == 500
    assert answer.json()["location"] == "score.py:6 in run"
    assert "4711" not in answer.text
    assert "ValueError: patient 4711" in caplog.text
    assert repr(answer).startswith('<Answer 500 b\'{"message"')


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def init(:\n", "SyntaxError"),
        ("import no_such_module\n", "no_such_module"),
        ("def init():\n    1 / 0\n\ndef run(data):\n    pass\n", "ZeroDivisionError"),
        ("def init():\n    pass\n", "does not have a run() function"),
    ],
)
def test_a_script_that_cannot_start_says_why(write: Write, source: str, words: str) -> None:
    script = write(source)
    before = snapshot()

    with pytest.raises(ScriptError) as error:
        ScoringClient(script)

    assert words in str(error.value)
    assert snapshot() == before
    with ScoringClient(write(ECHO)) as client:
        assert client.score().status == 200


def test_settings_go_by_their_names(write: Write, tmp_path: Path) -> None:
    script = write("""
        import os

        def init():
            pass

        def run(data):
            return [float("nan"), os.environ["AZUREML_MODEL_DIR"], os.environ["STAGE"]]
    """)
    environ = {"STAGE": "test"}
    with ScoringClient(script, model_dir=tmp_path, nan="null", environ=environ) as client:
        assert client.score().json() == [None, str(tmp_path), "test"]

    with pytest.raises(TypeError, match="there is no setting modeldir"):
        ScoringClient(script, modeldir="x")
    with pytest.raises(SettingsError, match="--nan: Input should be one of keep, null, error"):
        ScoringClient(script, nan="never")


def test_streams_come_in_pieces(write: Write) -> None:
    script = write("""
        closed = []

        def init():
            pass

        def run(data):
            if data == "closed":
                return closed
            return words()

        def words():
            try:
                yield "one "
                yield ""
                yield "two"
            finally:
                closed.append(True)
    """)
    with ScoringClient(script) as client:
        with client.stream() as answer:
            assert list(answer) == [b"one ", b"two"]
        assert client.score().body == b"one two"
        with client.stream() as answer:
            pieces = iter(answer)
            assert next(pieces) == b"one "
            with pytest.raises(RuntimeError, match="still sending a stream"):
                client.score()
        assert client.score("closed").json() == [True, True, True]


def test_a_stream_that_breaks_off_is_an_error(
    write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    script = write("""
        def init():
            pass

        def run(data):
            yield "one"
            raise ValueError("no more")
    """)
    with ScoringClient(script) as client:
        with pytest.raises(IncompleteAnswer) as error:
            client.score()
        with client.stream() as answer, pytest.raises(IncompleteAnswer):
            answer.read()

    assert error.value.answer is not None
    assert error.value.answer.body == b"one"
    assert "ValueError: no more" in caplog.text


ASYNC = """
import asyncio

async def init():
    await asyncio.sleep(0)

async def run(data):
    await asyncio.sleep(0)
    return "done"
"""


def test_asynchronous_scripts_work_in_tests_of_both_kinds(write: Write) -> None:
    script = write(ASYNC)

    async def test() -> None:
        with ScoringClient(script) as client:
            assert client.score().json() == "done"

    with ScoringClient(script) as client:
        assert client.score().json() == "done"
    asyncio.run(test())


# --- what is left -------------------------------------------------------------------------

MESSY = """
import builtins
import logging
import os
import sys

import helper
from azureml.contrib.services.aml_request import AMLRequest

sys.path.insert(0, "/somewhere")
logging.basicConfig(level="DEBUG", handlers=[logging.StreamHandler()])
logging.getLogger("theirs").addHandler(logging.NullHandler())
os.environ["THEIRS"] = "1"

def init():
    os.chdir("/")
    builtins.print = len

def run(data):
    os.environ["LATER"] = "1"
    logging.getLogger().setLevel("ERROR")
    logging.getLogger("existing").disabled = True
    return [helper.NAME, sys.argv, os.environ["AML_APP_ROOT"]]
"""


def snapshot() -> dict[str, object]:
    logging.getLogger("existing")
    return {
        "path": list(sys.path),
        "argv": sys.argv,
        "finders": [repr(each) for each in sys.meta_path],
        "scripts": sorted(sys.modules.keys() & {"entry_module", "helper", "azureml"}),
        "environment": {k: v for k, v in os.environ.items() if k != "PYTEST_CURRENT_TEST"},
        "handlers": list(logging.getLogger().handlers),
        "level": logging.getLogger().level,
        "theirs": list(logging.getLogger("theirs").handlers),
        "disabled": logging.getLogger("existing").disabled,
        "print": builtins.print,
        "basicConfig": logging.basicConfig,
        "cwd": os.getcwd(),
        "threads": threading.active_count(),
    }


def test_the_process_is_given_back_as_it_was(write: Write, tmp_path: Path) -> None:
    write("NAME = 'one'", "helper.py")
    before = snapshot()

    with ScoringClient(write(MESSY), app_root=tmp_path) as client:
        assert client.score().json() == ["one", ["azmlinfsrv"], str(tmp_path)]
        assert snapshot() != before

    assert snapshot() == before


def test_what_others_change_meanwhile_stays(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    handler = logging.NullHandler()
    client = ScoringClient(write(ECHO))
    monkeypatch.setenv("AML_APP_ROOT", "/mine")
    monkeypatch.setenv("NEW", "1")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend("/mine")
    logging.getLogger().addHandler(handler)
    try:
        client.score()
        client.close()

        assert os.environ["AML_APP_ROOT"] == "/mine"
        assert os.environ["NEW"] == "1"
        assert os.getcwd() == str(tmp_path)
        assert sys.path[0] == "/mine"
        assert handler in logging.getLogger().handlers
    finally:
        logging.getLogger().removeHandler(handler)


def test_scripts_of_the_same_name_do_not_meet(write: Write) -> None:
    source = """
        from model import NAME

        def init():
            pass

        def run(data):
            return NAME
    """
    names = []
    for name in ("one", "two", "one"):
        write(f"NAME = {name!r}", f"{name}/model.py")
        with ScoringClient(write(source, f"{name}/score.py")) as client:
            names.append(client.score().json())

    assert names == ["one", "two", "one"]


def test_a_script_written_anew_is_loaded_anew(write: Write) -> None:
    answers = []
    for number in range(3):
        with ScoringClient(write(ECHO.replace("got", f"got{number}"))) as client:
            answers.append(list(client.score().json()))

    assert answers == [["got0"], ["got1"], ["got2"]]


def test_one_script_at_a_time(write: Write) -> None:
    script = write(ECHO)
    with ScoringClient(script) as client:
        with pytest.raises(RuntimeError, match=r"score\.py is loaded in this process already"):
            ScoringClient(script)
        assert client.score().status == 200
    client.close()

    with pytest.raises(RuntimeError, match="the client is closed"):
        client.score()


def test_threads_are_answered_one_after_another(write: Write) -> None:
    script = write("""
        inside = 0

        def init():
            pass

        def run(data):
            global inside
            inside += 1
            most = inside
            for _ in range(1000):
                most = max(most, inside)
            inside -= 1
            return most
    """)
    answers: list[object] = []
    with ScoringClient(script) as client:

        def ask() -> None:
            answers.extend(client.score().json() for _ in range(20))

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert answers == [1] * 80


def test_ctrl_c_in_run_ends_the_test_and_not_the_call(write: Write) -> None:
    script = write("""
        def init():
            pass

        def run(data):
            if data:
                raise KeyboardInterrupt
            return "fine"
    """)
    with ScoringClient(script) as client:
        with pytest.raises(KeyboardInterrupt):
            client.score("x")
        assert client.score().json() == "fine"


def test_a_body_that_is_no_json_is_shown(write: Write) -> None:
    script = write("def init():\n    pass\n\ndef run(data):\n    return b'<html>'\n")
    with ScoringClient(script) as client, pytest.raises(ValueError, match="<html>"):
        client.score().json()


def test_importing_the_package_is_light() -> None:
    import subprocess

    code = (
        "import sys, json; before = set(sys.modules); import azmlinfsrv.testing.plugin; "
        "print(json.dumps(sorted(set(sys.modules) - before)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", f"import pytest; {code}"], capture_output=True, text=True, check=True
    ).stdout

    assert [name for name in json.loads(output) if name.split(".")[0] != "azmlinfsrv"] == []


def test_keys_of_the_server_hold_here_too_and_are_not_shown_to_the_script(write: Write) -> None:
    script = write("""
        import os

        def init():
            pass

        def run(data):
            return os.environ.get("AZMLINFSRV_AUTH_KEYS", "hidden")
    """)
    environ = {"AZMLINFSRV_AUTH_KEYS": "k" * 32}
    with ScoringClient(script, environ=environ) as client:
        assert client.score().status == 401
        assert client.score(headers={"api-key": "k" * 32}).json() == "hidden"
