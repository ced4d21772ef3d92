"""Call an asynchronous event handler: the request as event and context, its result as the answer."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Callable
from types import AsyncGeneratorType, GeneratorType
from typing import Any

from . import events, functions, tracebacks
from .context import Context
from .exchange import CallerGoneError, Exchange
from .order import Order


class AsyncFunctionCaller:
    """Answers an exchange. Cancelling it cancels the handler."""

    def __init__(self, call: Callable[[Any, Any], Any], order: Order) -> None:
        self._call = call
        self._order = order
        self._event = functions.event_maker(order)
        self._response = functions.response_maker(order)

    async def __call__(self, exchange: Exchange) -> None:
        """Raises CallerGoneError."""
        request = exchange.request
        body = await exchange.read_all()
        try:
            result = self._call(self._event(request, body), Context(self._order, request))
            if inspect.isawaitable(result):
                result = await result
            if isinstance(result, GeneratorType):
                result = _each(result)
            if isinstance(result, AsyncGeneratorType):
                await self._stream(exchange, result)
            else:
                exchange.respond(self._response(result))
        except (Exception, asyncio.CancelledError) as error:
            tell(exchange, error)

    async def _stream(self, exchange: Exchange, items: AsyncGeneratorType[Any, Any]) -> None:
        try:
            first = await _next(items)
            head = functions.StreamHead(self._order, exchange.request, first)
            start = b"" if head.is_item or first is None else events.stream_piece(first)
            exchange.begin(head.status, head.headers, None, start)
            if exchange.request.method != "HEAD":
                async for item in items:
                    exchange.send(events.stream_piece(item))
                    await exchange.drain()
            exchange.finish()
        finally:
            await items.aclose()


def tell(exchange: Exchange, error: BaseException) -> None:
    """Log what the handler raised; answer it, or leave the answer in pieces, so that the caller is cut.

    Raises the CancelledError of a handler that was cancelled because its caller has left.
    """
    if exchange.is_gone and isinstance(error, asyncio.CancelledError):
        raise error
    if exchange.is_gone and isinstance(error, CallerGoneError):
        return
    if exchange.is_gone or exchange.is_answered or exchange.stream is not None:
        tracebacks.log_error(error)
    else:
        exchange.respond(functions.failed(error, exchange.request))


async def _next(items: AsyncGeneratorType[Any, Any]) -> Any:
    """The first item; None when there is none."""
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return None


async def _each(items: GeneratorType[Any, Any, Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
