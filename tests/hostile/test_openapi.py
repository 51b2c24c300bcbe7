"""Requests made from the served OpenAPI documents, good and bad ones: no 5xx, answers conform.

The requests are schemathesis's, the same at every run (the profile of `tests.conftest`).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, seed, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.harness import Server, serving

SCRIPT = """
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.parameter_types.standard_py_parameter_type import (
    StandardPythonParameterType as Standard,
)
from inference_schema.schema_decorators import input_schema, output_schema

FRAME = pd.DataFrame({"n": [1], "x": [1.5], "name": ["a"]})
NESTED = Standard({"points": NumpyParameterType(np.array([[1, 2]])), "note": Standard("a")})

def init():
    pass

@input_schema("points", NumpyParameterType(np.array([[1.5, 2.5]])))
@input_schema("rows", PandasParameterType(FRAME))
@input_schema("nested", NESTED)
@input_schema("count", Standard(1))
@output_schema(Standard([1.5]))
def run(points, rows, nested, count=1):
    return [float(count), float(len(points)), float(len(rows))]
"""

CHECKS = [not_a_server_error, status_code_conformance, response_schema_conformance]
# The other two answers have types that the document does not name; it is contract (R5.9).
CHECKS_OF_SCORE = [*CHECKS, content_type_conformance]
EXAMPLES = 30
# Of what is drawn as wrong, much is odd only where nobody looks. What comes out changes with
# every constant of our sources, so it is drawn again if the server had nothing to refuse.
ROUNDS = 5


@pytest.fixture(scope="module", params=["gunicorn", "waitress"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    root: Path = tmp_path_factory.mktemp("openapi")
    (root / "score.py").write_text(SCRIPT, encoding="utf-8")
    with serving(root / "score.py", "--server", request.param, root=root) as running:
        pids = {process.pid for process in running.tree()}
        yield running
        assert {process.pid for process in running.tree()} == pids, running.log()


OPERATIONS = [
    ("/", "GET", GenerationMode.POSITIVE),  # it takes nothing that could be wrong
    ("/swagger.json", "GET", GenerationMode.POSITIVE),
    ("/swagger.json", "GET", GenerationMode.NEGATIVE),
    ("/score", "POST", GenerationMode.POSITIVE),
    ("/score", "POST", GenerationMode.NEGATIVE),
]


@pytest.mark.parametrize("version", ["3", "3.1"])
@pytest.mark.parametrize(
    ("path", "method", "mode"),
    OPERATIONS,
    ids=[f"{method} {path} {mode.value}" for path, method, mode in OPERATIONS],
)
def test_generated_requests_get_the_answers_that_the_document_describes(
    server: Server, version: str, path: str, method: str, mode: GenerationMode
) -> None:
    address = f"http://127.0.0.1:{server.port}"
    document = schemathesis.openapi.from_url(f"{address}/swagger.json?version={version}")
    statuses: set[int] = set()

    @settings(max_examples=EXAMPLES, suppress_health_check=list(HealthCheck))
    @given(document[path][method].as_strategy(generation_mode=mode))
    def try_one(case: Any) -> None:
        response = case.call(base_url=address)
        statuses.add(response.status_code)
        case.validate_response(response, CHECKS_OF_SCORE if path == "/score" else CHECKS)

    for number in range(ROUNDS):
        seed(number)(try_one)()
        if mode is GenerationMode.POSITIVE or max(statuses) >= 400:
            break

    assert max(statuses) < 500
    if mode is GenerationMode.NEGATIVE:
        assert max(statuses) >= 400, "nothing of it was wrong"
    else:
        assert 200 in statuses, "nothing of it was right"
