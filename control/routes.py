"""The one table of the API's operations: the routes and the OpenAPI document are both made from it."""

from http import HTTPStatus
from typing import Literal

from msgspec import Struct

from control.queries import (
    AuditQuery,
    FunctionsQuery,
    LogsQuery,
    NoQuery,
    SecretsQuery,
    TokensQuery,
    UsersQuery,
    VersionsQuery,
)
from plat.administration import (
    AuditPage,
    CreatedToken,
    KeyRotation,
    Secret,
    SecretPage,
    SecretRequest,
    Token,
    TokenPage,
    TokenRequest,
    User,
    UserPage,
    UserRequest,
)
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
    "unknown_secret",
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
    needs: Literal["admin", "deploy", "read", "any"]
    """The scope that a token needs: `deploy` that of the function in the path; `any`: none."""
    query: type[Struct] = NoQuery
    body: type | None = None
    """A struct as JSON; `bytes`: a zip; None: there is no body."""
    errors: tuple[str, ...] = ()

    @property
    def all_errors(self) -> tuple[str, ...]:
        return ALWAYS + (() if self.needs == "any" else ("forbidden",)) + self.errors


_FUNCTION = "/v1/functions/{name}"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET",
        path="/v1/functions",
        name="list_functions",
        summary="Functions by name, a page at a time.",
        query=FunctionsQuery,
        answers={HTTPStatus.OK: FunctionPage},
        needs="read",
    ),
    Operation(
        method="PUT",
        path=_FUNCTION,
        name="put_function",
        summary="Create or replace a function's spec. Scale (not concurrency), rate and access take effect at"
        " once; the rest with the next version.",
        body=FunctionSpec,
        answers={HTTPStatus.OK: Function, HTTPStatus.CREATED: Function},
        needs="deploy",
        errors=(*_BODY, *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION,
        name="get_function",
        summary="One function.",
        answers={HTTPStatus.OK: Function},
        needs="read",
        errors=("function_not_found",),
    ),
    Operation(
        method="DELETE",
        path=_FUNCTION,
        name="delete_function",
        summary="Delete a function with all its versions. Its instances finish their calls.",
        answers={HTTPStatus.NO_CONTENT: None},
        needs="deploy",
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/versions",
        name="deploy",
        summary="Deploy a zip: answers when the new version is live; 200 when it was live already.",
        body=bytes,
        answers={HTTPStatus.OK: Version, HTTPStatus.CREATED: Version},
        needs="deploy",
        errors=("function_not_found", *_DEPLOYS, *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/versions",
        name="list_versions",
        summary="A function's versions, newest first, a page at a time.",
        query=VersionsQuery,
        answers={HTTPStatus.OK: VersionPage},
        needs="read",
        errors=("function_not_found",),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/versions/{version}",
        name="get_version",
        summary="One version.",
        answers={HTTPStatus.OK: Version},
        needs="read",
        errors=("function_not_found", "version_not_found"),
    ),
    Operation(
        method="PUT",
        path=_FUNCTION + "/live",
        name="set_live",
        summary="Make another ready version the live one: roll back, or forward.",
        body=LiveChange,
        answers={HTTPStatus.OK: Function},
        needs="deploy",
        errors=(
            "function_not_found",
            "version_not_found",
            "version_not_deployable",
            "unknown_secret",
            *_BODY,
            *_CHANGES,
        ),
    ),
    Operation(
        method="PUT",
        path=_FUNCTION + "/scale",
        name="scale",
        summary="Change how many instances there are at least and at most, and when idle ones are paused.",
        body=ScaleChange,
        answers={HTTPStatus.OK: Function},
        needs="deploy",
        errors=("function_not_found", *_BODY, *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/stop",
        name="stop",
        summary="Stop a function: its calls are answered 503 and it has no instance, until it is started.",
        answers={HTTPStatus.OK: Function},
        needs="deploy",
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="POST",
        path=_FUNCTION + "/start",
        name="start",
        summary="Start a stopped function.",
        answers={HTTPStatus.OK: Function},
        needs="deploy",
        errors=("function_not_found", *_CHANGES),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/instances",
        name="list_instances",
        summary="The instances that a function has now.",
        answers={HTTPStatus.OK: InstanceList},
        needs="read",
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/decisions",
        name="list_decisions",
        summary="What the pool decided about a function's instances lately, and why; the oldest first.",
        answers={HTTPStatus.OK: DecisionList},
        needs="read",
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="GET",
        path=_FUNCTION + "/logs",
        name="read_logs",
        summary="The last lines that a function wrote, one JSON document a line; with follow, without end.",
        query=LogsQuery,
        answers={HTTPStatus.OK: LogLine},
        needs="read",
        errors=("function_not_found", "pool_unavailable"),
    ),
    Operation(
        method="POST",
        path="/v1/tokens",
        name="create_token",
        summary="Make a token with scopes that the caller's has; the answer is the only one that shows it.",
        body=TokenRequest,
        answers={HTTPStatus.CREATED: CreatedToken},
        needs="any",
        errors=("forbidden", "user_not_found", *_BODY, *_CHANGES),
    ),
    Operation(
        method="GET",
        path="/v1/tokens",
        name="list_tokens",
        summary="Tokens by id, a page at a time: all for an admin, else the caller's and those made with it.",
        query=TokensQuery,
        answers={HTTPStatus.OK: TokenPage},
        needs="any",
    ),
    Operation(
        method="GET",
        path="/v1/tokens/{id}",
        name="get_token",
        summary="One token.",
        answers={HTTPStatus.OK: Token},
        needs="any",
        errors=("token_not_found",),
    ),
    Operation(
        method="DELETE",
        path="/v1/tokens/{id}",
        name="revoke_token",
        summary="Revoke a token, and those made with it: within a second no router takes them.",
        answers={HTTPStatus.NO_CONTENT: None},
        needs="any",
        errors=("token_not_found", *_CHANGES),
    ),
    Operation(
        method="POST",
        path="/v1/users",
        name="create_user",
        summary="Create a user: a name that tokens belong to.",
        body=UserRequest,
        answers={HTTPStatus.CREATED: User},
        needs="admin",
        errors=("user_exists", *_BODY, *_CHANGES),
    ),
    Operation(
        method="GET",
        path="/v1/users",
        name="list_users",
        summary="Users by name, a page at a time.",
        query=UsersQuery,
        answers={HTTPStatus.OK: UserPage},
        needs="admin",
    ),
    Operation(
        method="DELETE",
        path="/v1/users/{user}",
        name="delete_user",
        summary="Delete a user with all that user's tokens, and those made with them.",
        answers={HTTPStatus.NO_CONTENT: None},
        needs="admin",
        errors=("user_not_found", *_CHANGES),
    ),
    Operation(
        method="PUT",
        path="/v1/secrets/{secret}",
        name="set_secret",
        summary="Keep a secret, encrypted, or change it: instances that have the former value are replaced.",
        body=SecretRequest,
        answers={HTTPStatus.OK: Secret, HTTPStatus.CREATED: Secret},
        needs="admin",
        errors=(*_BODY, *_CHANGES),
    ),
    Operation(
        method="GET",
        path="/v1/secrets",
        name="list_secrets",
        summary="The secrets' names, a page at a time; no answer has a value.",
        query=SecretsQuery,
        answers={HTTPStatus.OK: SecretPage},
        needs="read",
    ),
    Operation(
        method="DELETE",
        path="/v1/secrets/{secret}",
        name="delete_secret",
        summary="Delete a secret that no function uses.",
        answers={HTTPStatus.NO_CONTENT: None},
        needs="admin",
        errors=("secret_not_found", "secret_in_use", *_CHANGES),
    ),
    Operation(
        method="POST",
        path="/v1/rotate-secrets",
        name="rotate_secrets",
        summary="Encrypt all secrets anew, under the first key of the setting, or under a new one.",
        answers={HTTPStatus.OK: KeyRotation},
        needs="admin",
        errors=("unknown_secret", *_CHANGES),
    ),
    Operation(
        method="GET",
        path="/v1/audit",
        name="list_audit",
        summary="Who changed what, and from where; newest first, a page at a time.",
        query=AuditQuery,
        answers={HTTPStatus.OK: AuditPage},
        needs="admin",
    ),
    Operation(
        method="GET",
        path="/v1/openapi.json",
        name="read_openapi",
        summary="This document.",
        answers={HTTPStatus.OK: Document},
        needs="any",
    ),
)
