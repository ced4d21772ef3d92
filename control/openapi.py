"""The OpenAPI 3.1 document, made from the table of operations and the msgspec types. No I/O."""

import re
from collections.abc import Iterable, Iterator
from http import HTTPStatus
from typing import Any

import msgspec

from control.routes import JSON_TYPE, NDJSON_TYPE, OPERATIONS, ZIP_TYPES, Document, Operation
from plat import __version__
from plat.administration import TokenId, UserName
from plat.errors import ERRORS
from plat.model import FunctionName, FunctionSpec, LogLine, Problem, SecretName, VersionNumber
from plat.web import CALL_ID_HEADER, PROBLEM_CONTENT_TYPE

JsonObject = dict[str, Any]

_REF = "#/components/schemas/{name}"
_PATH_PARAMETERS: dict[str, Any] = {
    "name": FunctionName,
    "version": VersionNumber,
    "id": TokenId,
    "user": UserName,
    "secret": SecretName,
}


_NEEDS = {
    "any": "Any token will do.",
    "read": "Needs a token with the scope `read`; for one function, `deploy:<pattern>` for it will do.",
    "deploy": "Needs a token with the scope `deploy:<pattern>` for this function.",
    "admin": "Needs a token with the scope `admin`.",
}


def document() -> JsonObject:
    paths: JsonObject = {}
    for operation in OPERATIONS:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _operation(operation)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Plat control API",
            "version": __version__,
            "description": "Functions, their versions, and what they do.",
        },
        "paths": paths,
        "components": {
            "schemas": _schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _schemas() -> JsonObject:
    _, components = msgspec.json.schema_components(_types(), ref_template=_REF)
    return dict(sorted(components.items()))


def _types() -> list[type]:
    """Every struct that some operation takes or answers, once."""
    found: dict[type, None] = {Problem: None}
    for operation in OPERATIONS:
        for kind in (operation.body, *operation.answers.values()):
            if kind is not None and kind not in (bytes, Document):
                found[kind] = None
    return list(found)


def _operation(operation: Operation) -> JsonObject:
    described: JsonObject = {
        "operationId": operation.name,
        "summary": operation.summary,
        "description": _NEEDS[operation.needs],
        "parameters": [*_path_parameters(operation), *_query_parameters(operation)],
        "responses": {**_answers(operation), **_problems(operation.all_errors)},
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": _body_content(operation.body)}
    return described


def _path_parameters(operation: Operation) -> Iterator[JsonObject]:
    for name in re.findall(r"{(\w+)}", operation.path):
        schema = msgspec.json.schema(_PATH_PARAMETERS[name])
        yield {"name": name, "in": "path", "required": True, "schema": schema}


def _query_parameters(operation: Operation) -> Iterator[JsonObject]:
    (schema,) = msgspec.json.schema_components([operation.query])[1].values()
    for name, described in schema["properties"].items():
        yield {"name": name, "in": "query", "required": False, "schema": described}


def _body_content(body: type) -> JsonObject:
    if body is bytes:
        return {media_type: {"schema": {"type": "string", "format": "binary"}} for media_type in ZIP_TYPES}
    schema: JsonObject = {"$ref": _REF.format(name=body.__name__)}
    if body is FunctionSpec:
        schema = _spec_without_required_name()
    return {JSON_TYPE: {"schema": schema}}


def _spec_without_required_name() -> JsonObject:
    """The path says the name already, so that a body may leave it out."""
    components = msgspec.json.schema_components([FunctionSpec], ref_template=_REF)[1]
    schema = {
        key: value for key, value in components["FunctionSpec"].items() if key not in ("title", "required")
    }
    return {**schema, "description": "As in plat.toml. `name` may be left out, or must equal the path's."}


def _answers(operation: Operation) -> JsonObject:
    answers = {}
    for status, kind in operation.answers.items():
        answers[str(int(status))] = {
            "description": HTTPStatus(status).phrase,
            "headers": _headers(),
            **({"content": _answer_content(kind)} if kind is not None else {}),
        }
    return answers


def _answer_content(kind: type) -> JsonObject:
    if kind is Document:
        return {JSON_TYPE: {"schema": {"type": "object"}}}
    if kind is LogLine:
        lines = "One JSON document (LogLine) a line, as it is written."
        return {NDJSON_TYPE: {"schema": {"type": "string", "description": lines}}}
    return {JSON_TYPE: {"schema": {"$ref": _REF.format(name=kind.__name__)}}}


def _problems(codes: Iterable[str]) -> JsonObject:
    """The problem answers, by status, each with the codes that it can carry."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(ERRORS[code].status, []).append(code)
    return {str(status): _problem(status, by_status[status]) for status in sorted(by_status)}


def _problem(status: int, codes: list[str]) -> JsonObject:
    meanings = "; ".join(f"`{code}`: {ERRORS[code].title}" for code in codes)
    schema = {
        "allOf": [{"$ref": _REF.format(name="Problem")}],
        "properties": {"code": {"enum": codes}, "status": {"const": status}},
    }
    return {
        "description": meanings,
        "headers": _headers(status),
        "content": {PROBLEM_CONTENT_TYPE: {"schema": schema}},
    }


def _headers(status: int = 200) -> JsonObject:
    call_id = {"description": "The call's id: the client's own, if it sent a valid one."}
    headers: JsonObject = {CALL_ID_HEADER: {**call_id, "required": True, "schema": {"type": "string"}}}
    if status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = {"required": True, "schema": {"type": "string"}}
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = {"schema": {"type": "string"}}
    return headers
