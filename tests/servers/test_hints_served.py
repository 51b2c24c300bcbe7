"""Hints as whoever sent the request gets them: a broken script, a request, a report."""

from __future__ import annotations

import json

import pytest

from tests.harness import serving
from tests.script.conftest import BROKEN

# Script, body, location, words of the hint.
MISTAKES = [
    ("json_in_json.py", b'"{}"', "json_in_json.py:9 in run", "json.dumps applied twice"),
    ("json_loads_dict.py", b"{}", "json_loads_dict.py:9 in run", "given a dict"),
    ("not_parsed.py", b"{}", "not_parsed.py:6 in run", "`data = json.loads(data)`"),
    ("json_list.py", b"[1]", "json_list.py:9 in run", "asks it for 'data'"),
    ("invalid_json.py", b"{'a'", "invalid_json.py:8 in run", "double quotes"),
    ("missing_key.py", b"{}", "missing_key.py:9 in run", "parsed.get('data')"),
    ("unknown_key.py", b'{"unit": "x"}', "unknown_key.py:10 in run", "look at what unit is"),
    ("dumps_array.py", b"", "dumps_array.py:10 in run", ".tolist()"),
    ("global_forgotten.py", b"", "global_forgotten.py:6 in run", "`global model`"),
    ("feature_count.py", b"", "feature_count.py:9 in run", "3 values, but LinearRegression"),
    ("missing_column.py", b"", "missing_column.py:9 in run", "'age'"),
    ("object_array.py", b"", "object_array.py:9 in run", "dtype=float"),
    ("not_awaited.py", b"", " in run", "write `await fetch(...)`"),
    ("returns_object.py", b"", "returns_object.py:10", "into a dict"),
    ("too_slow.py", b"", "too_slow.py:8 in run", "--scoring_timeout_ms"),
]


@pytest.mark.parametrize(("script", "body", "location", "words"), MISTAKES)
def test_mistake_is_answered_with_its_line_and_the_next_step(
    script: str, body: bytes, location: str, words: str
) -> None:
    limit = {"SCORING_TIMEOUT_MS": "1000" if script == "too_slow.py" else "30000"}
    with serving(BROKEN / script, "--dev", root=BROKEN, environ=limit) as server:
        answer = server.score(body)

    report = json.loads(answer.body)
    assert answer.status == 500
    assert location in report["location"]
    assert words in report["hint"]
    assert any(line["is_failing"] for line in report["source"])


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b'{"rows": [1]}', "text/plain", 415, "-H 'Content-Type: application/json'"),
        (b"[1]", "application/json", 400, 'the JSON object {"rows": ...}'),
    ],
)
def test_request_that_does_not_fit_is_answered_with_the_next_step(
    body: bytes, kind: str, status: int, words: str
) -> None:
    with serving(BROKEN / "declared.py", "--dev", root=BROKEN) as server:
        answer = server.score(body, {"Content-Type": kind})

    assert answer.status == status
    assert words in json.loads(answer.body)["hint"]


def test_answer_encoded_twice_is_noted_once_in_development_mode() -> None:
    with serving(BROKEN / "dumps_twice.py", "--dev", root=BROKEN) as server:
        assert [json.loads(json.loads(server.score().body)) for _ in range(2)] == [{"a": 1}] * 2
        log = server.wait_for_log("Return the object itself.")
        server.terminate()

        assert server.log().count("Return the object itself.") == 1
        assert "Hint: run() returned a text that is JSON already" in log
