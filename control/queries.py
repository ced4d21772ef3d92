"""Query parameters of the API as typed structs. No parameter is ignored: an unknown one is an error."""

from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar, get_args

import msgspec
from aiohttp import web
from msgspec import UNSET, Meta, Struct, UnsetType

from plat.administration import TokenId, UserName
from plat.decoding import describe
from plat.errors import PlatError
from plat.model import FunctionName, SecretName, VersionNumber
from plat.nearest import did_you_mean

PageLimit = Annotated[int, Meta(ge=1, le=1000, description="items on a page")]
Moment = Annotated[datetime, Meta(tz=True)]
MAX_TAIL = 100_000

T = TypeVar("T", bound=Struct)

QUERY: web.RequestKey[Any] = web.RequestKey("query", Struct)
"""What an operation's handler finds in the request: a struct of its `query` type."""


class NoQuery(Struct, frozen=True):
    pass


class FunctionsQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: FunctionName | UnsetType = UNSET


class VersionsQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: VersionNumber | UnsetType = UNSET


class TokensQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: TokenId | UnsetType = UNSET


class UsersQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: UserName | UnsetType = UNSET


class SecretsQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: SecretName | UnsetType = UNSET


class AuditQuery(Struct, frozen=True):
    limit: PageLimit = 100
    after: Annotated[int, Meta(ge=1, le=2**63 - 1, description="an entry's id")] | UnsetType = UNSET
    function: FunctionName | UnsetType = UNSET
    actor: TokenId | UnsetType = UNSET
    action: (
        Annotated[str, Meta(pattern=r"^[a-z_]{1,32}$(?!\n)", description="an operation's name")] | UnsetType
    ) = UNSET
    since: Moment | UnsetType = UNSET


class LogsQuery(Struct, frozen=True):
    tail: Annotated[int, Meta(ge=0, le=MAX_TAIL, description="lines of the past")] = 100
    follow: bool = False


def decode_query(given: Iterable[tuple[str, str]], kind: type[T]) -> T:
    """Raises PlatError `invalid` naming the parameter, its value and what is allowed."""
    pairs = list(given)
    fields = {field.name: field.type for field in msgspec.structs.fields(kind)}
    for name, count in Counter(name for name, _ in pairs).items():
        if name not in fields:
            raise PlatError("invalid", f'Unknown query parameter "{name}".{_known(name, fields)}')
        if count > 1:
            raise PlatError("invalid", f'The query parameter "{name}" is given {count} times: expected once.')
    return msgspec.convert({name: _value(name, text, fields[name]) for name, text in pairs}, kind)


def _known(name: str, fields: Iterable[str]) -> str:
    return did_you_mean(name, fields) or (
        f" Known: {', '.join(fields)}." if fields else " There is none here."
    )


def _value(name: str, text: str, kind: object) -> object:
    try:
        # Not strict, a number of seconds would be a time too.
        return msgspec.convert(text, kind, strict=Moment in get_args(kind))
    except msgspec.ValidationError as error:
        raise PlatError("invalid", f'{name} = "{text}": expected {describe(kind)}.') from error
