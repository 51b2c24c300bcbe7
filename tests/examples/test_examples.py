"""Every example is served and answers its sample requests, on every kind of server."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from azmlinfsrv.comparison import differences
from azmlinfsrv.samples import samples_in
from tests.examples.prepared import EXAMPLES, FOLDERS, prepared
from tests.harness import Server, serving

# Flags of each kind of server; every example runs on every one. A new kind is a line here:
# "waitress": ("--server", "waitress"), "in_process": ("--in_process",).
SERVERS: dict[str, tuple[str, ...]] = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}


@contextmanager
def served(name: str, kind: str, models: Path, root: Path) -> Iterator[Server]:
    """The example, served with all it needs."""
    with prepared(name, models / name) as needs:
        script = EXAMPLES / name / "score.py"
        flags = (*SERVERS[kind], *needs.flags)
        with serving(script, *flags, root=root, environ=needs.environ) as server:
            yield server


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for each example that trains a model: once, not for every server."""
    return tmp_path_factory.mktemp("models")


@pytest.fixture(scope="module")
def example(
    request: pytest.FixtureRequest, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Server]]:
    """Name and server of the example that the tests at hand ask for; see `each_example`."""
    name, kind = request.param
    with served(name, kind, models, tmp_path_factory.mktemp(name)) as server:
        yield name, server


def each_example(*kinds: str) -> pytest.MarkDecorator:
    """Run a test for every example, on servers of these kinds.

    pytest brings together the tests that stand at the same place of such lists, so that one
    start serves them: lists begin with the same kind.
    """
    pairs = [(name, kind) for kind in kinds for name in FOLDERS]
    ids = [f"{name}-{kind}" for name, kind in pairs]
    return pytest.mark.parametrize("example", pairs, ids=ids, indirect=True, scope="module")


@each_example(*SERVERS)
def test_example_answers_its_samples(example: tuple[str, Server]) -> None:
    name, server = example
    samples = samples_in(EXAMPLES / name / "samples")

    problems = [
        f"{sample.name}: {problem}"
        for sample in samples
        for problem in differences(
            server.request(
                sample.request.method,
                sample.request.path,
                sample.request.body,
                sample.request.headers,
            ),
            sample.expected,
            keep_order=True,
        )
    ]

    assert samples
    assert not problems, "\n".join([*problems, server.log()])


@each_example("gunicorn")
def test_curl_lines_of_an_examples_page_work(example: tuple[str, Server]) -> None:
    name, server = example
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("curl ")]

    for line in lines:
        command = line.replace("localhost:5001", f"localhost:{server.port}")
        done = subprocess.run(
            ["bash", "-c", f"{command} --fail --silent --show-error"],
            cwd=EXAMPLES.parent,
            capture_output=True,
        )

        assert done.returncode == 0, f"{line}\n{done.stderr!r}\n{server.log()}"


@pytest.mark.parametrize("kind", SERVERS)
def test_log_lines_of_a_script_carry_the_id_of_their_request(
    kind: str, models: Path, tmp_path: Path
) -> None:
    with served("logging_and_headers", kind, models, tmp_path) as server:
        server.score(b'{"id": 7, "items": [1, 2]}', {"X-Tenant": "north", "x-request-id": "r-1"})
        log = server.wait_for_log("POST /score 200")

    assert "orders - ready for orders" in log
    assert "orders - order 7 of tenant north (request r-1)" in log
    assert "azmlinfsrv.print - items: 2 (request r-1)" in log


@pytest.mark.parametrize("kind", SERVERS)
def test_a_stream_is_sent_in_chunks_without_a_length(
    kind: str, models: Path, tmp_path: Path
) -> None:
    with served("streaming_text", kind, models, tmp_path) as server:
        answer = server.score(b'{"prompt": "a b"}')

    assert answer.headers["transfer-encoding"] == "chunked"
    assert "content-length" not in answer.headers
    assert answer.body == b"a b \n"


@pytest.mark.parametrize("name", FOLDERS)
def test_every_example_is_complete_and_listed(name: str) -> None:
    index = (EXAMPLES / "README.md").read_text(encoding="utf-8")

    assert f"[{name}]({name})" in index
    assert (EXAMPLES / name / "README.md").is_file()
    assert list((EXAMPLES / name / "samples").glob("*.request.json"))
