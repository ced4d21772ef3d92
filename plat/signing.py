"""Signed webhooks: the algorithms, their headers and keys, and what routers are told of a function's.

Decides only. What a key is, is known here; whether a signature is right, to `router.access.signatures`.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Algorithm = Literal["sha256", "sha1", "sha512", "stripe", "slack", "standard-webhooks"]

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
_NOT_SIGNATURES = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "idempotency-key",
        "keep-alive",
        "origin",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-call-id",
        "x-deadline-ms",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-prefix",
        "x-forwarded-proto",
    }
)
"""Headers that mean something else, here or to HTTP."""

SUFFIX = "signature"
_WITH_MORE_HEADERS = ("slack", "standard-webhooks")
"""Algorithms that sign what other headers say too; those have names like that of the signature."""

_STANDARD_PREFIX = "whsec_"


class Signing(Struct, frozen=True, gc=False):
    """How the calls of a function are signed. No text that is made of it shows the keys."""

    header: str
    algorithm: str
    keys: tuple[bytes, ...]
    """Any of them is good. None: the secret is not at hand, and no call may go on."""

    def __repr__(self) -> str:
        return f"Signing({self.header!r}, {self.algorithm!r}, {len(self.keys)} keys)"


def header_fault(header: str, algorithm: Algorithm) -> str | None:
    """Why calls cannot bring their signature in this header; None: they can."""
    if _HEADER.fullmatch(header) is None:
        return "expected the name of a header, as in X-Hub-Signature-256"
    if header.lower() in _NOT_SIGNATURES:
        return "that header means something else: expected the one that has the signature"
    if algorithm in _WITH_MORE_HEADERS and not header.lower().endswith(SUFFIX):
        return f'with algorithm = "{algorithm}" expected a name that ends with "{SUFFIX}"'
    return None


def key_of(algorithm: str, secret: str) -> bytes | None:
    """The bytes to sign with; None: the secret is no key, and an empty one would be everybody's."""
    if algorithm != "standard-webhooks":
        return secret.encode() or None
    try:
        return base64.b64decode(secret.removeprefix(_STANDARD_PREFIX), validate=True) or None
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None


def keys_of(algorithm: str, secrets: Sequence[str]) -> tuple[bytes, ...]:
    """Those of the secrets that are keys."""
    return tuple(key for secret in secrets if (key := key_of(algorithm, secret)) is not None)
