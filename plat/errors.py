"""Every error that a user can meet: one stable code, one HTTP status, one party at fault.

Raise `PlatError("function_not_found", "...")`; `problem()` makes the RFC 9457 document. The table
below is the only place where a code meets a status; `docs/errors.md` is checked against it.
"""

from enum import StrEnum
from typing import NamedTuple

from plat.model import Problem


class Fault(StrEnum):
    """Whose doing it was: what to look at first."""

    CALLER = "caller"
    FUNCTION = "function"
    INSTANCE = "instance"
    CAPACITY = "capacity"
    TIME = "time"
    PLATFORM = "platform"


class ErrorKind(NamedTuple):
    status: int
    title: str
    fault: Fault


ERRORS: dict[str, ErrorKind] = {
    "bad_request": ErrorKind(400, "The request cannot be read", Fault.CALLER),
    "idempotency_key_invalid": ErrorKind(400, "The idempotency key cannot be read", Fault.CALLER),
    "unauthorized": ErrorKind(401, "A valid token is needed", Fault.CALLER),
    "bad_signature": ErrorKind(401, "A valid signature is needed", Fault.CALLER),
    "forbidden": ErrorKind(403, "The token does not allow this", Fault.CALLER),
    "origin_not_allowed": ErrorKind(403, "Pages of this origin may not call", Fault.CALLER),
    "not_found": ErrorKind(404, "No such page", Fault.CALLER),
    "function_not_found": ErrorKind(404, "No such function", Fault.CALLER),
    "token_not_found": ErrorKind(404, "No such token", Fault.CALLER),
    "user_not_found": ErrorKind(404, "No such user", Fault.CALLER),
    "version_not_found": ErrorKind(404, "No such version", Fault.CALLER),
    "secret_not_found": ErrorKind(404, "No such secret", Fault.CALLER),
    "method_not_allowed": ErrorKind(405, "The method is not allowed here", Fault.CALLER),
    "version_not_deployable": ErrorKind(409, "The version cannot be made live", Fault.CALLER),
    "user_exists": ErrorKind(409, "The user exists already", Fault.CALLER),
    "secret_in_use": ErrorKind(409, "A function uses the secret", Fault.CALLER),
    "deploy_in_progress": ErrorKind(409, "Another deploy of this function is running", Fault.CALLER),
    "idempotency_in_flight": ErrorKind(409, "The first call with this key is in flight", Fault.CALLER),
    "idempotency_answer_not_kept": ErrorKind(409, "The first call's answer was not kept", Fault.CALLER),
    "request_timeout": ErrorKind(408, "The request did not arrive in time", Fault.CALLER),
    "body_too_large": ErrorKind(413, "The body is too large", Fault.CALLER),
    "unsupported_media_type": ErrorKind(415, "The body's media type is not understood", Fault.CALLER),
    "invalid": ErrorKind(422, "The request is not valid", Fault.CALLER),
    "idempotency_key_reused": ErrorKind(422, "The key was used for another request", Fault.CALLER),
    "unknown_secret": ErrorKind(422, "The function names a secret that is not there", Fault.CALLER),
    "invalid_archive": ErrorKind(422, "The archive is refused", Fault.CALLER),
    "handler_module_not_found": ErrorKind(422, "The handler's module does not exist", Fault.FUNCTION),
    "handler_not_found": ErrorKind(422, "The handler's module has no such function", Fault.FUNCTION),
    "handler_import_failed": ErrorKind(422, "Importing the handler raised an error", Fault.FUNCTION),
    "handler_syntax_error": ErrorKind(422, "The handler's code has a syntax error", Fault.FUNCTION),
    "instance_start_failed": ErrorKind(422, "An instance of the version does not start", Fault.FUNCTION),
    "queue_full": ErrorKind(429, "Too many calls are waiting", Fault.CAPACITY),
    "rate_limited": ErrorKind(429, "A rate limit is reached", Fault.CAPACITY),
    "too_many_in_flight": ErrorKind(429, "The token has too many calls in flight", Fault.CAPACITY),
    "internal": ErrorKind(500, "The platform made a mistake", Fault.PLATFORM),
    "function_error": ErrorKind(500, "The function raised an error", Fault.FUNCTION),
    "instance_crashed": ErrorKind(502, "The instance ended during the call", Fault.INSTANCE),
    "idempotency_outcome_unknown": ErrorKind(
        502, "What became of the first call is not known", Fault.PLATFORM
    ),
    "bad_response": ErrorKind(502, "The instance's answer is not HTTP", Fault.INSTANCE),
    "function_stopped": ErrorKind(503, "The function is stopped", Fault.CAPACITY),
    "function_not_deployed": ErrorKind(503, "The function has no live version", Fault.CAPACITY),
    "too_many_connections": ErrorKind(503, "Too many connections are open", Fault.CAPACITY),
    "too_many_bodies": ErrorKind(503, "Too many large bodies are on their way", Fault.CAPACITY),
    "signing_key_unavailable": ErrorKind(503, "The key of the signatures is not at hand", Fault.CAPACITY),
    "no_instance": ErrorKind(503, "No instance could take the call in time", Fault.CAPACITY),
    "instance_unavailable": ErrorKind(503, "No instance can be started", Fault.CAPACITY),
    "engine_unavailable": ErrorKind(503, "The Docker engine does not answer", Fault.PLATFORM),
    "control_unavailable": ErrorKind(503, "The control service does not answer", Fault.PLATFORM),
    "pool_unavailable": ErrorKind(503, "The pool does not answer", Fault.PLATFORM),
    "builder_unavailable": ErrorKind(503, "The builder does not answer", Fault.PLATFORM),
    "database_busy": ErrorKind(503, "The database is locked by another process", Fault.PLATFORM),
    "database_unavailable": ErrorKind(503, "The database does not answer", Fault.PLATFORM),
    "idempotency_unavailable": ErrorKind(503, "The store of keys does not answer", Fault.PLATFORM),
    "starting": ErrorKind(503, "The platform is starting", Fault.PLATFORM),
    "shutting_down": ErrorKind(503, "The platform is shutting down", Fault.PLATFORM),
    "timeout": ErrorKind(504, "The function did not answer in time", Fault.TIME),
    "disk_full": ErrorKind(507, "The disk is full", Fault.PLATFORM),
}

