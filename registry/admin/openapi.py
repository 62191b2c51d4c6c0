"""The OpenAPI 3.1 document of the admin API, made from the rows of its operations."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic.json_schema import models_json_schema

from registry.admin.documents import NAME_PATTERN, Model
from registry.admin.errors import CONTENT_TYPE
from registry.admin.operation import ROOT, AnyOperation
from storage.names import MAX_REPOSITORY_NAME, REPOSITORY_NAME

_REFERENCE: Final = "#/components/schemas/{model}"
_REFUSALS: Final = {
    "400": "The body, the query or a document in it is not valid; `errors` tells where.",
    "401": "The credentials are missing or wrong.",
    "403": "The policies do not allow it; `action` and `denied_by` tell why.",
    "404": "There is no such thing.",
    "409": "It is there already, in use, or protected.",
    "412": "It was changed meanwhile: If-Match does not hold.",
    "408": "The body came too slowly.",
    "413": "The body is too long.",
    "415": "The body is not JSON.",
    "429": "Too many wrong passwords; Retry-After tells how long to wait.",
    "5XX": "The registry cannot answer; Retry-After tells when to try again, where that can help.",
}
_PATHS: Final = {
    "access_key": {"type": "string", "pattern": "^LK[A-Z2-7]{18}$", "examples": ["LKAAAAAAAAAAAAAAAAAA"]},
    "domain": {"type": "string", "pattern": "^[A-Za-z0-9:/_-]{1,512}$", "examples": ["AES256"]},
    "provider": {
        "type": "string",
        "pattern": r"^[A-Za-z0-9.\[\]:_~/%+@,=-]{1,255}$",
        "examples": ["token.actions.githubusercontent.com"],
    },
    "repository": {
        "type": "string",
        "maxLength": MAX_REPOSITORY_NAME,
        "pattern": f"^{REPOSITORY_NAME}$",
        "examples": ["team/app"],
    },
    "signing_key": {"type": "string", "pattern": "^[A-Za-z0-9_-]{43}$", "examples": ["A" * 43]},
    "version": {"type": "integer", "minimum": 1, "maximum": 999_999_999, "examples": [1]},
}
_NAME: Final = {"type": "string", "pattern": NAME_PATTERN, "examples": ["alice"]}
_HEADERS: Final = {
    "401": {"WWW-Authenticate": {"required": True, "schema": {"type": "string"}}},
}
_TAGS: Final = {"If-Match": "*", "If-None-Match": '"00000000000000000000000000000000"'}
_TAG_HEADER: Final = {"ETag": {"required": True, "schema": {"type": "string", "pattern": '^"[0-9a-f]{32}"$'}}}


class FieldProblem(Model):
    """What is wrong, and where."""

    field: str
    message: str
    line: int | None = None
    rule: str | None = None


class Problem(Model):
    """Why a request came to nothing (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[FieldProblem] = Field(default_factory=list)
    action: str | None = None
    resource: str | None = None
    denied_by: dict[str, Any] | None = None


def openapi_document(operations: Iterable[AnyOperation], version: str) -> dict[str, Any]:
    """The document; `version` is the registry's own."""
    rows = tuple(operations)
    paths: dict[str, dict[str, Any]] = {}
    for row in rows:
        paths.setdefault(ROOT + row.path, {})[row.method.lower()] = _operation(row, rows)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Lading admin API",
            "version": version,
            "description": "Users, policies and repositories of a Lading registry. Every operation is guarded by "
            "policies; its action is under x-action. A slash in a name is written %2F.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"basic": []}, {"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": _schemas(rows),
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic"},
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token of /auth/token with the scope registry:admin:*.",
                },
            },
        },
    }


def _operation(row: AnyOperation, rows: Sequence[AnyOperation]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": row.name,
        "summary": row.summary,
        "tags": [row.path.split("/")[1]],
        "x-action": row.action,
        "parameters": [*_path_parameters(row), *_query_parameters(row), *_header_parameters(row, rows)],
        "responses": _responses(row, rows),
    }
    if row.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": _refer(row.body)}}}
    return described


def _path_parameters(row: AnyOperation) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": _PATHS.get(name, _NAME)} for name in row.placeholders
    ]


def _query_parameters(row: AnyOperation) -> list[dict[str, Any]]:
    if row.query is None:
        return []
    schema = row.query.model_json_schema(ref_template=_REFERENCE)
    required = schema.get("required", ())
    return [
        {"name": name, "in": "query", "required": name in required, "schema": member}
        for name, member in schema["properties"].items()
    ]


def _header_parameters(row: AnyOperation, rows: Sequence[AnyOperation]) -> list[dict[str, Any]]:
    if row.load is None:
        return []
    if row.is_read:
        return [_tag_parameter("If-None-Match", "The ETag of what the client has: 304 where it is that still.")]
    seen = next(each for each in rows if each.is_read and each.load == row.load)
    whose = f"the ETag of GET {ROOT}{seen.path}"
    return [
        _tag_parameter("If-Match", f"Change only what is still as it was seen: {whose}, or * for anything there."),
        _tag_parameter("If-None-Match", f"Do not change what is as {whose} says; * changes nothing that is there."),
    ]


def _tag_parameter(name: str, description: str) -> dict[str, Any]:
    schema = {"type": "string", "examples": [_TAGS[name]]}
    return {"name": name, "in": "header", "description": description, "required": False, "schema": schema}


def _responses(row: AnyOperation, rows: Sequence[AnyOperation]) -> dict[str, Any]:
    done: dict[str, Any] = {"description": row.summary}
    if row.answer is not None:
        done["content"] = {"application/json": {"schema": _refer(row.answer)}}
    if row.answer is not None and row.load is not None:
        done["headers"] = _TAG_HEADER
    if row.named_by is not None:
        done["headers"] = {"Location": {"required": True, "schema": {"type": "string", "format": "uri-reference"}}}
        done["links"] = _links(row.named_by, rows)
    responses = {str(row.status if row.answer is not None else 204): done}
    if row.is_read and row.load is not None:
        responses["304"] = {"description": "It is what If-None-Match names.", "headers": _TAG_HEADER}
    return responses | _refusals()


def _links(named_by: tuple[str, str], rows: Sequence[AnyOperation]) -> dict[str, Any]:
    """What can be done with a thing that was made, by its name alone."""
    kind, member = named_by
    return {
        row.name: {"operationId": row.name, "parameters": {kind: f"$response.body#/{member}"}}
        for row in rows
        if row.placeholders == (kind,)
    }


def _refusals() -> dict[str, Any]:
    content = {CONTENT_TYPE: {"schema": _refer(Problem)}}
    refusals: dict[str, Any] = {status: {"description": text, "content": content} for status, text in _REFUSALS.items()}
    for status, headers in _HEADERS.items():
        refusals[status]["headers"] = headers
    return refusals


def _refer(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": _REFERENCE.format(model=model.__name__)}


def _schemas(rows: Iterable[AnyOperation]) -> Mapping[str, Any]:
    asked = {model for row in rows for model in (row.body, row.query) if model is not None}
    told = {row.answer for row in rows if row.answer is not None} | {Problem}
    wanted = [(model, "validation") for model in asked] + [(model, "serialization") for model in told]
    ordered: Any = sorted(wanted, key=lambda each: each[0].__name__)
    _, schema = models_json_schema(ordered, ref_template=_REFERENCE)
    schemas: dict[str, Any] = schema["$defs"]
    return schemas
