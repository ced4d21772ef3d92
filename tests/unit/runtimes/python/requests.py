"""Requests and orders for the unit tests of the Python runtime."""

from typing import Any

from runtimes.python.plat_runtime.http1 import Request
from runtimes.python.plat_runtime.order import Order


def make_request(method: str = "POST", target: str = "/", /, **fields: str) -> Request:
    pairs = [(name.replace("_", "-"), value) for name, value in fields.items()]
    return Request(method, target, True, pairs)


def make_order(**changes: Any) -> Order:
    values: dict[str, Any] = {
        "function": "hello",
        "version": 3,
        "handler": "main.handler",
        "event": "body",
        "concurrency": 1,
        "timeout_s": 30,
        "memory_mb": 128,
        "code": ".",
        "env": {},
    }
    return Order(values | changes, "0123456789abcdef")