PROBLEM_TYPE_PREFIX = "urn:plat:error:"


class PlatError(Exception):
    """An error with a code of the table above. `detail` names the thing, the value and what to do."""

    def __init__(
        self,
        code: str,
        detail: str,
        *,
        retry_after_s: float | None = None,
        reason: str | None = None,
        traceback: str | None = None,
        headers: tuple[tuple[str, str], ...] = (),
    ) -> None:
        super().__init__(detail)
        self.headers = headers
        """More headers of the answer, besides Retry-After."""
        self.kind = ERRORS[code]
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.retry_after = None if retry_after_s is None else retry_after_value(retry_after_s)
        """The header's value."""
        self.reason = reason
        self.traceback = traceback

    @property
    def status(self) -> int:
        return self.kind.status

    def problem(self, call_id: str = "") -> Problem:
        return Problem(
            type=PROBLEM_TYPE_PREFIX + self.code,
            title=self.kind.title,
            status=self.kind.status,
            detail=self.detail,
            code=self.code,
            call_id=call_id,
            reason=self.reason,
            traceback=self.traceback,
        )

    @classmethod
    def from_problem(cls, problem: Problem, retry_after: str | None = None) -> "PlatError":
        """The error that another service of ours answered, with its `Retry-After` header if it sent one.

        An unknown code becomes `internal`.
        """
        code = problem.code if problem.code in ERRORS else "internal"
        is_seconds = retry_after is not None and retry_after.isascii() and retry_after.isdigit()
        return cls(
            code,
            problem.detail,
            retry_after_s=float(retry_after) if retry_after is not None and is_seconds else None,
            reason=problem.reason,
            traceback=problem.traceback,
        )


def retry_after_value(seconds: float) -> str:
    """`Retry-After` in whole seconds (RFC 9110, 10.2.3), rounded up and at least 1."""
    return str(max(1, -int(-seconds // 1)))
