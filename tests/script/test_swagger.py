from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pandas
import pytest
from inference_schema.parameter_types.abstract_parameter_type import AbstractParameterType
from inference_schema.schema_decorators import input_schema
from openapi_spec_validator import (
    OpenAPIV2SpecValidator,
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
)

from azmlinfsrv.errors import NotFound, ScriptError
from azmlinfsrv.script.schema import read_schema
from azmlinfsrv.script.swagger import Documents, build_documents, pick_version
from tests.script.schema_scripts import NAMES, load_script, observed

VALIDATORS = {
    "2": OpenAPIV2SpecValidator,
    "3": OpenAPIV30SpecValidator,
    "3.1": OpenAPIV31SpecValidator,
}


def documents(
    run: Callable[..., Any] | None = None,
    *,
    app_root: Path = Path(__file__).parent,
    service_name: str = "ML service",
    service_version: str = "1.0",
    service_path_prefix: str = "",
) -> Documents:
    return build_documents(
        None if run is None else read_schema(run),
        service_name=service_name,
        service_version=service_version,
        service_path_prefix=service_path_prefix,
        app_root=app_root,
    )


def parsed(found: Documents, version: str | None = None) -> Any:
    return json.loads(found.answer(version))


def without_prose(document: Any) -> Any:
    """*document* with its descriptions emptied, except the one that is contract (R5.5)."""
    if isinstance(document, list):
        return [without_prose(item) for item in document]
    if not isinstance(document, dict):
        return document
    return {
        key: ""
        if key == "description" and not value.startswith("API specification for ")
        else value
        if key in ("ServiceInput", "ServiceOutput")
        else without_prose(value)
        for key, value in document.items()
    }


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
@pytest.mark.parametrize("name", NAMES)
def test_documents_are_those_of_the_reference_server(name: str, version: str) -> None:
    if name == "pandas_table" and pandas.__version__ < "3":
        pytest.skip("the example is what pandas 3 writes for this orient")
    seen = observed(name)["2" if version == "2" else "3"]
    expected = seen["document"]
    if version == "3.1":
        expected = {**expected, "openapi": "3.1.0"}
    if name == "keyword_only":  # the reference server forgets `c`; R5.6 says every parameter
        schemas = expected.get("definitions") or expected["components"]["schemas"]
        schemas["ServiceInput"]["properties"] = {
            "a": {},
            "b": {"type": "integer", "format": "int64"},
            "c": {},
        }
        schemas["ServiceInput"]["example"] = {"a": "", "b": 1, "c": ""}
    found = documents(load_script(name).run)

    if seen["status"] == 404:
        with pytest.raises(NotFound) as caught:
            found.answer(version)
        assert caught.value.message == expected["message"]
        return
    document = found.answer(version)

    # As text: the order of keys and the separators count as well (R5.8).
    assert json.dumps(without_prose(json.loads(document))) == json.dumps(expected)
    assert document == json.dumps(json.loads(document)).encode()


# What inference-schema says of these samples is contract (R5.8), and not quite the
# specification: `required` holds the key of the sample, which is a number, or nothing. The
# validator has one of two engines below it, each with words of its own.
KNOWN_VIOLATIONS = {
    "int_keys": {"1 is not of type 'string'", '1 is not of type "string"', '"required":[1]'},
    "empty_dict": {
        "[] is too short",
        "[] should be non-empty",
        "[] has less than 1 item",
        '"required":[],',
    },
}


def reasons(error: Any) -> Iterator[str]:
    """The messages of a validation error and of all it follows from."""
    yield error.message
    for cause in error.context:
        yield from reasons(cause)


@pytest.mark.parametrize("name", NAMES)
def test_documents_follow_the_specification(name: str) -> None:
    found = documents(load_script(name).run)

    errors = [
        (version, error)
        for version in found.versions
        for error in VALIDATORS[version](parsed(found, version)).iter_errors()
    ]

    known = KNOWN_VIOLATIONS.get(name, set())
    assert {"3", "3.1"} <= set(found.versions)
    assert [
        (version, error)
        for version, error in errors
        if not any(words in reason for words in known for reason in reasons(error))
    ] == []


def test_the_default_is_the_lowest_version_the_script_supports() -> None:
    assert parsed(documents())["swagger"] == "2.0"
    assert parsed(documents(load_script("mixed_list").run))["openapi"] == "3.0.3"


@pytest.mark.parametrize(("alias", "version"), [("2.0", "2"), ("3.0", "3")])
def test_a_version_has_an_alias(alias: str, version: str) -> None:
    found = documents()

    assert found.answer(alias) == found.answer(version)


@pytest.mark.parametrize(
    ("script", "version", "message"),
    [
        (None, "3.0a", "Swagger version [3.0a] is not valid. Supported versions: [2, 3, 3.1]."),
        (None, "", "Swagger version [] is not valid. Supported versions: [2, 3, 3.1]."),
        (
            "mixed_list",
            "2.0",
            "Swagger version [2.0] is not supported for the scoring script. "
            "Supported swagger versions: [3, 3.1].",
        ),
    ],
)
def test_an_impossible_version_is_not_found(script: str | None, version: str, message: str) -> None:
    found = documents(load_script(script).run if script else None)

    with pytest.raises(NotFound) as caught:
        found.answer(version)

    assert caught.value.message == message


