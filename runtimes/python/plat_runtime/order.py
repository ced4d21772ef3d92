"""What an instance is asked to be: a function's version, by the environment or by /_plat/load."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any


class OrderError(Exception):
    """The order is not complete or not of the right types; the message names the key."""


_TYPES: dict[str, tuple[type, ...]] = {
    "function": (str,),
    "version": (int,),
    "handler": (str,),
    "event": (str,),
    "concurrency": (int,),
    "timeout_s": (int, float),
    "memory_mb": (int,),
    "code": (str,),
    "env": (dict,),
}


class Order:
    """`code` is the folder with the code; `env` the user's variables; `concurrency` 0 is unlimited."""

    __slots__ = (*_TYPES, "instance")

    function: str
    version: int
    handler: str
    event: str
    concurrency: int
    timeout_s: float
    memory_mb: int
    code: str
    env: dict[str, str]
    instance: str

    def __init__(self, values: Mapping[str, Any], instance: str) -> None:
        """Raises OrderError."""
        for key, types in _TYPES.items():
            value = values.get(key)
            if not isinstance(value, types) or isinstance(value, bool):
                raise OrderError(f'"{key}" is {value!r}; expected {" or ".join(t.__name__ for t in types)}.')
            setattr(self, key, value)
        if self.event not in ("body", "http"):
            raise OrderError(f'"event" is "{self.event}"; expected body or http.')
        if not all(isinstance(value, str) for value in self.env.values()):
            raise OrderError('"env" has a value that is not text.')
        self.instance = instance

    @property
    def environ(self) -> dict[str, str]:
        """What the function sees in its environment, however the order came."""
        return {
            "PLAT_FUNCTION": self.function,
            "PLAT_VERSION": str(self.version),
            "PLAT_HANDLER": self.handler,
            "PLAT_EVENT": self.event,
            "PLAT_CONCURRENCY": str(self.concurrency),
            "PLAT_TIMEOUT_S": f"{self.timeout_s:g}",
            "PLAT_MEMORY_MB": str(self.memory_mb),
            "PLAT_CODE": self.code,
            **self.env,
        }


def from_environ(environ: Mapping[str, str]) -> Order | None:
    """The order of an instance that starts with its function; None: it starts warm. Raises OrderError."""
    if not environ.get("PLAT_HANDLER"):
        return None
    values = {
        "function": environ.get("PLAT_FUNCTION", ""),
        "version": _number(environ, "PLAT_VERSION", "1"),
        "handler": environ["PLAT_HANDLER"],
        "event": environ.get("PLAT_EVENT", "body"),
        "concurrency": _number(environ, "PLAT_CONCURRENCY", "1"),
        "timeout_s": _number(environ, "PLAT_TIMEOUT_S", "30"),
        "memory_mb": _number(environ, "PLAT_MEMORY_MB", "128"),
        "code": environ.get("PLAT_CODE", "."),
        "env": {},
    }
    return Order(values, environ.get("PLAT_INSTANCE", ""))


def _number(environ: Mapping[str, str], name: str, default: str) -> float:
    text = environ.get(name, default)
    try:
        number = float(text)
    except ValueError as error:
        raise OrderError(f'{name} is "{text}"; expected a number.') from error
    return int(number) if number.is_integer() else number


def from_json(body: bytes, instance: str) -> Order:
    """The order of /_plat/load. Raises OrderError."""
    try:
        values = json.loads(body)
    except ValueError as error:
        raise OrderError(f"The body is not JSON: {error}.") from error
    if not isinstance(values, dict):
        raise OrderError("The body is not a JSON object.")
    return Order(values, instance)
