"""``--reload`` and ``--dev``: what is saved is served, on every server, with real files."""

from __future__ import annotations

import json
import os
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.harness import Server, serving, until

pytestmark = pytest.mark.parametrize("server_flags", [(), ("--server", "waitress")], ids=str)

SCRIPT = """
def init():
    pass

def run(data):
    return 1
"""
BROKEN = SCRIPT.replace("    pass", "    raise ValueError('patient 4711')")
HEADER = "x-ms-reload-failed"


def save(server: Server, source: str, name: str = "score.py") -> None:
    (server.root / name).write_text(source, encoding="utf-8")


def answers(server: Server, body: bytes) -> bool:
    return server.score().body == body


def becomes(server: Server, body: bytes) -> None:
    """Wait until that is the answer."""
    until(lambda: answers(server, body), 30, server.log)


def reloads(server: Server) -> int:
    """How many there have been, well or not."""
    log = server.log()
    return log.count("Reloaded in ") + log.count("Not reloaded after ")


def wait_until_quiet(server: Server) -> None:
    """Return when what has been saved so far has been looked at, by saving one thing more."""
    mark = f"mark{time.monotonic_ns()}.py"
    save(server, "", mark)
    server.wait_for_log(mark, 30)  # in the line that says how it turned out


@pytest.fixture
def watched(serve: Serve, server_flags: tuple[str, ...]) -> Callable[..., Server]:
    """``watched(source, *flags)``: a server that notices changes."""

    def start(source: str, *flags: str) -> Server:
        return serve(source, "--reload", *server_flags, *flags)

    return start


Watched = Callable[..., Server]


def test_what_is_saved_is_served_and_one_line_says_so(watched: Watched) -> None:
    server = watched(SCRIPT)
    wait_until_quiet(server)
    before = reloads(server)

    save(server, SCRIPT.replace("return 1", "return 2"))

    becomes(server, b"2")
    server.wait_for_log(" ms: score.py changed")
    assert reloads(server) == before + 1


def test_a_broken_save_keeps_the_last_good_one_and_every_answer_says_so(watched: Watched) -> None:
    server = watched(SCRIPT)

    save(server, BROKEN)
    server.wait_for_log("score.py changed, it fails at score.py:3 in init.", 30)

    for answer in (server.score(), server.get("/"), server.get("/nowhere")):
        assert answer.headers[HEADER] == "score.py:3 in init"
        assert "4711" not in str(answer)
    assert server.score().body == b"1"
    assert b"the one before it still is" in server.get("/health/ready").body
    assert server.get("/dev/reload").status == 404
    save(server, SCRIPT.replace("return 1", "return 2"))
    becomes(server, b"2")
    assert HEADER not in server.score().headers


PLACES = [
    ("def init(:\n", "score.py:1"),
    ("", "see the log"),
    ("import os\nos._exit(5)\n", "see the log"),
    ("import nothing_of_the_kind\n", "score.py:1"),
    ("def init():\n    {}['x']\ndef run(data):\n    pass\n", "score.py:2 in init"),
]


def test_the_header_names_the_place_if_there_is_one(watched: Watched) -> None:
    server = watched(SCRIPT)

    for source, place in PLACES:
        save(server, source)
        until(lambda place=place: server.score().headers.get(HEADER) == place, 30, server.log)

    assert server.score().body == b"1"


def test_development_mode_tells_the_whole_report(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, "--dev", *server_flags)
    assert json.loads(server.get("/dev/reload").body) is None

    save(server, BROKEN)
    until(lambda: HEADER in server.score().headers, 30, server.log)

    report = json.loads(server.get("/dev/reload").body)
    assert report["location"] == "score.py:3 in init"
    assert report["error"] == {"type": "ValueError", "text": "patient 4711"}
    assert [line["number"] for line in report["source"] if line["is_failing"]] == [3]
    assert report["traceback"].startswith("Traceback")


