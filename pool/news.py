"""What control says, done: the table changed, and what is left of a change told to those it concerns.

A table told again is merged: a function that has not changed costs a comparison, and a router hears nothing.
"""

import asyncio
from collections.abc import Callable

from plat.feed import FromControl, FunctionDropped, FunctionEntry, FunctionPut, Table, TablePart
from pool.dispatch import Dispatcher
from pool.table import FunctionTable


class News:
    """`forget` is told the names of functions that are gone for good."""

    def __init__(self, table: FunctionTable, dispatcher: Dispatcher, forget: Callable[[str], None]) -> None:
        self._table = table
        self._dispatcher = dispatcher
        self._forget = forget
        self._tokens_changed = False
        self.loaded = asyncio.Event()
        """Set once the whole table is there."""

    async def hear(self, message: FromControl) -> None:
        """Gives others a turn after each part of a long table. Cancelled in one, the next table mends it."""
        match message:
            case Table(tokens):
                self._tokens_changed |= tokens != self._table.tokens  # also by a table that broke off
                self._table.begin(tokens)
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

    def _heard(self, function: FunctionEntry) -> None:
        former = self._table.put(function)
        if self._table.loaded and former != function:
            self._dispatcher.function_put(function)

    async def _end(self) -> None:
        for names in self._table.unheard():
            for name in names:
                self._drop(name)
            await asyncio.sleep(0)
        was_loaded = self._table.loaded
        self._table.end()
        if self._tokens_changed or not was_loaded:
            self._tokens_changed = False
            self._dispatcher.table_replaced()
        else:
            self._dispatcher.sweep()
        self.loaded.set()

    def _drop(self, name: str) -> None:
        self._table.drop(name)
        self._dispatcher.function_dropped(name)
        self._forget(name)
