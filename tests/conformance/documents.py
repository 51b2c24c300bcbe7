"""The Swagger documents that are served (R5.1, R5.9, contract appendix A).

Every ``description`` is prose and only has to be there; all the rest is exact.
"""

from __future__ import annotations

from typing import Any

PROSE = "…"
BEARER = {"type": "apiKey", "name": "Authorization", "in": "header", "description": PROSE}
ERROR = {"type": "object", "properties": {"message": {"type": "string"}}}
UNKNOWN = {"type": "object", "example": {}}
NOTHING = {"type": "object"}


def schemas(service_input: Any, service_output: Any) -> dict[str, Any]:
    """The three named schemas."""
    return {"ServiceInput": service_input, "ServiceOutput": service_output, "ErrorResponse": ERROR}


def swagger2(
    service_input: Any = UNKNOWN,
    service_output: Any = UNKNOWN,
    title: str = "ML service",
    version: str = "1.0",
    prefix: str = "",
) -> dict[str, Any]:
    """The document of version 2."""

    def responses(ok: dict[str, Any]) -> dict[str, Any]:
        failure = {"description": PROSE, "schema": {"$ref": "#/definitions/ErrorResponse"}}
        return {"200": {"description": PROSE, **ok}, "default": failure}

    return {
        "swagger": "2.0",
        "info": {"title": title, "description": PROSE, "version": version},
        "schemes": ["https"],
        "consumes": ["application/json"],
        "produces": ["application/json"],
        "securityDefinitions": {"Bearer": BEARER},
        "paths": {
            f"{prefix}/": {
                "get": {
                    "operationId": "ServiceHealthCheck",
                    "description": PROSE,
                    "responses": responses(
                        {
                            "schema": {"type": "string"},
                            "examples": {"application/json": "Healthy"},
                        }
                    ),
                }
            },
            f"{prefix}/score": {
                "post": {
                    "operationId": "RunMLService",
                    "description": PROSE,
                    "security": [{"Bearer": []}],
                    "parameters": [
                        {
                            "name": "serviceInputPayload",
                            "in": "body",
                            "description": PROSE,
                            "schema": {"$ref": "#/definitions/ServiceInput"},
                        }
                    ],
                    "responses": responses({"schema": {"$ref": "#/definitions/ServiceOutput"}}),
                }
            },
            f"{prefix}/swagger.json": {
                "get": {
                    "operationId": "GetSwaggerSpec",
                    "description": PROSE,
                    "parameters": [
                        {
                            "name": "version",
                            "in": "query",
                            "required": False,
                            "type": "integer",
                            "enum": [2, 3],
                        }
                    ],
                    "responses": responses({"schema": {"type": "string"}}),
                }
            },
        },
        "definitions": schemas(service_input, service_output),
    }


def openapi3(
    service_input: Any = UNKNOWN,
    service_output: Any = UNKNOWN,
    openapi: str = "3.0.3",
    title: str = "ML service",
    version: str = "1.0",
    prefix: str = "",
) -> dict[str, Any]:
    """The document of version 3; version 3.1 differs in *openapi* only."""

    def content(media_type: str, schema: Any) -> dict[str, Any]:
        return {"description": PROSE, "content": {media_type: {"schema": schema}}}

    def responses(media_type: str, schema: Any) -> dict[str, Any]:
        failure = content("application/json", {"$ref": "#/components/schemas/ErrorResponse"})
        return {"200": content(media_type, schema), "default": failure}

    return {
        "openapi": openapi,
        "info": {"title": title, "description": PROSE, "version": version},
        "security": [{"Bearer": []}],
        "paths": {
            f"{prefix}/": {
                "get": {
                    "operationId": "ServiceHealthCheck",
                    "description": PROSE,
                    "responses": responses("text/plain", {"type": "string", "example": "Healthy"}),
                }
            },
            f"{prefix}/score": {
                "post": {
                    "operationId": "RunMLService",
                    "description": PROSE,
                    "security": [{"Bearer": []}],
                    "requestBody": content(
                        "application/json", {"$ref": "#/components/schemas/ServiceInput"}
                    ),
                    "responses": responses(
                        "application/json", {"$ref": "#/components/schemas/ServiceOutput"}
                    ),
                }
            },
            f"{prefix}/swagger.json": {
                "get": {
                    "operationId": "GetSwaggerSpec",
                    "description": PROSE,
                    "parameters": [
                        {
                            "name": "version",
                            "in": "query",
                            "required": False,
                            "schema": {"type": "integer", "enum": [2, 3]},
                        }
                    ],
                    "responses": responses("text/plain", {"type": "string"}),
                }
            },
        },
        "components": {
            "schemas": schemas(service_input, service_output),
            "securitySchemes": {"Bearer": BEARER},
        },
    }