def test_a_module_beside_the_script_and_one_from_elsewhere_are_watched(
    serve: Serve, server_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    (elsewhere / "far.py").write_text("value = 1\n")
    source = f"""
import sys
sys.path.append({str(elsewhere)!r})
import far, lib.near

def init():
    pass

def run(data):
    return far.value + lib.near.value
"""
    server = serve("def init(): ...\ndef run(data): return 0\n", "--reload", *server_flags)
    (server.root / "lib").mkdir()
    save(server, "value = 10\n", "lib/near.py")
    save(server, source)
    becomes(server, b"11")

    # The size is the same, and the second too: Python would take the old one for current.
    save(server, "value = 20\n", "lib/near.py")
    becomes(server, b"21")
    until(lambda: _is_noticed(server, elsewhere / "far.py", b"22"), 30, server.log)


def _is_noticed(server: Server, path: Path, body: bytes) -> bool:
    """Save anew, since what a script imported is watched a moment after it was loaded."""
    path.write_text(f"value = 2  # {time.monotonic_ns()}\n")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if answers(server, body):
            return True
        time.sleep(0.01)  # between two looks
    return False


def test_the_model_directory_is_watched(
    serve: Serve, server_flags: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> None:
    model = tmp_path_factory.mktemp("model")
    (model / "weights.txt").write_text("1")
    source = """
import os

def init():
    global weight
    with open(os.path.join(os.environ["AZUREML_MODEL_DIR"], "weights.txt")) as file:
        weight = int(file.read())

def run(data):
    return weight
"""
    server = serve(source, "--reload", "--model_dir", str(model), *server_flags)

    (model / "weights.txt").write_text("2")

    becomes(server, b"2")
    server.wait_for_log("weights.txt changed")


def test_a_file_that_is_deleted_and_written_again_or_renamed_into_place_is_noticed(
    watched: Watched,
) -> None:
    server = watched(SCRIPT)
    script = server.root / "score.py"

    script.unlink()
    script.write_text(SCRIPT.replace("return 1", "return 2"))
    becomes(server, b"2")
    (server.root / ".score.py.swp").write_text(SCRIPT.replace("return 1", "return 3"))
    os.replace(server.root / ".score.py.swp", script)
    becomes(server, b"3")
    script.unlink()
    until(lambda: HEADER in server.score().headers, 30, server.log)
    assert server.score().body == b"3"
    script.write_text(SCRIPT)
    becomes(server, b"1")


def test_a_folder_that_is_new_is_watched_too(watched: Watched) -> None:
    server = watched("import glob\n" + SCRIPT.replace("return 1", "return glob.glob('new/*/x.py')"))
    (server.root / "new" / "deep").mkdir(parents=True)
    save(server, "", "new/deep/x.py")

    server.wait_for_log("new/deep/x.py changed", 30)


def test_several_saves_in_quick_succession_are_one_reload(watched: Watched) -> None:
    server = watched(SCRIPT)
    wait_until_quiet(server)
    before = reloads(server)

    for number in range(2, 30):
        save(server, SCRIPT.replace("return 1", f"return {number}"))
        save(server, f"number = {number}\n", "other.py")

    becomes(server, b"29")
    wait_until_quiet(server)
    # One for the saves (another if the machine was so slow that it took over half a second),
    # and one for the mark.
    assert reloads(server) - before <= 3


def test_what_is_saved_while_an_older_one_is_loading_is_served(watched: Watched) -> None:
    server = watched(SCRIPT)

    save(server, SCRIPT.replace("    pass", "    print('for ever')\n    while True: pass"))
    server.wait_for_log("for ever", 30)
    save(server, SCRIPT.replace("return 1", "return 2"))

    becomes(server, b"2")
    until(lambda: len(_workers(server)) == 1, 10, server.log)


def _workers(server: Server) -> list[int]:
    return [process.pid for process in server.tree() if _is_worker(process)]


def _is_worker(process: object) -> bool:
    try:
        return "azmlinfsrv.worker" in " ".join(process.cmdline())  # type: ignore[attr-defined]
    except Exception:
        return False


UNRELATED = [
    "notes.txt", "data.csv", "service.log", ".hidden.py", "score.py~", ".score.py.swp",
    "#score.py#", "__pycache__/x.py", ".git/hooks/x.py", "env/lib/x.py", "node_modules/x.py",
    "4913", "x.json",
]  # fmt: skip


def test_files_that_do_not_concern_the_script_load_nothing(watched: Watched) -> None:
    server = watched(SCRIPT)
    (server.root / "env").mkdir()
    save(server, "", "env/pyvenv.cfg")
    wait_until_quiet(server)
    before = reloads(server)

    for name in UNRELATED:
        (server.root / name).parent.mkdir(parents=True, exist_ok=True)
        save(server, "value = 1\n", name)
    save(server, SCRIPT)  # saved, and not changed
    wait_until_quiet(server)

    assert reloads(server) == before + 1, server.log()


def test_a_script_that_writes_beside_itself_is_not_loaded_for_ever(watched: Watched) -> None:
    server = watched(SCRIPT)
    writes = """
import time

def init():
    with open("made.py", "w") as file:
        file.write(f"time = {time.time()}")
    with open("run.log", "a") as file:
        file.write("loaded")

def run(data):
    with open("run.log", "a") as file:
        file.write(data)
    return 5
"""

    save(server, writes)

    becomes(server, b"5")
    server.wait_for_log("If the script writes that itself", 60)
    until(lambda: _is_loaded_no_more(server), 30, server.log)
    # And a change that is the user's is loaded as ever.
    save(server, SCRIPT)
    becomes(server, b"1")


def _is_loaded_no_more(server: Server) -> bool:
    before = (server.root / "run.log").read_text().count("loaded")
    deadline = time.monotonic() + 2
    while time.monotonic() < deadline:
        server.score(b"x")
        time.sleep(0.01)  # often enough: each call writes to a file
    return (server.root / "run.log").read_text().count("loaded") == before


def test_calls_lose_nothing_while_saves_come(watched: Watched) -> None:
    server = watched(SCRIPT)
    is_over = threading.Event()
    found: set[tuple[int, bytes]] = set()

    def call() -> None:
        while not is_over.is_set():
            answer = server.score()
            found.add((answer.status, answer.body))

    caller = threading.Thread(target=call)
    caller.start()
    try:
        save(server, SCRIPT.replace("return 1", "return 2"))
        becomes(server, b"2")
        save(server, BROKEN)
        until(lambda: HEADER in server.score().headers, 30, server.log)
        save(server, SCRIPT.replace("return 1", "return 3"))
        becomes(server, b"3")
    finally:
        is_over.set()
        caller.join()

    assert found <= {(200, b"1"), (200, b"2"), (200, b"3")}


def test_a_worker_that_dies_while_the_script_is_broken_comes_back_with_the_next_good_save(
    watched: Watched,
) -> None:
    server = watched(SCRIPT)
    save(server, BROKEN)
    until(lambda: HEADER in server.score().headers, 30, server.log)

    (pid,) = _workers(server)
    os.kill(pid, signal.SIGKILL)
    until(lambda: server.get("/health/ready").status == 503, 30, server.log)
    failed = b"User's init function failed"
    until(lambda: failed in server.get("/health/ready").body, 30, server.log)
    save(server, SCRIPT.replace("return 1", "return 2"))

    becomes(server, b"2")
    # The worker that was missing may have been quicker than the reload.
    until(lambda: server.get("/health/ready").body == b"Healthy", 30, server.log)


def test_with_preload_a_worker_that_dies_comes_back_as_it_was(watched: Watched) -> None:
    server = watched(SCRIPT, "--worker_preload")
    save(server, BROKEN)
    until(lambda: HEADER in server.score().headers, 30, server.log)
    log = server.log()
    pid = int(log[: log.rindex(" forked from ")].rsplit(" ", 1)[1])

    os.kill(pid, signal.SIGKILL)
    server.wait_for_log("Another one takes its place", 30)

    becomes(server, b"1")
    assert server.score().headers[HEADER] == "score.py:3 in init"


def test_it_can_be_turned_off_in_development_mode(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, "--dev", "--no-reload", *server_flags)

    save(server, SCRIPT.replace("return 1", "return 2"))
    server.popen.send_signal(signal.SIGHUP)

    becomes(server, b"2")
    assert "Reload: on" not in server.log()
    assert "reloader" not in server.log()
    assert reloads(server) == 0


def _without_watchfiles(folder: Path) -> dict[str, str]:
    """An environment in which the library cannot be imported."""
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "watchfiles").mkdir(parents=True)
    (folder / "watchfiles" / "__init__.py").write_text("raise ModuleNotFoundError('watchfiles')\n")
    return {"PYTHONPATH": str(folder)}


def test_asked_for_without_the_library_it_is_a_configuration_error(
    tmp_path: Path, server_flags: tuple[str, ...]
) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    environ = _without_watchfiles(tmp_path / "path")
    flags = ("--reload", *server_flags)
    server = Server(tmp_path / "score.py", *flags, root=tmp_path, environ=environ)
    try:
        assert server.exit_status() == 3
        assert 'pip install "azureml-inference-server-http[dev]"' in server.log()
        assert "Server Settings" not in server.log()
    finally:
        server.close()


def test_development_mode_without_the_library_serves_and_says_what_to_install(
    tmp_path: Path, server_flags: tuple[str, ...]
) -> None:
    (tmp_path / "score.py").write_text(SCRIPT)
    environ = _without_watchfiles(tmp_path / "path")
    flags = ("--dev", *server_flags)
    with serving(tmp_path / "score.py", *flags, root=tmp_path, environ=environ) as server:
        server.wait_for_log('pip install "azureml-inference-server-http[dev]"')
        assert server.score().body == b"1"
        assert server.log().count("azureml-inference-server-http[dev]") == 1


def test_in_one_process_it_is_refused_with_a_word(
    serve: Serve, server_flags: tuple[str, ...]
) -> None:
    server = serve(SCRIPT, "--in_process", "--reload", *server_flags)

    assert "With --in_process the script is not reloaded when it changes" in server.log()
    assert "Reload: on" not in server.log()
