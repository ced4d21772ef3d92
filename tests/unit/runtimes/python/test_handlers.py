import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from typing import Any

import pytest

from runtimes.python.plat_runtime import handlers
from runtimes.python.plat_runtime.handlers import HandlerShapeError


def function(event: Any, context: Any) -> Any:
    return event, context


def generator(event: Any) -> Iterator[Any]:
    yield event


async def coroutine(event: Any, context: Any) -> Any:
    return event, context


async def async_generator(event: Any) -> AsyncIterator[Any]:
    yield event


async def asgi(scope: Any, receive: Any, send: Any) -> None:
    pass


def wsgi(environ: Any, start_response: Any) -> list[bytes]:
    return []


class Wsgi:
    """As Flask is."""

    def __call__(self, environ: Any, start_response: Any) -> Iterable[bytes]:
        return []


class FalconLike:
    def __call__(self, env: Any, start: Any) -> Iterable[bytes]:
        return []


class Asgi:
    """As Starlette is."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        pass


class Adapter:
    """As Mangum is."""

    def __call__(self, event: Any, context: Any) -> Any:
        return event

    def method(self, event: Any) -> Any:
        return event


class AsyncObject:
    async def __call__(self, event: Any) -> Any:
        return event


def decorated(inner: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(inner)
    def wrapper(*arguments: Any) -> Any:
        return inner(*arguments)

    return wrapper


def with_bound(app: Callable[..., Awaitable[None]]) -> Any:
    async def middleware(scope: Any, receive: Any, send: Any) -> None:
        await app(scope, receive, send)

    return middleware


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        (function, handlers.FUNCTION),
        (generator, handlers.FUNCTION),
        (decorated(function), handlers.FUNCTION),
        (functools.partial(function, 1), handlers.FUNCTION),
        (functools.lru_cache(function), handlers.FUNCTION),
        (lambda: None, handlers.FUNCTION),
        (len, handlers.FUNCTION),
        (dict, handlers.FUNCTION),
        (Adapter(), handlers.FUNCTION),
        (Adapter().method, handlers.FUNCTION),
        (coroutine, handlers.ASYNC),
        (async_generator, handlers.ASYNC),
        (functools.partial(coroutine, 1), handlers.ASYNC),
        (AsyncObject(), handlers.ASYNC),
        (asgi, handlers.ASGI),
        (with_bound(asgi), handlers.ASGI),
        (Asgi(), handlers.ASGI),
        (wsgi, handlers.WSGI),
        (Wsgi(), handlers.WSGI),
        (Wsgi().__call__, handlers.WSGI),
        (FalconLike(), handlers.WSGI),
    ],
)
def test_kinds(target: Any, kind: str) -> None:
    assert handlers.of(target, "main.x").kind == kind


def wide(a: Any, b: Any, c: Any) -> None:
    pass


def keyword(event: Any, *, needed: Any) -> None:
    pass


async def async_wide(a: Any, b: Any, c: Any, d: Any) -> None:
    pass


@pytest.mark.parametrize("target", [wide, keyword, async_wide, 5, None, "text", {"a": 1}])
def test_what_is_no_handler(target: Any) -> None:
    with pytest.raises(HandlerShapeError, match=r"main\.x"):
        handlers.of(target, "main.x")


def optional(event: Any, context: Any = None, more: int = 3) -> Any:
    return event, context, more


@pytest.mark.parametrize(
    ("target", "result"),
    [
        (lambda: "none", "none"),
        (lambda event: event, "event"),
        (lambda event, context: (event, context), ("event", "context")),
        (lambda *all_: all_, ("event", "context")),
        (lambda event, *rest: (event, rest), ("event", ("context",))),
        (lambda event, /, context: (event, context), ("event", "context")),
        (lambda event, *, option=1: (event, option), ("event", 1)),
        (optional, ("event", "context", 3)),
        (functools.partial(optional, more=5), ("event", "context", 5)),
    ],
)
def test_a_handler_is_given_what_it_takes(target: Any, result: Any) -> None:
    assert handlers.of(target, "main.x").call("event", "context") == result
