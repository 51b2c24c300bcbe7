"""The Swagger documents of a script: what ``GET /swagger.json`` answers (contract 5).

Built once per worker after init(), which may write the user's own files, and sent to the
front end as they are. Structure, names and key order are those of the reference server
(1.5.1); the prose is ours. What the decorators of run() say is read elsewhere
(`azmlinfsrv.script.schema`); routing is left to the application.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from msgspec import Struct

from azmlinfsrv.errors import NotFound, ScriptError
from azmlinfsrv.script.schema import Schema

if TYPE_CHECKING:
    from azmlinfsrv.script.typed import Typed

VERSIONS = ("2", "3", "3.1")
_ALIASES = {"2.0": "2", "3.0": "3"}

# The user's own documents, looked for in the application root; the first good one counts.
_USER_FILES = {
    "2": ("swagger.json", "swagger2.json"),
    "3": ("swagger3.json",),
    "3.1": ("swagger3.1.json",),
}

_OPENAPI = {"3": "3.0.3", "3.1": "3.1.0"}
_ANYTHING: dict[str, Any] = {"type": "object", "example": {}}  # an undecorated run()
_ERROR_SCHEMA = {"type": "object", "properties": {"message": {"type": "string"}}}
_BEARER = {
    "type": "apiKey",
    "name": "Authorization",
    "in": "header",
    "description": "`Bearer`, a blank, and the key of the endpoint.",
}
_KEY_NEEDED: list[dict[str, list[str]]] = [{"Bearer": []}]

_HEALTH = "Tells whether the service is up."
_HEALTH_OK = "The service is up. The body is the word `Healthy`."
_SCORE = "Hands the payload to the scoring script and returns its answer."
_PAYLOAD = "The input of the scoring script."
_SCORE_OK = "The answer of the scoring script."
_DOCUMENT = "Returns this description of the service."
_DOCUMENT_OK = "The description, in the version asked for."
_ERROR = "There is no answer; `message` says why."

_log = logging.getLogger("azmlinfsrv.swagger")


class Documents(Struct, frozen=True):
    """The documents by version, JSON as it goes on the wire; a missing one is impossible."""

    by_version: dict[str, bytes] = {}

    @property
    def versions(self) -> tuple[str, ...]:
        """The versions this script supports, lowest first."""
        return tuple(version for version in VERSIONS if version in self.by_version)

    def answer(self, version: str | None) -> bytes:
        """The document for ``?version=``; None, for a request without, is the lowest one.

        Raises:
            NotFound: No such version, or not for this script (R5.2).
        """
        if version is None:
            version = next(iter(self.versions), VERSIONS[0])
        known = _ALIASES.get(version, version)
        if known not in VERSIONS:
            raise NotFound(
                f"Swagger version [{version}] is not valid. "
                f"Supported versions: [{', '.join(VERSIONS)}]."
            )
        if known not in self.by_version:
            raise NotFound(
                f"Swagger version [{version}] is not supported for the scoring script. "
                f"Supported swagger versions: [{', '.join(self.versions)}]."
            )
        return self.by_version[known]


def pick_version(query: bytes) -> str | None:
    """The first ``version`` of a raw query string; None if it has none.

    Percent-escapes that are not UTF-8 stay escapes, as in the reference server (1.5.1).
    """
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True, errors="surrogateescape")
    value = next((value for name, value in pairs if name == "version"), None)
    if value is None:
        return None
    return re.sub("[\udc80-\udcff]", lambda found: f"%{ord(found[0]) - 0xDC00:02X}", value)


def build_documents(
    schema: Schema | Typed | None,
    *,
    service_name: str,
    service_version: str,
    service_path_prefix: str,
    app_root: str | Path,
) -> Documents:
    """All documents of a script, the user's own files in *app_root* before generated ones.

    Args:
        schema: What `read_schema` or `read_typed` found; None for a text or raw run().
        service_name: Title; any character is fine, as in the next two (D16).
        service_version: Version of the user's service.
        service_path_prefix: Put before every path; routing does not know it (R4.2).
        app_root: Folder of the user's own documents.
    Raises:
        ScriptError: A user's file cannot be read as JSON, or the declared types describe
            themselves in something that has no JSON form.
    """
    supported = VERSIONS if schema is None else schema.versions
    by_version = {}
    for version in VERSIONS:
        document = _user_document(version, Path(app_root))
        if not document and version in supported:
            document = _generated(
                version,
                {
                    "title": service_name,
                    "description": "API specification for the Azure Machine Learning service "
                    f"{service_name}",
                    "version": service_version,
                },
                f"/{service_path_prefix.strip('/')}" if service_path_prefix else "",
                _ANYTHING if schema is None else schema.input_fragment,
                _ANYTHING if schema is None else schema.output_fragment,
                {} if schema is None else schema.components,
            )
        if document:
            by_version[version] = _encode(document)
    documents = Documents(by_version)
    _log_versions(documents.versions)
    return documents


def _log_versions(prepared: tuple[str, ...]) -> None:
    """The lines of R5.3, word for word."""
    skipped = ", ".join(version for version in VERSIONS if version not in prepared)
    listed = ", ".join(prepared)
    if not prepared:
        _log.info("No swagger is prepared.")
    elif skipped:
        _log.info(
            "Swaggers are prepared for versions [%s] and skipped for versions [%s].",
            listed,
            skipped,
        )
    else:
        _log.info("Swaggers are prepared for the following versions: [%s].", listed)


def _user_document(version: str, app_root: Path) -> Any:
    """What the user's file for *version* holds; a falsy value counts as no file (R5.4)."""
    for name in _USER_FILES[version]:
        path = app_root / name
        if not path.is_file():
            continue
        document = _read(path)
        _log.info("Loaded user's swagger file for version [%s] from %s", version, path)
        if document:
            return document
    return None


