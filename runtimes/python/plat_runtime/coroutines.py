"""Call an asynchronous event handler: the request as event and context, its result as the answer."""

from __future__ import annotations

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
        except Exception as error:
            if exchange.is_gone:
                raise CallerGoneError from error
            if exchange.stream is None:
                exchange.respond(functions.failed(error, request))
            else:
                tracebacks.log_error(error)  # the connection is cut, which tells the caller

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


async def _next(items: AsyncGeneratorType[Any, Any]) -> Any:
    """The first item; None when there is none."""
    try:
        return await items.__anext__()
    except StopAsyncIteration:
        return None


async def _each(items: GeneratorType[Any, Any, Any]) -> AsyncIterator[Any]:
    for item in items:
        yield item
