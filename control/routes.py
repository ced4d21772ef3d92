"""The one table of the API's operations: the routes and the OpenAPI document are both made from it."""

from http import HTTPStatus

from msgspec import Struct

from control.queries import FunctionsQuery, LogsQuery, NoQuery, VersionsQuery
from plat.model import (
    DecisionList,
    Function,
    FunctionPage,
    FunctionSpec,
    InstanceList,
    LiveChange,
    LogLine,
    ScaleChange,
    Version,
    VersionPage,
)

ZIP_TYPES = ("application/zip", "application/octet-stream", "application/x-zip-compressed")
JSON_TYPE = "application/json"
NDJSON_TYPE = "application/x-ndjson"

ALWAYS = ("bad_request", "unauthorized", "invalid", "internal", "database_busy", "database_unavailable")
"""Errors that any operation can answer. `invalid`: every one checks its query parameters."""

_CHANGES = ("disk_full", "shutting_down")
_DEPLOYS = (
    "deploy_in_progress",
    "body_too_large",
    "unsupported_media_type",
    "invalid_archive",
    "handler_module_not_found",
    "handler_not_found",
    "handler_import_failed",
    "handler_syntax_error",
    "instance_start_failed",
    "engine_unavailable",
    "instance_unavailable",
    "builder_unavailable",
    "pool_unavailable",
)
_BODY = ("body_too_large", "unsupported_media_type")


class Document(Struct):
    """Stands for the OpenAPI document itself, whose shape is OpenAPI's own."""


class Operation(Struct, frozen=True, kw_only=True):
    """`name` is the method of `control.api.Api` that handles it, and its operationId."""

    method: str
    path: str
    name: str
    summary: str
    answers: dict[int, type | None]
    query: type[Struct] = NoQuery
    body: type | None = None
    """A struct as JSON; `bytes`: a zip; None: there is no body."""
    errors: tuple[str, ...] = ()

    @property
    def all_errors(self) -> tuple[str, ...]:
        return ALWAYS + self.errors


_FUNCTION = "/v1/functions/{name}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/v1/functions",
        name="list_functions",
        summary="Functions by name, a page at a time.",
        query=FunctionsQuery,
        answers={HTTPStatus.OK: FunctionPage},
    ),
    Operation(
        method="PUT",
        path=_FUNCTION,
        name="put_function",
        summary="Create or replace a function's spec. Scale (not concurrency), rate and access take effect at"
        " once; the rest with the next version.",
        body=FunctionSpec,
        answers={HTTPStatus.OK: Function, HTTPStatus.CREATED: Function},
        errors=(*_BODY, *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION,
        name="get_function",
        summary="One function.",
        answers={HTTPStatus.OK: Function},
        errors=("function_not_found",),
    ),
    Operation(
        method="DELETE",
        path=_FUNCTION,
        name="delete_function",
        summary="Delete a function with all its versions. Its instances finish their calls.",
        answers={HTTPStatus.NO_CONTENT: None},
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/versions",
        name="deploy",
        summary="Deploy a zip: answers when the new version is live; 200 when it was live already.",
        body=bytes,
        answers={HTTPStatus.OK: Version, HTTPStatus.CREATED: Version},
        errors=("function_not_found", *_DEPLOYS, *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/versions",
        name="list_versions",
        summary="A function's versions, newest first, a page at a time.",
        query=VersionsQuery,
        answers={HTTPStatus.OK: VersionPage},
        errors=("function_not_found",),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/versions/{version}",
        name="get_version",
        summary="One version.",
        answers={HTTPStatus.OK: Version},
        errors=("function_not_found", "version_not_found"),
    ),
    Operation(
        method="PUT",
        path=_FUNCTION + "/live",
        name="set_live",
        summary="Make another ready version the live one: roll back, or forward.",
        body=LiveChange,
        answers={HTTPStatus.OK: Function},
        errors=("function_not_found", "version_not_found", "version_not_deployable", *_BODY, *_CHANGES),
    ),
    Operation(
        method="PUT",
        path=_FUNCTION + "/scale",
        name="scale",
        summary="Change how many instances there are at least and at most, and when idle ones are paused.",
        body=ScaleChange,
        answers={HTTPStatus.OK: Function},
        errors=("function_not_found", *_BODY, *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/stop",
        name="stop",
        summary="Stop a function: its calls are answered 503 and it has no instance, until it is started.",
        answers={HTTPStatus.OK: Function},
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/start",
        name="start",
        summary="Start a stopped function.",
        answers={HTTPStatus.OK: Function},
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/instances",
        name="list_instances",
        summary="The instances that a function has now.",
        answers={HTTPStatus.OK: InstanceList},
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/decisions",
        name="list_decisions",
        summary="What the pool decided about a function's instances lately, and why; the oldest first.",
        answers={HTTPStatus.OK: DecisionList},
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/logs",
        name="read_logs",
        summary="The last lines that a function wrote, one JSON document a line; with follow, without end.",
        query=LogsQuery,
        answers={HTTPStatus.OK: LogLine},
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="GET",
        path="/v1/openapi.json",
        name="read_openapi",
        summary="This document.",
        answers={HTTPStatus.OK: Document},
    ),
)
