"""`azmlinfsrv replay` and `azmlinfsrv compare`, as their users run them."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.harness import serving

SCRIPT = """
import json

def init():
    pass

def run(data):
    rows = json.loads(data)["data"]
    return {"sum": sum(rows), "note": "SECRET" and "old"}
"""
# Mends one mistake, makes another, and is off by little.
NEW = SCRIPT.replace('["data"]', '.get("data", [0])').replace("sum(rows)", "sum(rows) + 1e-9")
ENVIRON = {k: v for k, v in os.environ.items() if not k.startswith(("AZ", "AML", "WORKER"))}


def azmlinfsrv(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "azmlinfsrv", *arguments],
        cwd=root,
        env=ENVIRON,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scripts, samples, and what the first script's server has recorded."""
    root = tmp_path_factory.mktemp("replay")
    (root / "old.py").write_text(SCRIPT)
    (root / "new.py").write_text(NEW)
    (root / "broken.py").write_text("import no_such_module\n")
    (root / "samples").mkdir()
    (root / "samples" / "good.json").write_text('{"data": [1, 2]}')
    (root / "samples" / "bad.json").write_text('{"rows": []}')
    flags = ("--record", str(root / "kept"), "--record_sample_rate", "1")
    with serving(root / "old.py", *flags, root=root) as server:
        server.score(b'{"data": [1, 2]}', {"Authorization": "s3cret", "x-request-id": "good"})
        server.score(b'{"rows": []}', {"x-request-id": "bad"})
        server.score(b'{"data": [3], "api-key": "s3cret"}', {"x-request-id": "key"})
        server.score(b" " * 2_000_000 + b'{"data": [4]}', {"x-request-id": "long"})
        assert server.terminate() == 0
    return root


@pytest.fixture(scope="module")
def new_url(folder: Path) -> Iterator[str]:
    """A server of the new script."""
    with serving(folder / "new.py", root=folder) as server:
        yield f"http://127.0.0.1:{server.port}/score"


def of(document: dict[str, Any], request_id: str) -> dict[str, Any]:
    return next(it for it in document["requests"] if it["request_id"] == request_id)


def test_the_same_script_answers_the_same(folder: Path) -> None:
    done = azmlinfsrv(folder, "replay", "kept", "--entry-script", "old.py")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 same, 0 different, 1 skipped" in done.stdout
    assert "request.headers.authorization was redacted: not sent" in done.stdout
    assert "request.body.api-key was redacted: sent blanked" in done.stdout
    assert "skipped: its body was not kept whole" in done.stdout
    assert "Starting old.py" in done.stderr
    # What is sent again is not recorded again.
    assert len(list((folder / "kept").iterdir())) == 4


def test_another_script_answers_differently(folder: Path) -> None:
    done = azmlinfsrv(folder, "replay", "kept", "--entry_script", "new.py", "--format", "json")

    document = json.loads(done.stdout)
    bad = of(document, "bad")
    assert done.returncode == 1
    assert (document["same"], document["different"], document["skipped"]) == (0, 3, 1)
    assert bad["status"] == {"then": 500, "now": 200}
    assert bad["differences"][0] == {"path": "status", "text": "is 200, expected 500"}
    assert of(document, "good")["differences"] == [
        {"path": "body.sum", "text": "is 3.000000001, expected 3"}
    ]
    assert bad["duration_ms"]["then"] > 0
    assert document["median_ms"]["now"] > 0


@pytest.mark.parametrize(
    ("flags", "counts", "status"),
    [
        (["--tolerance", "0.001"], "2 same, 1 different, 1 skipped", 1),
        (["--ignore", "body.sum"], "2 same, 1 different, 1 skipped", 1),
        (["--ignore", "body", "--ignore", "status"], "3 same, 0 different, 1 skipped", 0),
        (
            ["--ignore", "body", "--ignore", "status", "--max_slowdown", "0.000001"],
            "3 same, 0 different, 1 skipped",
            1,
        ),
    ],
)
def test_what_counts_as_a_difference(
    folder: Path, new_url: str, flags: list[str], counts: str, status: int
) -> None:
    done = azmlinfsrv(folder, "replay", "kept", "--url", new_url, *flags)

    assert counts in done.stdout
    assert done.returncode == status


