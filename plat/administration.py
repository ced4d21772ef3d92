"""Users, tokens, secrets and the audit as msgspec types: what the API takes and answers.

Types and their bounds only, as in `model`.
"""

from datetime import datetime
from typing import Annotated

from msgspec import Meta, Struct

from plat.model import EnvValue, SecretName
from plat.scopes import Scope

UserName = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9][a-z0-9._@+-]{0,62}$(?!\n)",
        description="lower-case letters, digits and . _ @ + -, 1 to 63 of them, a letter or digit first",
    ),
]
TokenName = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._@+-]{0,62}$(?!\n)",
        description="letters, digits, spaces and . _ @ + -, 1 to 63 of them, a letter or digit first",
    ),
]
TokenId = Annotated[str, Meta(pattern=r"^[a-z0-9]{1,32}$(?!\n)", description="lower-case letters and digits")]


class TokenRequest(Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What `POST /v1/tokens` takes."""

    name: TokenName
    scopes: Annotated[list[Scope], Meta(min_length=1, max_length=100)]
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    owner: UserName | None = None


class Token(Struct, frozen=True, kw_only=True):
    """A token as the API shows it: never the token itself."""

    id: TokenId
    name: TokenName
    owner: UserName | None
    scopes: list[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """Exact to about a minute."""


class CreatedToken(Token, frozen=True, kw_only=True):
    """The answer to the token's making, the only one that shows it."""

    token: str


class User(Struct, frozen=True, kw_only=True):
    name: UserName
    created_at: datetime


class UserRequest(Struct, frozen=True, forbid_unknown_fields=True):
    name: UserName


class TokenPage(Struct, frozen=True):
    items: list[Token]
    next: str | None
    """Hand it back as `after` for the next page; null on the last."""


class UserPage(Struct, frozen=True):
    items: list[User]
    next: str | None


class SecretRequest(Struct, frozen=True, forbid_unknown_fields=True):
    """What `PUT /v1/secrets/<name>` takes."""

    value: EnvValue

    def __repr__(self) -> str:
        return "SecretRequest(value not shown)"


class Secret(Struct, frozen=True, kw_only=True):
    """A secret as the API shows it: never its value."""

    name: SecretName
    created_at: datetime
    updated_at: datetime
    key: str
    """The id of the key that it is encrypted with."""


class SecretPage(Struct, frozen=True):
    items: list[Secret]
    next: str | None


class KeyRotation(Struct, frozen=True):
    """The answer to a rotation: with which key how many secrets are encrypted from now on."""

    key: str
    secrets: int


class AuditEntry(Struct, frozen=True, kw_only=True):
    """Who changed what, or tried to. Entries are never changed and never removed."""

    id: Annotated[int, Meta(ge=1)]
    at: datetime
    actor: str | None
    """The id of the token; null where it was no valid one."""
    owner: str | None
    """The user that the token belongs to."""
    address: str
    """Where the request came from."""
    action: str
    """The operation's name: `deploy`, `set_live`, `create_token`, ..."""
    function: str | None
    object: str | None
    """What else it was about: a token's id, a user's or secret's name, a version's number."""
    outcome: str
    """`ok`, or the code of the error."""
    call_id: str
    unrecorded: int = 0
    """Failures before this one that came too fast to be written down one by one."""


class AuditPage(Struct, frozen=True):
    items: list[AuditEntry]
    next: str | None
