"""Requests as events, results as answers: the mode `event = "body"`, and what both modes share."""

from __future__ import annotations

import json
from typing import Any

from .http1 import Request, Response

JSON_TYPE = "application/json"
TEXT_TYPE = "text/plain; charset=utf-8"
BYTES_TYPE = "application/octet-stream"
NDJSON_TYPE = "application/x-ndjson"
EVENT_STREAM_TYPE = "text/event-stream"
PROBLEM_TYPE = "application/problem+json"

_BINARY_PREFIXES = ("image/", "audio/", "video/", "font/", "multipart/")
_BINARY_TYPES = frozenset(
    {
        BYTES_TYPE,
        "application/zip",
        "application/gzip",
        "application/pdf",
        "application/x-tar",
        "application/wasm",
    }
)

_encode_json = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode


def is_binary(media_type: str) -> bool:
    return media_type in _BINARY_TYPES or media_type.startswith(_BINARY_PREFIXES)


def media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def body_event(request: Request, body: bytes) -> Any:
    """The body as JSON whatever its type says (curl -d says it is a form), else as text, else as it is.

    Empty: None. `text/*` is text and known binary types are bytes without trying.
    """
    if not body:
        return None
    kind = media_type(request.fields.get("content-type", ""))
    if is_binary(kind):
        return body
    if not kind.startswith("text/"):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            pass
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body


def to_json(value: Any) -> bytes:
    """Raises TypeError, naming the value's type, for what JSON cannot carry."""
    try:
        return _encode_json(value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise TypeError(
            f"a {type(value).__name__} that cannot be written as JSON was returned: {error}"
        ) from error


def body_response(result: Any) -> Response:
    """Raises TypeError for a result that JSON cannot carry."""
    if isinstance(result, str):
        return Response(200, [("content-type", TEXT_TYPE)], result.encode())
    if isinstance(result, (bytes, bytearray, memoryview)):
        return Response(200, [("content-type", BYTES_TYPE)], bytes(result))
    return Response(200, [("content-type", JSON_TYPE)], to_json(result))


def stream_piece(item: Any) -> bytes:
    """One item of a generator as it goes out."""
    if isinstance(item, str):
        return item.encode()
    if isinstance(item, (bytes, bytearray, memoryview)):
        return bytes(item)
    return to_json(item) + b"\n"


def stream_type(request: Request, first: Any) -> str:
    """The content type of a generator's answer: what the caller asked for, else by the first item."""
    if EVENT_STREAM_TYPE in request.fields.get("accept", ""):
        return EVENT_STREAM_TYPE
    if first is None or isinstance(first, str):
        return TEXT_TYPE
    return BYTES_TYPE if isinstance(first, (bytes, bytearray, memoryview)) else NDJSON_TYPE


def error_response(error: BaseException, call_id: str) -> Response:
    """RFC 9457: the function raised."""
    name, message = type(error).__name__, _message(error)
    problem = {
        "type": "urn:plat:error:function_error",
        "title": "The function raised an error",
        "status": 500,
        "detail": f"{name}: {message}" if message else name,
        "code": "function_error",
        "call_id": call_id,
        "error_type": name,
        "error_message": message,
    }
    body = json.dumps(problem).encode()  # all ASCII: a message may hold half a surrogate pair
    return Response(500, [("content-type", PROBLEM_TYPE), ("x-plat-error", "function")], body)


def _message(error: BaseException) -> str:
    try:
        return str(error)
    except Exception as broken:  # a __str__ of the user's own
        return f"(its text cannot be shown: {type(broken).__name__})"
