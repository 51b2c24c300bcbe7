"""The two commands of a fresh clone; all else in the README is tried by test_pages.py."""

from __future__ import annotations

import importlib.metadata
import os
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.docs.pages import PORT, Example, commands_in, examples_in
from tests.harness import Server

ROOT = Path(__file__).parents[2]
_MAKE = shutil.which("make")


def blocks() -> list[Example]:
    return examples_in((ROOT / "README.md").read_text(encoding="utf-8"))


def command_of_make_serve() -> list[str]:
    """What `make serve` would run last, as words."""
    assert _MAKE is not None
    # Not the variables of a `make test` around us.
    environ = {
        name: value
        for name, value in os.environ.items()
        if name != "ARGS" and not name.startswith("MAKE")
    }
    done = subprocess.run(
        [_MAKE, "-n", "serve"], cwd=ROOT, env=environ, capture_output=True, text=True, check=True
    )
    return shlex.split(done.stdout.splitlines()[-1])


def test_a_newcomer_needs_two_commands() -> None:
    block = next(block for block in blocks() if "make serve" in block.text)

    assert block.text == "$ make serve\n$ make test\n"


def test_make_serve_answers_as_the_readme_says() -> None:
    block = next(block for block in blocks() if "Hello" in block.text)
    program, *arguments = command_of_make_serve()
    arguments[arguments.index("--port") : arguments.index("--port") + 2] = []
    server = Server(
        None, root=ROOT, command=(shutil.which(program, path=ROOT) or program, *arguments)
    )
    try:
        server.wait_until_ready()
        for command, promised in commands_in(block.text):
            words = shlex.split(command.replace(f":{PORT}", f":{server.port}"))
            done = subprocess.run([*words, "-sS"], capture_output=True, text=True, check=True)

            assert done.stdout == promised.rstrip("\n")
    finally:
        server.close()


def test_installing_the_package_installs_the_command() -> None:
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="azmlinfsrv")

    assert entry.value == "azmlinfsrv.__main__:main"
    assert importlib.metadata.version("azureml-inference-server-http")
