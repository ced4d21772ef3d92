import json
from typing import Any

import pytest

from runtimes.python.plat_runtime import order
from runtimes.python.plat_runtime.order import OrderError
from tests.unit.runtimes.python.requests import make_order

ENVIRON = {
    "PLAT_HANDLER": "main.handler",
    "PLAT_FUNCTION": "hello",
    "PLAT_VERSION": "3",
    "PLAT_EVENT": "http",
    "PLAT_CONCURRENCY": "0",
    "PLAT_TIMEOUT_S": "2.5",
    "PLAT_MEMORY_MB": "64",
    "PLAT_CODE": "/code",
    "PLAT_INSTANCE": "abc",
}


def test_from_the_environment() -> None:
    given = order.from_environ(ENVIRON)
    assert given is not None
    assert (given.function, given.version, given.concurrency, given.timeout_s) == ("hello", 3, 0, 2.5)
    assert {**given.environ, "PLAT_INSTANCE": given.instance} == ENVIRON


@pytest.mark.parametrize("environ", [{}, {"PLAT_HANDLER": ""}, {"PLAT_FUNCTION": "hello"}])
def test_without_a_handler_an_instance_is_warm(environ: dict[str, str]) -> None:
    assert order.from_environ(environ) is None


@pytest.mark.parametrize(
    ("name", "value"),
    [("PLAT_VERSION", "x"), ("PLAT_VERSION", "1.5"), ("PLAT_TIMEOUT_S", ""), ("PLAT_EVENT", "x")],
)
def test_environments_to_refuse(name: str, value: str) -> None:
    key = name.removeprefix("PLAT_").lower()
    with pytest.raises(OrderError, match=f'{name}|"{key}"'):
        order.from_environ({**ENVIRON, name: value})


def test_the_users_variables_are_in_the_environment() -> None:
    assert make_order(env={"GREETING": "hi"}).environ["GREETING"] == "hi"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("version", "3"), ("version", True), ("version", None), ("handler", 1), ("event", "other"),
        ("timeout_s", "1"), ("env", {"A": 1}), ("env", []), ("code", None), ("concurrency", 1.5),
    ],
)  # fmt: skip
def test_orders_to_refuse(key: str, value: Any) -> None:
    with pytest.raises(OrderError, match=f'"{key}"'):
        make_order(**{key: value})


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"{}", b"\xff"])
def test_bodies_to_refuse(body: bytes) -> None:
    with pytest.raises(OrderError):
        order.from_json(body, "abc")


def test_from_json() -> None:
    values = {
        "function": "late", "version": 1, "handler": "a.b", "event": "body", "concurrency": 1,
        "timeout_s": 1, "memory_mb": 64, "code": "/code", "env": {"A": "b"},
    }  # fmt: skip
    given = order.from_json(json.dumps(values).encode(), "abc")
    assert (given.function, given.handler, given.env, given.instance) == ("late", "a.b", {"A": "b"}, "abc")
