"""The description of the HTTP interface in OpenAPI 3.1, made from the tables that it works with."""

import dataclasses
import functools
import types
import typing
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from compressor.service.http.exchange import Exchange
from compressor.service.http.image_requests import identity
from compressor.service.http.parameters import PARAMETERS, REPORT
from compressor.service.http.problem import CONTENT_TYPE, TITLES
from compressor.settings import VERSION, Bounds, Footprint, Report, Source
from compressor.sniff import MEDIA_TYPES

BINARY: Mapping[str, Any] = {}  # OpenAPI 3.1: a body without a schema is bytes
SCALARS: Mapping[Any, Mapping[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
}
COMPUTED = {"cpu_seconds": {"type": "number"}, "saved": {"type": "number"}, "crc32c": {"type": "integer"}}
TIMEOUT_PARAMETER = {
    "name": "Compressor-Timeout",
    "in": "header",
    "description": "Seconds after which the result is of no use any more.",
    "schema": {"type": "number", "exclusiveMinimum": 0},
}
# Statuses that say nothing about an image.
NO_ROUTE = (404, 405)


@functools.cache
def document() -> dict[str, Any]:
    """Return the document."""
    settings = [
        {"name": name, "in": "query", "description": parameter.description, "schema": dict(parameter.schema)}
        for name, parameter in PARAMETERS.items()
    ]
    report = {
        "name": REPORT,
        "in": "query",
        "description": "Return the report instead of the result.",
        "schema": {"type": "string", "enum": ["json"]},
    }
    results = {media_type: dict(BINARY) for media_type in MEDIA_TYPES.values()}
    results["application/json"] = {"schema": _reference("Report")}
    result = {
        "description": "The result; with `report=json` the report.",
        "headers": {
            "Compressor-Report": {
                "description": "The report as JSON in base64url, unless delivery is immediate. Long texts are cut.",
                "schema": {"type": "string"},
            }
        },
        "content": results,
    }
    source = {"description": "What was recognized.", "content": {"application/json": {"schema": _reference("Source")}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "compressor",
            "version": VERSION,
            "description": "A parameter of a query may be a header field: `Compressor-Max-Bytes` is `max_bytes`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {
            "/v1/compress": {"post": _operation("compress", "Make an image smaller.", [*settings, report], result)},
            "/v1/inspect": {"post": _operation("inspect", "Say what an image is, from its header.", settings, source)},
        },
        "security": [{}, {"token": []}],
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": {
                "Report": _object(Report, COMPUTED),
                "Source": _object(Source),
                "Footprint": _object(Footprint),
                "Bounds": _object(Bounds),
                "Problem": _problem(),
            },
        },
    }


def _operation(name: str, summary: str, parameters: list[dict[str, Any]], success: dict[str, Any]) -> dict[str, Any]:
    problem = {CONTENT_TYPE: {"schema": _reference("Problem")}}
    failures = {
        str(status): {"description": title, "content": problem}
        for status, title in TITLES.items()
        if status not in NO_ROUTE
    }
    return {
        "operationId": name,
        "summary": summary,
        "parameters": [*parameters, TIMEOUT_PARAMETER],
        "requestBody": {"required": True, "content": {"*/*": dict(BINARY)}},
        "responses": {"200": success, **failures},
    }


def _reference(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _object(kind: type, computed: Mapping[str, Any] = types.MappingProxyType({})) -> dict[str, Any]:
    """Return the schema of a record, from its types."""
    hints = typing.get_type_hints(kind)
    properties = {field.name: _schema(hints[field.name]) for field in dataclasses.fields(kind)}
    return {"type": "object", "properties": properties | dict(computed), "required": list(properties)}


def _schema(kind: Any) -> dict[str, Any]:
    if kind in SCALARS:
        return dict(SCALARS[kind])
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        return _reference(kind.__name__)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return {"type": "string", "enum": [value.value for value in kind]}
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is types.UnionType:
        return {"anyOf": [_schema(part) if part is not types.NoneType else {"type": "null"} for part in arguments]}
    if origin is tuple:
        return {"type": "array", "items": _schema(arguments[0])}
    return {"type": "object", "additionalProperties": _schema(arguments[1])}


def _problem() -> dict[str, Any]:
    texts = ("type", "title", "detail", "code", "field", "format", "place")
    numbers = {"status": "integer", "offset": "integer", "retry_after_seconds": "number"}
    properties = {name: {"type": "string"} for name in texts} | {name: {"type": kind} for name, kind in numbers.items()}
    required = ["type", "title", "status", "detail", "code"]
    return {"type": "object", "properties": properties, "required": required}


async def serve_openapi(exchange: Exchange) -> None:
    """Answer with the document."""
    await exchange.respond_json(200, document(), identity())