def _read(path: Path) -> Any:
    advice = "Mend the file, or remove it to have the document generated."
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{path} cannot be read: {error.strerror}. {advice}") from error
    try:
        return json.loads(content.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        column = error.start - content.rfind(b"\n", 0, error.start)
        raise ScriptError(f"{path}:{line}:{column}: this is not UTF-8. {advice}") from error
    except json.JSONDecodeError as error:
        raise ScriptError(
            f"{path}:{error.lineno}:{error.colno}: this is not JSON: {error.msg}. {advice}"
        ) from error
    except (RecursionError, ValueError) as error:  # too deep; a number of too many digits
        raise ScriptError(f"{path} is JSON beyond what can be read: {error}. {advice}") from error


def _encode(document: Any) -> bytes:
    try:
        return json.dumps(document).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ScriptError(
            f"The types declared for run() describe themselves in something without a JSON "
            f"form: {error}. See their input_to_swagger()."
        ) from error


def _generated(
    version: str,
    info: dict[str, str],
    prefix: str,
    service_input: dict[str, Any],
    service_output: dict[str, Any],
    components: Mapping[str, Any],
) -> dict[str, Any]:
    schemas = {
        "ServiceInput": service_input,
        "ServiceOutput": service_output,
        "ErrorResponse": _ERROR_SCHEMA,
        **components,
    }
    if version == "2":
        return {
            "swagger": "2.0",
            "info": info,
            "schemes": ["https"],
            "consumes": ["application/json"],
            "produces": ["application/json"],
            "securityDefinitions": {"Bearer": _BEARER},
            "paths": _paths_2(prefix),
            "definitions": schemas,
        }
    return {
        "openapi": _OPENAPI[version],
        "info": info,
        "security": _KEY_NEEDED,
        "paths": _paths_3(prefix),
        "components": {"schemas": schemas, "securitySchemes": {"Bearer": _BEARER}},
    }


def _paths_2(prefix: str) -> dict[str, Any]:
    def refer(name: str) -> dict[str, str]:
        return {"$ref": f"#/definitions/{name}"}

    failed = {"description": _ERROR, "schema": refer("ErrorResponse")}
    version = {
        "name": "version",
        "in": "query",
        "required": False,
        "type": "integer",
        "enum": [2, 3],  # 3.1 is no integer; the reference server leaves it out as well (R5.9)
    }
    healthy = {
        "description": _HEALTH_OK,
        "schema": {"type": "string"},
        "examples": {"application/json": "Healthy"},
    }
    payload = {
        "name": "serviceInputPayload",
        "in": "body",
        "description": _PAYLOAD,
        "schema": refer("ServiceInput"),
    }
    scored = {"description": _SCORE_OK, "schema": refer("ServiceOutput")}
    described = {"description": _DOCUMENT_OK, "schema": {"type": "string"}}
    return {
        f"{prefix}/": {
            "get": {
                "operationId": "ServiceHealthCheck",
                "description": _HEALTH,
                "responses": {"200": healthy, "default": failed},
            }
        },
        f"{prefix}/score": {
            "post": {
                "operationId": "RunMLService",
                "description": _SCORE,
                "security": _KEY_NEEDED,
                "parameters": [payload],
                "responses": {"200": scored, "default": failed},
            }
        },
        f"{prefix}/swagger.json": {
            "get": {
                "operationId": "GetSwaggerSpec",
                "description": _DOCUMENT,
                "parameters": [version],
                "responses": {"200": described, "default": failed},
            }
        },
    }


def _paths_3(prefix: str) -> dict[str, Any]:
    def content(kind: str, schema: dict[str, Any]) -> dict[str, Any]:
        return {"content": {kind: {"schema": schema}}}

    def refer(name: str) -> dict[str, Any]:
        return content("application/json", {"$ref": f"#/components/schemas/{name}"})

    failed = {"description": _ERROR, **refer("ErrorResponse")}
    healthy = content("text/plain", {"type": "string", "example": "Healthy"})
    version = {
        "name": "version",
        "in": "query",
        "required": False,
        "schema": {"type": "integer", "enum": [2, 3]},
    }
    described = content("text/plain", {"type": "string"})
    return {
        f"{prefix}/": {
            "get": {
                "operationId": "ServiceHealthCheck",
                "description": _HEALTH,
                "responses": {"200": {"description": _HEALTH_OK, **healthy}, "default": failed},
            }
        },
        f"{prefix}/score": {
            "post": {
                "operationId": "RunMLService",
                "description": _SCORE,
                "security": _KEY_NEEDED,
                "requestBody": {"description": _PAYLOAD, **refer("ServiceInput")},
                "responses": {
                    "200": {"description": _SCORE_OK, **refer("ServiceOutput")},
                    "default": failed,
                },
            }
        },
        f"{prefix}/swagger.json": {
            "get": {
                "operationId": "GetSwaggerSpec",
                "description": _DOCUMENT,
                "parameters": [version],
                "responses": {
                    "200": {"description": _DOCUMENT_OK, **described},
                    "default": failed,
                },
            }
        },
    }
