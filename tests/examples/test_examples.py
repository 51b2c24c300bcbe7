"""Every example is served and answers its sample requests, on every kind of server."""

from __future__ import annotations

import importlib.util
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from types import ModuleType

import pytest

from azmlinfsrv.tools.comparison import differences
from azmlinfsrv.tools.samples import samples_in
from tests.harness import Server, serving

EXAMPLES = Path(__file__).parents[2] / "examples"
FOLDERS = sorted(script.parent.name for script in EXAMPLES.glob("*/score.py"))

# Flags of each kind of server; every example runs on every one. A new kind is a line here:
# "waitress": ("--server", "waitress"), "in_process": ("--in_process",).
SERVERS: dict[str, tuple[str, ...]] = {
    "gunicorn": (),
    "waitress": ("--server", "waitress"),
    "in_process": ("--in_process",),
}


@dataclass(frozen=True)
class Needs:
    """What an example needs from outside, ready."""

    flags: tuple[str, ...] = ()
    environ: dict[str, str] = field(default_factory=dict)


@contextmanager
def nothing(_example: Path, _folder: Path) -> Iterator[Needs]:
    yield Needs()


@contextmanager
def a_trained_model(example: Path, folder: Path) -> Iterator[Needs]:
    module(example / "train.py").train(folder)
    yield Needs(flags=("--model_dir", str(folder)))


@contextmanager
def the_price_service(example: Path, _folder: Path) -> Iterator[Needs]:
    prices = module(example / "service.py").Prices
    with ThreadingHTTPServer(("127.0.0.1", 0), prices) as service:
        thread = threading.Thread(target=service.serve_forever)
        thread.start()
        try:
            yield Needs(environ={"PRICE_SERVICE": f"http://127.0.0.1:{service.server_port}"})
        finally:
            service.shutdown()
            thread.join()


PREPARED: dict[str, Callable[..., object]] = {
    "wine": a_trained_model,
    "two_models": a_trained_model,
    "async_client": the_price_service,
}


def module(path: Path) -> ModuleType:
    """A Python file as a module."""
    spec = importlib.util.spec_from_file_location(f"example_{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@contextmanager
def served(name: str, kind: str, folder: Path) -> Iterator[Server]:
    """The example, served with all it needs."""
    example = EXAMPLES / name
    with PREPARED.get(name, nothing)(example, folder / "model") as needs:  # type: ignore[attr-defined]
        script = example / "score.py"
        flags = (*SERVERS[kind], *needs.flags)
        with serving(script, *flags, root=folder, environ=needs.environ) as server:
            yield server


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize("name", FOLDERS)
def test_example_answers_its_samples(name: str, kind: str, tmp_path: Path) -> None:
    samples = samples_in(EXAMPLES / name / "samples")

    with served(name, kind, tmp_path) as server:
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
        log = server.log()

    assert samples
    assert not problems, "\n".join([*problems, log])


@pytest.mark.parametrize("name", FOLDERS)
def test_curl_lines_of_an_examples_page_work(name: str, tmp_path: Path) -> None:
    page = (EXAMPLES / name / "README.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line.startswith("curl ")]

    with served(name, "gunicorn", tmp_path) as server:
        for line in lines:
            command = line.replace("localhost:5001", f"localhost:{server.port}")
            done = subprocess.run(
                ["bash", "-c", f"{command} --fail --silent --show-error"],
                cwd=EXAMPLES.parent,
                capture_output=True,
            )

            assert done.returncode == 0, f"{line}\n{done.stderr!r}\n{server.log()}"


@pytest.mark.parametrize("kind", SERVERS)
def test_log_lines_of_a_script_carry_the_id_of_their_request(kind: str, tmp_path: Path) -> None:
    with served("logging_and_headers", kind, tmp_path) as server:
        server.score(b'{"id": 7, "items": [1, 2]}', {"X-Tenant": "north", "x-request-id": "r-1"})
        log = server.wait_for_log("POST /score 200")

    assert "orders - ready for orders" in log
    assert "orders - order 7 of tenant north (request r-1)" in log
    assert "azmlinfsrv.print - items: 2 (request r-1)" in log


@pytest.mark.parametrize("kind", SERVERS)
def test_a_stream_is_sent_in_chunks_without_a_length(kind: str, tmp_path: Path) -> None:
    with served("streaming_text", kind, tmp_path) as server:
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