def test_no_documents_at_all_are_not_found() -> None:
    with pytest.raises(NotFound, match=r"version \[2\] is not supported .* versions: \[\]\."):
        Documents().answer(None)


def test_documents_cross_the_wall() -> None:
    found = documents()

    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Documents) == found


ODD = 'a "quoted" \\ {name} $x é\n</script>'


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_any_character_is_fine_in_the_names(version: str) -> None:
    found = documents(service_name=ODD, service_version=ODD, service_path_prefix=ODD)
    document = parsed(found, version)

    assert document["info"] == {
        "title": ODD,
        "description": f"API specification for the Azure Machine Learning service {ODD}",
        "version": ODD,
    }
    assert list(document["paths"]) == [f"/{ODD}/", f"/{ODD}/score", f"/{ODD}/swagger.json"]


@pytest.mark.parametrize(
    ("prefix", "score"),
    [
        ("", "/score"),
        ("pfx", "/pfx/score"),
        ("/pfx/", "/pfx/score"),
        ("/a b/c//", "/a b/c/score"),
        ("/", "//score"),  # as the reference server has it (R5.5)
    ],
)
def test_the_prefix_is_put_before_every_path(prefix: str, score: str) -> None:
    document = parsed(documents(service_path_prefix=prefix))

    assert list(document["paths"]) == [score[: -len("score")], score, score[:-5] + "swagger.json"]


def test_the_users_document_replaces_the_generated_one(tmp_path: Path) -> None:
    (tmp_path / "swagger.json").write_text('{"mine": [1, 2.50, "é", NaN] }', encoding="utf-8")
    (tmp_path / "swagger2.json").write_text('"not looked at"')
    found = documents(load_script("mixed_list").run, app_root=tmp_path)

    assert found.answer(None) == b'{"mine": [1, 2.5, "\\u00e9", NaN]}'
    assert found.versions == ("2", "3", "3.1")
    assert parsed(found, "3")["openapi"] == "3.0.3"


@pytest.mark.parametrize("version", ["2", "3", "3.1"])
def test_every_version_has_its_file(version: str, tmp_path: Path) -> None:
    (tmp_path / f"swagger{version}.json").write_bytes(b'\xef\xbb\xbf"mine"')

    found = documents(app_root=tmp_path)

    assert [v for v in found.versions if parsed(found, v) == "mine"] == [version]


def test_an_empty_document_and_a_folder_count_as_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "azmlinfsrv.swagger")
    (tmp_path / "swagger.json").write_text("{}")
    (tmp_path / "swagger2.json").write_text('{"x": 1}')
    (tmp_path / "swagger3.json").write_text("null")
    (tmp_path / "swagger3.1.json").mkdir()

    found = documents(app_root=tmp_path)

    assert parsed(found) == {"x": 1}
    assert parsed(found, "3")["openapi"] == "3.0.3"
    assert parsed(found, "3.1")["openapi"] == "3.1.0"
    assert caplog.messages == [
        f"Loaded user's swagger file for version [2] from {tmp_path / 'swagger.json'}",
        f"Loaded user's swagger file for version [2] from {tmp_path / 'swagger2.json'}",
        f"Loaded user's swagger file for version [3] from {tmp_path / 'swagger3.json'}",
        "Swaggers are prepared for the following versions: [2, 3, 3.1].",
    ]


@pytest.mark.parametrize(
    ("content", "place"),
    [
        (b'{"a": 1,\n  "b" 2}', ":2:7: this is not JSON"),
        (b"", ":1:1: this is not JSON"),
        (b'{"a":\n"\xff"}', ":2:2: this is not UTF-8"),
        (b"[" * 200_000, " is JSON beyond what can be read"),
    ],
)
def test_a_malformed_file_stops_the_start_and_names_the_place(
    content: bytes, place: str, tmp_path: Path
) -> None:
    (tmp_path / "swagger3.json").write_bytes(content)

    with pytest.raises(ScriptError) as caught:
        documents(app_root=tmp_path)

    assert f"{tmp_path / 'swagger3.json'}{place}" in str(caught.value)


def test_skipped_versions_are_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "azmlinfsrv.swagger")

    documents(load_script("mixed_list").run)

    assert caplog.messages == [
        "Swaggers are prepared for versions [3, 3.1] and skipped for versions [2]."
    ]


def test_a_type_that_describes_itself_without_json_stops_the_start() -> None:
    class Odd(AbstractParameterType):  # type: ignore[misc]  # the library has no types
        def deserialize_input(self, input_data: Any) -> Any:
            return input_data

        def input_to_swagger(self) -> dict[str, Any]:
            return {"type": "object", "example": {1, 2}}

    @input_schema("data", Odd(None))
    def run(data: Any) -> Any:
        return data

    with pytest.raises(ScriptError, match=r"type set is not JSON serializable"):
        documents(run)


@pytest.mark.parametrize(
    ("query", "version"),
    [
        (b"", None),
        (b"a=1", None),
        (b"Version=3", None),
        (b"version=3", "3"),
        (b"a=1&version=3.1&version=2", "3.1"),
        (b"version=", ""),
        (b"version", ""),
        (b"ver%73ion=%33+1", "3 1"),
        (b"version=%C3%A9%ff", "é%FF"),
        (b"version=2;version=3", "2;version=3"),
    ],
)
def test_the_first_version_of_a_query_counts(query: bytes, version: str | None) -> None:
    assert pick_version(query) == version
