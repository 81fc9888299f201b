"""The description of the routes that programs read: OpenAPI 3.1, https://spec.openapis.org/oas/v3.1.0."""

from __future__ import annotations

from typing import Any

from mnistkit.serving.limits import ServerLimits

__all__ = ["openapi_document"]

_JSON = "application/json"
_ROWS = {
    "type": "array",
    "minItems": 1,
    "items": {"type": "array", "items": {"type": ["number", "array"]}},
    "description": "One row of numbers per image, or one list of lines per image.",
}
_LABELS = {"type": "array", "items": {"type": ["integer", "string"]}}
_PROBABILITIES = {"type": ["array", "null"], "items": {"type": "number", "minimum": 0, "maximum": 1}}
_ERROR = {
    "type": "object",
    "required": ["error", "status"],
    "properties": {"error": {"type": "string"}, "status": {"type": "integer"}},
}
_HEADERS = {
    name: {"schema": {"type": "string"}, "description": f"The {what} that answered."}
    for name, what in (
        ("X-Model-Name", "model"),
        ("X-Model-Version", "version"),
        ("X-Model-Digest", "sha256 of the manifest of the version"),
    )
}


def openapi_document(limits: ServerLimits) -> dict[str, Any]:
    """Return the description, with the limits of this server."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "mnistkit",
            "version": "1",
            "description": f"A classifier of images. At most {limits.max_rows} rows and {limits.max_body_bytes} bytes "
            "a request.",
        },
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {"Error": _ERROR},
        },
        "paths": {
            "/score": {"post": _score()},
            "/invocations": {"post": _invocations()},
            "/predict": {"post": _predict()},
            "/version": {"get": _get("The model that answers now, and the libraries.", secured=True)},
            "/metrics": {"get": _get("Counts and latencies for Prometheus.", kind="text/plain", secured=True)},
            "/health": {"get": _get("The process lives.")},
            "/ready": {"get": _get("The recorded probe was answered as recorded; 503 until then.")},
            "/openapi.json": {"get": _get("This document.")},
            "/": {"get": _get("A page to draw a digit on.", kind="text/html")},
        },
    }


def _score() -> dict[str, Any]:
    scale = {"type": "number", "exclusiveMinimum": 0, "description": "Divide each number by this, such as 255."}
    body = {"type": "object", "required": ["data"], "properties": {"data": _ROWS, "scale": scale}}
    with_probabilities = {
        "type": "object",
        "properties": {
            "labels": _LABELS,
            "classes": _LABELS,
            "probabilities": {"type": ["array", "null"], "items": _PROBABILITIES},
        },
    }
    operation = _post("Predict rows, 0 to 1 each.", {_JSON: {"schema": body}}, {"oneOf": [_LABELS, with_probabilities]})
    return operation | {"parameters": [_flag("proba", "Return probabilities, too.")]}


def _invocations() -> dict[str, Any]:
    table = {
        "type": "object",
        "required": ["data"],
        "properties": {"columns": {"type": "array"}, "index": {"type": "array"}, "data": _ROWS},
    }
    choices = [
        {"type": "object", "required": [key], "properties": {key: schema}}
        for key, schema in (("inputs", _ROWS), ("instances", _ROWS), ("dataframe_split", table))
    ]
    answer = {"type": "object", "required": ["predictions"], "properties": {"predictions": _LABELS}}
    return _post("Predict rows, as MLflow's clients send them.", {_JSON: {"schema": {"oneOf": choices}}}, answer)


def _predict() -> dict[str, Any]:
    form = {"type": "object", "properties": {"file": {"type": "string", "format": "binary"}}}
    content = {"image/png": {}, "image/jpeg": {}, "multipart/form-data": {"schema": form}}
    answer = {
        "type": "object",
        "required": ["label", "name", "classes", "probabilities"],
        "properties": {
            "label": {"type": ["integer", "string"]},
            "name": {"type": "string"},
            "classes": {"type": "array", "items": {"type": "string"}},
            "probabilities": _PROBABILITIES,
            "seen": {"type": "string", "contentEncoding": "base64", "contentMediaType": "image/png"},
        },
    }
    operation = _post("Predict one image file.", content, answer)
    return operation | {"parameters": [_flag("seen", "Return the image as the model got it, too.")]}


def _flag(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "enum": ["0", "1"], "default": "0"}
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _post(summary: str, content: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
    error = {"description": "What is wrong.", "content": {_JSON: {"schema": {"$ref": "#/components/schemas/Error"}}}}
    statuses = ("400", "401", "413", "415", "422", "503")
    answered = {"description": "The prediction.", "headers": _HEADERS, "content": {_JSON: {"schema": answer}}}
    return {
        "summary": summary,
        "security": [{}, {"token": []}],
        "requestBody": {"required": True, "content": content},
        "responses": {"200": answered, **dict.fromkeys(statuses, error)},
    }


def _get(summary: str, kind: str = _JSON, *, secured: bool = False) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": summary,
        "responses": {"200": {"description": summary, "content": {kind: {}}}},
    }
    return operation | ({"security": [{}, {"token": []}]} if secured else {})
