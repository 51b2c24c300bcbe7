from __future__ import annotations

import json
from typing import Any

import pytest

from azmlinfsrv.samples import SampleRequest
from azmlinfsrv.tools.edges import HUGE_BYTES, Edge, edges_of


def edges(body: bytes | None, content_type: str = "application/json") -> dict[str, Edge]:
    request = SampleRequest(headers={"content-type": content_type}, body=body)
    return {edge.what: edge for edge in edges_of(request)}


def test_rows_are_made_to_miss_what_a_model_needs() -> None:
    found = edges(b'{"data": [[1.5, 2], [3, 4]], "name": "a"}')

    bodies = {what: edge.request.body for what, edge in found.items()}
    assert json.loads(bodies["without 'data'"] or b"") == {"name": "a"}
    short = json.loads(bodies["a row that is too short in 'data'"] or b"")
    assert short["data"] == [[1.5], [3, 4]]
    assert b"NaN" in (bodies["NaN in a row in 'data'"] or b"")
    assert json.loads(bodies["a number as 'name'"] or b"")["name"] == 12345
    assert bodies["an empty body"] == b""


@pytest.mark.parametrize(
    "value",
    [{"a": 1}, [1, 2], [[1.0]], [{"a": "x"}], "text", 1, None, {}, [], {"a": {"b": True}}],
)
def test_every_edge_is_another_request_than_the_good_one(value: Any) -> None:
    good = SampleRequest(
        headers={"Content-Type": "application/json"}, body=json.dumps(value).encode()
    )

    found = list(edges_of(good))

    assert len(found) >= 8
    assert all(edge.request != good for edge in found)
    assert len({edge.what for edge in found}) == len(found)
    assert all(len(edge.request.body or b"") <= HUGE_BYTES * 2 for edge in found)


def test_what_is_no_json_is_cut_and_blown_up() -> None:
    found = edges(b"name,age\nAda,36\n", "text/csv")

    assert found["a body that is cut off"].request.body == b"name,age"
    assert len(found["a text of very many characters"].request.body or b"") == HUGE_BYTES
    assert "Content-Type" not in found["no content type"].request.headers
    assert "content-type" not in found["no content type"].request.headers


def test_without_a_body_there_is_nothing_to_vary() -> None:
    assert edges(None) == {}


def test_only_what_is_long_may_be_slow() -> None:
    found = edges(b'{"data": [1, 2]}')

    assert [what for what, edge in found.items() if edge.is_huge] == ["many items in 'data'"]
