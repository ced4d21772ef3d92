import json
from typing import Any

import pytest

from runtimes.python.plat_runtime.loader import LoadError
from runtimes.python.plat_runtime.order import Order
from runtimes.python.plat_runtime.pages import Pages
from tests.unit.runtimes.python.requests import make_order, make_request

HEALTH = make_request("GET", "/_plat/health")
LOAD = make_request("POST", "/_plat/load")

ORDER = {
    "function": "late", "version": 1, "handler": "a.b", "event": "body", "concurrency": 1,
    "timeout_s": 1, "memory_mb": 64, "code": "/code", "env": {},
}  # fmt: skip


class Loading:
    """Pages, and the orders that they accepted."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.pages = Pages("abc", self.orders.append, lambda: 2)

    def ask(self, request: Any, body: bytes = b"") -> tuple[int, Any] | None:
        response = self.pages.answer(request, body)
        return None if response is None else (response.status, json.loads(response.body))


def test_from_warm_to_ready() -> None:
    loading = Loading()
    assert loading.ask(HEALTH) == (200, {"warm": True, "rehearses": True})
    assert loading.ask(LOAD, json.dumps(ORDER).encode()) is None
    assert [each.function for each in loading.orders] == ["late"]
    assert loading.ask(HEALTH) is None
    status, refused = loading.ask(LOAD, json.dumps(ORDER).encode()) or (0, {})
    assert (status, refused["code"]) == (409, "already_loaded")
    loading.pages.ready()
    assert json.loads(loading.pages.outcome(LOAD).body) == {"function": "late", "version": 1, "in_flight": 2}
    assert loading.ask(HEALTH) == (200, {"function": "late", "version": 1, "in_flight": 2})


def test_a_failure_is_told_to_both() -> None:
    loading = Loading()
    loading.pages.loading(make_order())
    loading.pages.failed(LoadError("handler_import_failed", "It failed.", "trace"))
    told = {"code": "handler_import_failed", "detail": "It failed.", "traceback": "trace"}
    assert loading.ask(HEALTH) == (503, told)
    assert loading.pages.outcome(LOAD).status == 422
    assert json.loads(loading.pages.refusal().body) == told


@pytest.mark.parametrize("body", [b"", b"[]", json.dumps(ORDER | {"version": None}).encode()])
def test_a_wrong_order_changes_nothing(body: bytes) -> None:
    loading = Loading()
    status, _ = loading.ask(LOAD, body) or (0, None)
    assert (status, loading.orders, loading.pages.state) == (400, [], "warm")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/_plat/load", 405), ("POST", "/_plat/health", 405), ("GET", "/_plat/", 404)],
)
def test_pages_that_are_none(method: str, path: str, status: int) -> None:
    answer = Loading().ask(make_request(method, path))
    assert answer is not None
    assert answer[0] == status