def test_a_recorded_failure_becomes_a_sample(folder: Path) -> None:
    done = azmlinfsrv(
        folder, "replay", "kept", "--save-sample", "bad", "--samples", "more", "--name", "no_rows"
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout == "more/no_rows.request.json\n"
    document = json.loads((folder / "more" / "no_rows.request.json").read_text())
    assert document["body"] == '{"rows": []}'

    redacted = azmlinfsrv(folder, "replay", "kept", "--save-sample", "key", "--samples", "more")
    assert "request.body.api-key was redacted" in redacted.stderr


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (["replay", "kept"], 2, "--url or --entry_script"),
        (["replay", "kept", "--url", "x://y"], 2, "is not the URL of a server"),
        (["replay", "kept", "--url", "http://a", "--entry_script", "b"], 2, "--url or"),
        (["replay", "samples", "--url", "http://a"], 2, "holds no recordings"),
        (["replay", "kept", "--save-sample", "nothing"], 2, "has to name one recording"),
        (["replay", "kept", "--entry_script", "broken.py"], 3, "no_such_module"),
        (["replay", "kept", "--entry_script", "old.py", "--nan", "x"], 2, "--nan"),
        (["replay", "kept", "--url", "http://a", "--header", "x"], 2, "write 'Name: value'"),
        (["compare", "--entry_script", "old.py", "--samples", "samples"], 2, "Name two servers"),
        (["compare", "--url", "http://a", "--url", "http://b"], 2, "There is nothing to send"),
        (
            ["compare", "--url", "http://a", "--server_command", "'", "--samples", "samples"],
            2,
            "No closing quotation",
        ),
        (
            ["compare", "--url", "a", "--entry_script", "broken.py", "--samples", "samples"],
            3,
            "no_such_module",
        ),
        (
            ["compare", "--url", "a", "--server_command", "no-such", "--samples", "samples"],
            3,
            "no-such cannot be served",
        ),
    ],
)
def test_what_cannot_be_done_is_said(
    folder: Path, arguments: list[str], status: int, words: str
) -> None:
    done = azmlinfsrv(folder, *arguments)

    assert done.returncode == status, done.stderr
    assert words in done.stderr
    assert done.stdout == ""


def test_a_server_that_does_not_answer_is_a_difference(folder: Path) -> None:
    from tests.harness import free_port

    done = azmlinfsrv(folder, "replay", "kept", "--url", f"http://127.0.0.1:{free_port()}")

    assert done.returncode == 1
    assert "answer is none" in done.stdout


# --- compare ------------------------------------------------------------------------------


def test_two_scripts_are_compared(folder: Path) -> None:
    done = azmlinfsrv(
        folder,
        *("compare", "--entry-script", "old.py", "--entry-script", "new.py"),
        *("--samples", "samples", "--format", "json"),
    )

    document = json.loads(done.stdout)
    bad, good = document["requests"]
    assert done.returncode == 1
    assert (document["first"], document["second"]) == ("old.py", "new.py")
    assert (bad["first"]["status"], bad["second"]["status"]) == (500, 200)
    paths = {it["path"] for it in bad["differences"]}
    assert {"status", "header.x-ms-run-function-failed", "body.sum"} <= paths
    assert good["differences"] == [{"path": "body.sum", "text": "is 3.000000001, expected 3"}]


def test_the_first_named_is_the_first_and_headers_count(folder: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m azmlinfsrv --entry_script old.py"
    done = azmlinfsrv(
        folder,
        *("compare", "--server-command", command, "--entry-script", "old.py"),
        *("--samples", "samples", "--recordings", "kept"),
        *("--access_control_allow_origins", "http://a.b", "--header", "Origin: http://a.b"),
    )

    assert done.returncode == 1, done.stdout + done.stderr
    assert done.stdout.startswith(f"first:  {command}\n")
    assert "0 same, 5 different" in done.stdout
    assert "  header.access-control-allow-origin is 'http://a.b', expected absent\n" in done.stdout
    assert "is not sent: its body was not kept whole" in done.stderr


def test_the_same_twice_is_the_same(folder: Path) -> None:
    command = f"{shlex.quote(sys.executable)} -m azmlinfsrv --entry_script old.py"
    done = azmlinfsrv(
        folder,
        *("compare", "--entry-script", "old.py", "--server-command", command),
        *("--samples", "samples", "--exact"),
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 same, 0 different" in done.stdout


@pytest.mark.parametrize(("flags", "status"), [([], 0), (["--exact"], 1)])
def test_bytes_count_only_if_asked(folder: Path, flags: list[str], status: int) -> None:
    (folder / "near.py").write_text(SCRIPT.replace("sum(rows)", "sum(rows) + 1e-9"))
    done = azmlinfsrv(
        folder,
        *("compare", "--entry-script", "old.py", "--entry-script", "near.py"),
        *("--samples", "samples", "--tolerance", "0.001", "--ignore", "body.location", *flags),
    )

    assert done.returncode == status
    assert "body is equal as compared, but not byte for byte" in done.stdout
