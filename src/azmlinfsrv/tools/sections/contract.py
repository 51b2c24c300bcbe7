"""Contract: what comes back is what clients can read and the script has declared."""

from __future__ import annotations

import json
from typing import Any

from azmlinfsrv.samples import Sample, SampleRequest
from azmlinfsrv.tools.client import Answer, NoAnswer
from azmlinfsrv.tools.findings import Place, SectionResult
from azmlinfsrv.tools.sections.answers import is_encoding_failure
from azmlinfsrv.tools.sections.scene import Scene

# What the document says of a script that declares nothing.
_UNDECLARED = {"type": "object", "example": {}}


def check_contract(scene: Scene, result: SectionResult) -> None:
    """The answers to the samples, looked at as a client would."""
    schema = _output_schema(scene)
    if schema is not None:
        try:
            import jsonschema  # noqa: F401
        except ImportError:
            schema = None
            result.notes.append("the output schema was not compared: jsonschema is not installed")
    for sample in scene.samples:
        answer = scene.answers.get(sample.name)
        if answer is None:
            continue
        result.checks += 1
        if is_encoding_failure(answer):
            message = _message(answer)
            place = scene.place()
            result.find("contract-not-encodable", message, place, sample.name)
        elif answer.status < 300:
            _check_json(scene, sample, answer, schema, result)


def schema_example(scene: Scene) -> SampleRequest | None:
    """The sample input that the script declares, as a request; None if it declares none."""
    document = _document(scene)
    declared = document.get("components", {}).get("schemas", {}).get("ServiceInput", {})
    if not declared or declared == _UNDECLARED or "example" not in declared:
        return None
    headers = {"Content-Type": "application/json"}
    return SampleRequest(headers=headers, body=json.dumps(declared["example"]).encode())


def _check_json(
    scene: Scene,
    sample: Sample,
    answer: Answer,
    schema: dict[str, Any] | None,
    result: SectionResult,
) -> None:
    if "json" not in answer.headers.get("content-type", "") or not answer.body:
        return
    place = scene.place()
    special: list[str] = []
    try:
        value = json.loads(answer.body, parse_constant=special.append)
    except ValueError as error:
        text = f"The answer to {sample.name} is declared as JSON and is not: {error}."
        result.find("contract-not-json", text, place, sample.name)
        return
    if special:
        found = json.loads(answer.body)
        where = ", ".join(_places_of_nan(found)[:5])
        text = f"The answer to {sample.name} holds {special[0]}: {where}."
        result.find("contract-nan", text, place, sample.name)
        return
    if schema is not None and sample.request.path.partition("?")[0] == "/score":
        _check_schema(value, schema, sample, place, result)


def _check_schema(
    value: Any, schema: dict[str, Any], sample: Sample, place: Place, result: SectionResult
) -> None:
    from jsonschema import Draft202012Validator

    errors = sorted(Draft202012Validator(schema).iter_errors(value), key=lambda it: str(it.path))
    if errors:
        details = [f"body{it.json_path.removeprefix('$')}: {it.message}" for it in errors[:10]]
        text = f"The answer to {sample.name} does not match the declared output."
        result.find("contract-schema", text, place, sample.name, details)


def _output_schema(scene: Scene) -> dict[str, Any] | None:
    document = _document(scene)
    schemas = document.get("components", {}).get("schemas", {})
    declared = schemas.get("ServiceOutput")
    if not isinstance(declared, dict) or declared == _UNDECLARED:
        return None
    return {**declared, "components": {"schemas": schemas}}


def _document(scene: Scene) -> dict[str, Any]:
    for version in ("3", "3.1"):  # what @typed says has the second form only
        try:
            answer = scene.client().send(SampleRequest("GET", f"/swagger.json?version={version}"))
            document = json.loads(answer.body)
        except (NoAnswer, ValueError):
            return {}
        if answer.status == 200 and isinstance(document, dict):
            return document
    return {}


def _message(answer: Answer) -> str:
    try:
        return str(json.loads(answer.body)["message"])
    except (ValueError, KeyError, TypeError):
        return "What run() returned cannot be sent."


def _places_of_nan(value: Any, path: str = "body") -> list[str]:
    if isinstance(value, dict):
        return [at for key, it in value.items() for at in _places_of_nan(it, f"{path}.{key}")]
    if isinstance(value, list):
        return [at for i, it in enumerate(value) for at in _places_of_nan(it, f"{path}[{i}]")]
    is_finite = not isinstance(value, float) or (value == value and abs(value) != float("inf"))
    return [] if is_finite else [path]
