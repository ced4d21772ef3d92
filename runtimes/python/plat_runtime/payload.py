"""`event = "http"`: AWS function URL payload 2.0 in, Lambda's answer out."""

from __future__ import annotations

import base64
import binascii
import time
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from . import events
from .http1 import Request, Response
from .order import Order

_TEXT_TYPES = (
    "application/json",
    "application/javascript",
    "application/xml",
    "application/x-www-form-urlencoded",
)


def http_event(request: Request, body: bytes, order: Order) -> dict[str, Any]:
    """As Lambda gives it: keys that would be empty (body, cookies, query) are left out."""
    fields = request.fields
    event: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.path,
        "rawQueryString": request.query,
        "headers": fields,
        "requestContext": _request_context(request, order),
        "isBase64Encoded": False,
    }
    if request.query:
        event["queryStringParameters"] = _query(request.query)
    if "cookie" in fields:
        event["cookies"] = [each.strip() for each in fields["cookie"].split(";") if each.strip()]
    if body:
        event["body"], event["isBase64Encoded"] = _text_or_base64(body, fields.get("content-type", ""))
    return event


def _request_context(request: Request, order: Order) -> dict[str, Any]:
    fields, now = request.fields, time.time()
    host = fields.get("x-forwarded-host") or fields.get("host", "")
    return {
        "accountId": "anonymous",
        "apiId": order.function,
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": request.method,
            "path": request.path,
            "protocol": "HTTP/1.1",
            "sourceIp": source_ip(request),
            "userAgent": fields.get("user-agent", ""),
        },
        "requestId": fields.get("x-call-id", ""),
        "routeKey": "$default",
        "stage": "$default",
        "time": time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime(now)),
        "timeEpoch": int(now * 1000),
    }


def source_ip(request: Request) -> str:
    """Whom the router saw: the last entry; those before it are what the caller claims."""
    return request.fields.get("x-forwarded-for", "").rpartition(",")[2].strip()


def _query(query: str) -> dict[str, str]:
    values: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values[name] = f"{values[name]},{value}" if name in values else value
    return values


def _text_or_base64(body: bytes, content_type: str) -> tuple[str, bool]:
    kind = events.media_type(content_type)
    if (
        kind.startswith("text/")
        or kind.startswith(_TEXT_TYPES)
        or kind.endswith(("+json", "+xml"))
        or not kind
    ):
        try:
            return body.decode(), False
        except UnicodeDecodeError:
            pass
    return base64.b64encode(body).decode(), True


def http_response(result: Any) -> Response:
    """Lambda's answer; without `statusCode` the result is a JSON body, text being taken as JSON already.

    Raises TypeError or ValueError, saying what is wrong with it.
    """
    if is_head(result):
        status, headers = head_of(result)
        return Response(status, headers, _body(result))
    if isinstance(result, str):
        return Response(200, [("content-type", events.JSON_TYPE)], result.encode())
    return events.body_response(result)


def is_head(item: Any) -> bool:
    return isinstance(item, Mapping) and "statusCode" in item


def head_of(result: Mapping[str, Any]) -> tuple[int, list[tuple[str, str]]]:
    """Status and headers. Raises TypeError or ValueError."""
    try:
        status = int(result["statusCode"])
    except (TypeError, ValueError):
        raise ValueError(f"statusCode is {result['statusCode']!r}; expected a number such as 200") from None
    given = result.get("headers") or {}
    if not isinstance(given, Mapping):
        raise TypeError(f"headers is a {type(given).__name__}; expected a dict")
    headers = [(str(name), text) for name, value in given.items() for text in _values(value)]
    if not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("content-type", events.JSON_TYPE))
    headers += [("set-cookie", str(cookie)) for cookie in result.get("cookies") or ()]
    return status, headers


def _values(value: Any) -> Iterable[str]:
    if isinstance(value, (list, tuple)):
        return [str(each) for each in value]
    if isinstance(value, bool):
        return ["true" if value else "false"]
    return [str(value)]


def _body(result: Mapping[str, Any]) -> bytes:
    body = result.get("body")
    if body is None:
        return b""
    if result.get("isBase64Encoded"):
        try:
            return base64.b64decode(body, validate=True)
        except (binascii.Error, TypeError, ValueError) as error:
            raise ValueError(f"isBase64Encoded is set, but body is not Base64: {error}") from error
    if isinstance(body, str):
        return body.encode()
    return bytes(body) if isinstance(body, (bytes, bytearray)) else events.to_json(body)
