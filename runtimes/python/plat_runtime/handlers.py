"""What kind of thing a handler is, and with how many arguments it wants to be called.

Decides by looking at the object only; imports and calls nothing.
"""

from __future__ import annotations

import functools
import inspect
import types
from collections.abc import Callable
from typing import Any

FUNCTION = "function"
ASYNC = "async"
ASGI = "asgi"
WSGI = "wsgi"

_NOT_PLAIN = inspect.CO_VARARGS | inspect.CO_VARKEYWORDS | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR


class HandlerShapeError(Exception):
    """No handler looks like this; the message says what one takes."""


class Handler:
    """`call(event, context)` for FUNCTION (may return a generator) and ASYNC (returns a coroutine or
    an asynchronous generator); `call` is the app itself for ASGI and WSGI."""

    __slots__ = ("call", "kind")

    def __init__(self, kind: str, call: Callable[..., Any]) -> None:
        self.kind = kind
        self.call = call


def of(target: Any, name: str) -> Handler:
    """Raises HandlerShapeError, naming `name`, when it is nothing that can be called as a handler."""
    if _is_usual(target):
        return Handler(FUNCTION, target)
    if not callable(target):
        raise HandlerShapeError(f'"{name}" is a {type(target).__name__}, not a function or an app.')
    names = _parameters(target)
    is_async = _is_async(target)
    if _is_asgi(target, names, is_async):
        return Handler(ASGI, target)
    if _is_wsgi(target, names):
        return Handler(WSGI, target)
    return Handler(ASYNC if is_async else FUNCTION, _with_arity(target, names, name))


def _is_usual(target: Any) -> bool:
    """`def handler(event, context)`: what all the rest below would find, at a tenth of its cost."""
    if type(target) is not types.FunctionType or target.__dict__:  # not wrapped, and not marked as anything
        return False
    code = target.__code__
    plain = not (code.co_kwonlyargcount or code.co_flags & _NOT_PLAIN)
    return plain and code.co_argcount == 2 and code.co_varnames[1] != "start_response"


def _is_async(target: Any) -> bool:
    inner = target
    while isinstance(inner, functools.partial):
        inner = inner.func
    candidates = (
        (inner,) if inspect.isroutine(inner) or inspect.isclass(inner) else (inner, type(inner).__call__)
    )
    return any(inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in candidates)


def _is_plain(target: Any) -> bool:
    return inspect.isroutine(target) or inspect.isclass(target) or isinstance(target, functools.partial)


def _is_asgi(target: Any, names: list[str] | None, is_async: bool) -> bool:
    """Three arguments, asynchronous: nothing else has this shape."""
    return is_async and names is not None and len(names) == 3 and not inspect.isclass(target)


def _is_wsgi(target: Any, names: list[str] | None) -> bool:
    """An object called with two arguments, unless they are named as a Lambda handler's (Mangum's are);
    of plain functions only one that says `start_response`, as most others are event handlers."""
    if names is None or len(names) != 2:
        return False
    if _is_plain(target):
        return names[1] == "start_response"
    return not _is_async(target) and names[0] != "event"


def _signature(target: Any) -> inspect.Signature | None:
    try:
        return inspect.signature(target)
    except (TypeError, ValueError):  # some built-in callables have none
        return None


def _parameters(target: Any) -> list[str] | None:
    """The names of the positional parameters that must be given; None: unknown, or any number."""
    signature = _signature(target)
    if signature is None:
        return None
    return [
        each.name
        for each in signature.parameters.values()
        if _is_positional(each) and each.default is each.empty
    ]


def _is_positional(parameter: inspect.Parameter) -> bool:
    return parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)


def _with_arity(target: Any, required: list[str] | None, name: str) -> Callable[..., Any]:
    """`target` as something that is called with event and context, and is given what it takes."""
    signature = _signature(target)
    if signature is None or required is None:
        return target  # type: ignore[no-any-return]
    parameters = list(signature.parameters.values())
    keywords = [
        each.name for each in parameters if each.kind is each.KEYWORD_ONLY and each.default is each.empty
    ]
    if len(required) > 2 or keywords:
        wanted = ", ".join([*required, *keywords])
        raise HandlerShapeError(
            f'"{name}" takes ({wanted}); a handler takes (event, context), (event) or ().'
        )
    takes = 2 if any(each.kind is each.VAR_POSITIONAL for each in parameters) else 0
    takes = max(takes, min(2, sum(map(_is_positional, parameters))))
    if takes == 2:
        return target  # type: ignore[no-any-return]
    if takes == 1:
        return lambda event, _context: target(event)
    return lambda _event, _context: target()
