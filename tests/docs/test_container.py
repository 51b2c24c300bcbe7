"""The container examples cannot be built here; what they ask of the server is checked."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import Serve
from tests.docs.pages import examples_in

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "container.md"
FILES = {
    example.argument: example.text
    for example in examples_in(PAGE.read_text(encoding="utf-8"))
    if example.kind == "file"
}


def test_the_command_of_the_image_is_accepted(tmp_path: Path) -> None:
    (command,) = re.findall(r"^CMD (\[.*\])$", FILES["Dockerfile"], re.MULTILINE)
    program, *flags = json.loads(command)

    done = subprocess.run(
        [sys.executable, "-m", program, "config", *flags], cwd=tmp_path, check=False
    )

    assert done.returncode == 0


def test_the_port_of_the_image_is_the_servers() -> None:
    ports = re.findall(r"(?:EXPOSE|containerPort:|port:) (\d+)", "".join(FILES.values()))

    assert set(ports) == {"5001"}


def test_the_probes_of_the_deployment_are_answered(serve: Serve) -> None:
    paths = re.findall(r"httpGet: \{path: (\S+),", FILES["deployment.yaml"])
    server = serve("def init(): pass\ndef run(data): return data\n")

    assert len(paths) == 3
    assert {server.get(path).status for path in paths} == {200}


@pytest.mark.parametrize("name", ["WORKER_COUNT"])
def test_variables_of_the_deployment_are_settings(name: str) -> None:
    settings = (PAGE.parents[1] / "settings.md").read_text(encoding="utf-8")

    assert f"name: {name}," in FILES["deployment.yaml"]
    assert f"`{name}`" in settings
