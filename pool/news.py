"""What control says, done: the table changed, and what is left of a change told to those it concerns.

A table told again is merged: a function that has not changed costs a comparison, and a router hears nothing.
"""

import asyncio
from collections.abc import Callable

from plat.feed import (
    FromControl,
    FunctionDropped,
    FunctionEntry,
    FunctionPut,
    Table,
    TablePart,
    TokenDropped,
    TokenEntry,
    TokenPut,
    TokensPart,
)
from plat.parts import SLICE
from pool.dispatch import Dispatcher
from pool.table import FunctionTable


class News:
    """`forget` is told the names of functions that are gone for good."""

    def __init__(self, table: FunctionTable, dispatcher: Dispatcher, forget: Callable[[str], None]) -> None:
        self._table = table
        self._dispatcher = dispatcher
        self._forget = forget
        self.loaded = asyncio.Event()
        """Set once the whole table is there."""

    async def hear(self, message: FromControl) -> None:
        """Gives others a turn after each part of a long table. Cancelled in one, the next table mends it."""
        match message:
            case Table():
                self._table.begin()
                self._table.tokens.begin()
            case TokensPart() | TokenPut() | TokenDropped():
                self._hear_of_tokens(message)
                await asyncio.sleep(0)
            case TablePart(functions, last):
                for function in functions:
                    self._heard(function)
                await asyncio.sleep(0)
                if last:
                    await self._end()
            case FunctionPut(function):
                self._table.put(function)
                self._dispatcher.function_put(function)
            case FunctionDropped(name):
                self._drop(name)
            case _:
                raise AssertionError(f"unknown message {message!r}")

    def _hear_of_tokens(self, message: TokensPart | TokenPut | TokenDropped) -> None:
        """Routers are told at once, one by one."""
        match message:
            case TokensPart(tokens, last):
                for token in tokens:
                    self._token_put(token)
                for identity in self._table.tokens.end() if last else ():
                    self._token_dropped(identity)
            case TokenPut(token):
                self._token_put(token)
            case TokenDropped(identity):
                if self._table.tokens.drop(identity):
                    self._token_dropped(identity)

    def _token_put(self, token: TokenEntry) -> None:
        if self._table.tokens.put(token) and self._table.loaded:
            self._dispatcher.broadcast(TokenPut(token))

    def _token_dropped(self, identity: str) -> None:
        if self._table.loaded:
            self._dispatcher.broadcast(TokenDropped(identity))

    def _heard(self, function: FunctionEntry) -> None:
        former = self._table.put(function)
        if self._table.loaded and former != function:
            self._dispatcher.function_put(function)

    async def _end(self) -> None:
        gone: list[str] = []
        for names in self._table.unheard():
            gone += names
            await asyncio.sleep(0)
        for number, name in enumerate(gone, start=1):
            self._drop(name)
            if number % SLICE == 0:
                await asyncio.sleep(0)
        was_loaded = self._table.loaded
        self._table.end()
        if not was_loaded:
            self._dispatcher.table_replaced()
        else:
            self._dispatcher.sweep()
        self.loaded.set()

    def _drop(self, name: str) -> None:
        self._table.drop(name)
        self._dispatcher.function_dropped(name)
        self._forget(name)
