"""What the playground's routes answer, and to whom."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import Serve
from tests.harness import Server
from tests.playground.conftest import SCRIPT

JSON = {"Content-Type": "application/json"}
SAMPLE = {"name": "one", "request": {"body": "{}"}}


def save(
    server: Server, document: Any = SAMPLE, headers: Mapping[str, str] = JSON
) -> tuple[int, dict[str, Any]]:
    answer = server.request(
        "POST", "/playground/samples", json.dumps(document).encode(), dict(headers)
    )
    return answer.status, json.loads(answer.body)


def listing(server: Server, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
    answer = server.get("/playground/samples", headers)
    assert answer.status == 200
    assert answer.headers["cache-control"] == "no-store"
    found: dict[str, Any] = json.loads(answer.body)
    return found


# --- the page -----------------------------------------------------------------------------


def test_there_is_none_unless_asked_for(serve: Serve) -> None:
    server = serve(SCRIPT)

    assert server.get("/playground").status == 404
    assert server.get("/playground/samples").status == 404
    assert "Playground" not in server.log()


@pytest.mark.parametrize("server_flags", [(), ("--server", "waitress"), ("--in_process",)])
def test_it_is_served_by_every_server(serve: Serve, server_flags: tuple[str, ...]) -> None:
    server = serve(SCRIPT, "--playground", *server_flags)

    page = server.get("/playground")

    assert page.status == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert server.request("HEAD", "/playground").status == 200
    assert server.request("POST", "/playground", b"").status == 405
    assert listing(server)["dev"] is False
    assert f":{server.port}/playground" in server.log()


def test_nothing_but_its_own_code_can_run_in_it(server: Server) -> None:
    page = server.get("/playground")

    policy = dict(
        part.split(" ", 1) for part in page.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == "'none'"
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["script-src"])
    assert re.fullmatch(r"'sha256-[\w+/=]+'", policy["style-src"])
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == policy["form-action"] == "'none'"
    assert page.headers["x-frame-options"] == "DENY"
    assert page.headers["x-content-type-options"] == "nosniff"
    # Neither from elsewhere, nor in attributes, which the policy would refuse.
    assert not re.search(rb"(src|href)=[\"']?(https?:)?//|\sstyle=|\son\w+=\"", page.body)


def test_with_keys_the_page_is_open_and_the_samples_are_not(serve: Serve) -> None:
    server = serve(SCRIPT, "--dev", environ={"AZMLINFSRV_AUTH_KEYS": "k-4711"})

    assert server.get("/playground").status == 200
    assert server.get("/playground/samples").status == 401
    assert save(server)[0] == 401
    assert server.score().status == 401
    assert server.request("OPTIONS", "/playground").status in (401, 405)
    assert listing(server, {"api-key": "k-4711"})["script"] == "score.py"
    assert save(server, headers={**JSON, "api-key": "k-4711"})[0] == 201


# --- reading samples ----------------------------------------------------------------------

SECRET = "s3cret-4711"


def test_only_what_is_in_the_folder_is_read(serve: Serve, tmp_path: Path) -> None:
    samples = tmp_path / "samples"
    samples.mkdir()
    (tmp_path / "secret.json").write_text(json.dumps(SECRET), encoding="utf-8")
    (samples / "link.json").symlink_to(tmp_path / "secret.json")
    (samples / "hard-to-read.json").symlink_to("/proc/self/environ")
    os.mkfifo(samples / "pipe.json")
    (samples / "folder.json").mkdir()
    (samples / "large.json").write_bytes(b" " * (1024 * 1024 + 1))
    (samples / "up.request.json").write_text('{"body_file": "../secret.json"}')
    (samples / "root.request.json").write_text(json.dumps({"body_file": str(tmp_path / "s.json")}))
    (samples / "by-link.request.json").write_text('{"body_file": "link.json"}')
    (samples / "strange.request.json").write_text('{"bodies": 1}')
    (samples / "array.request.json").write_text('{"body_file": "x.npy"}')
    (samples / "good.json").write_text("{}", encoding="utf-8")
    server = serve(SCRIPT, "--dev")

    found = listing(server)

    assert [sample["name"] for sample in found["samples"]] == ["good"]
    reasons = {one["file"]: one["reason"] for one in found["unread"]}
    assert reasons.pop("strange.request.json").startswith("It does not have the form of a sample")
    assert reasons == {
        "pipe.json": "It is no regular file.",
        "folder.json": "It is no regular file.",
        "hard-to-read.json": "It is a link.",
        "large.json": "It is over 1 MiB.",
        "up.request.json": "It names a body outside the folder.",
        "root.request.json": "It names a body outside the folder.",
        "by-link.request.json": "It is a link.",
        "array.request.json": "Arrays in .npy files are not shown here.",
    }
    assert SECRET not in json.dumps(found)


def test_a_folder_that_is_a_link_is_not_followed(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "one.json").write_text("{}", encoding="utf-8")
    (tmp_path / "samples").symlink_to(tmp_path / "elsewhere")
    server = serve(SCRIPT, "--dev")

    assert listing(server)["samples"] == []
    assert save(server, {"name": "two", "request": {}})[0] == 500
    assert not (tmp_path / "elsewhere" / "two.json").exists()


@pytest.mark.parametrize(
    "path", ["/playground/samples/", "/playground/samples/good.json", "/playground/../score.py"]
)
def test_no_file_has_an_address(server: Server, path: str) -> None:
    assert server.get(path).status == 404


# --- writing samples ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("plain", "plain.json"),
        ("../../etc/passwd", "etc-passwd.json"),
        ("..\\..\\boot", "boot.json"),
        ("C:\\temp\\x", "C-temp-x.json"),
        ("a.request", "a-request.json"),
        (".hidden", "hidden.json"),
        ("a\0b\nc", "a-b-c.json"),
        ("größe", "gr-e.json"),
        ("CON", "CON-.json"),
        ("x" * 500, f"{'x' * 64}.json"),
    ],
)
def test_a_name_becomes_one_file_in_the_folder(
    server: Server, folder: Path, name: str, file: str
) -> None:
    before = set(folder.rglob("*"))

    status, answer = save(server, {"name": name, "request": {"body": "{}"}})

    assert (status, answer) == (201, {"file": f"samples/{file}"})
    assert set(folder.rglob("*")) - before == {folder / "samples" / file}
    (folder / "samples" / file).unlink()


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ({"name": "..", "request": {}}, 400),
        ({"name": "", "request": {}}, 400),
        ({"name": "漢字", "request": {}}, 400),
        ({"request": {}}, 400),
        ({"name": "x"}, 400),
        ({"name": "x", "request": {"body": 1}}, 400),
        ({"name": "x", "request": {"body_base64": "?"}}, 400),
        ({"name": "x", "request": {"headers": []}}, 400),
        (["x"], 400),
        ({"name": "marathon", "request": {}}, 409),
        ({"name": "table", "request": {}, "overwrite": True}, 409),
    ],
)
def test_what_is_no_sample_is_refused(
    server: Server, folder: Path, document: Any, status: int
) -> None:
    (folder / "samples" / "table.csv").write_text("a,b\n", encoding="utf-8")
    before = {path: path.read_bytes() for path in (folder / "samples").iterdir()}

    answer = save(server, document)

    assert answer[0] == status
    assert answer[1]["message"]
    assert {path: path.read_bytes() for path in (folder / "samples").iterdir()} == before
    (folder / "samples" / "table.csv").unlink()


FOREIGN: list[dict[str, str]] = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://localhost:1"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    # Another site's name, made to point here (DNS rebinding): the origin is then the host.
    {"Origin": "http://evil.example:5001", "Host": "evil.example:5001"},
    {"Host": "evil.example"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_page_of_another_site_neither_reads_nor_writes(
    server: Server, folder: Path, headers: dict[str, str]
) -> None:
    status, answer = save(server, headers={**JSON, **headers})

    assert status == 403
    assert "samples" in answer["message"].lower()
    assert server.get("/playground/samples", headers).status == 403
    assert not (folder / "samples" / "one.json").exists()


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""]
)
def test_what_a_form_could_send_is_not_taken(server: Server, kind: str) -> None:
    assert save(server, headers={"Content-Type": kind})[0] == 415


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Sec-Fetch-Site": "same-origin"},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://proxy.example"},
        {"Host": "192.0.2.7:5001", "Origin": "http://192.0.2.7:5001"},
        {"Host": "[::1]:5001", "Origin": "http://[::1]:5001"},
        {"Host": "workstation:5001", "Origin": "http://workstation:5001"},
    ],
)
def test_the_page_itself_may_save(server: Server, folder: Path, headers: dict[str, str]) -> None:
    assert save(server, headers={**JSON, **headers})[0] == 201

    (folder / "samples" / "one.json").unlink()


def test_samples_are_saved_in_development_mode_only(serve: Serve, tmp_path: Path) -> None:
    server = serve(SCRIPT, "--playground")

    status, answer = save(server)

    assert status == 403
    assert "--dev" in answer["message"]
    assert not (tmp_path / "samples").exists()


def test_a_sample_too_large_is_refused(server: Server) -> None:
    document = {"name": "large", "request": {"body": "x" * (4 * 1024 * 1024)}}

    assert save(server, document)[0] == 413
