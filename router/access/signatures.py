"""Signatures of webhooks: what a call's headers claim, and whether its body bears it out. Decides only.

Time is passed in. The forms are GitHub's and the like (docs.github.com, "Validating webhook deliveries"),
Stripe's (docs.stripe.com/webhooks#verify-manually), Slack's (docs.slack.dev, "Verifying requests from Slack")
and that of Standard Webhooks (standardwebhooks.com).
"""

import base64
import binascii
import hmac
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

from plat.errors import PlatError
from plat.signing import SUFFIX, Signing

TOLERANCE_S = 300
"""How far a timestamp may be from now, either way: what Stripe, Slack and Standard Webhooks recommend."""

HEADER_CHARACTERS = 4096
SIGNATURES_LIMIT = 16
"""In one header: whoever signs is between two keys, not among many."""

_DIGEST_BYTES = {"sha1": 20, "sha256": 32, "sha512": 64}
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"(?:[0-9a-fA-F]{2})+")
_ID = re.compile(r"[\x21-\x2d\x2f-\x7e]{1,256}")
"""Without a full stop: it ends the id in what is signed."""


class RequestHeaders(Protocol):
    def getall(self, name: str, default: Sequence[str]) -> Sequence[str]: ...


class Claim(NamedTuple):
    """What a call says of itself."""

    digests: list[bytes]
    """It is enough if one is right."""
    prefix: bytes = b""
    """What is signed before the body."""
    at: int | None = None
    """When it was signed, in seconds since 1970."""


class BadSignatureError(PlatError):
    """`reason`: missing, malformed, expired, mismatch."""

    def __init__(self, header: str, reason: str, detail: str) -> None:
        challenge = ("WWW-Authenticate", f'HMAC realm="plat", header="{header}"')
        super().__init__("bad_signature", detail, reason=reason, headers=(challenge,))


class Check:
    """One call's: `feed` it the body as it comes, then ask `holds`. A long body costs a bit at a time."""

    def __init__(self, signing: Signing, claim: Claim) -> None:
        algorithm = signing.algorithm if signing.algorithm in _DIGEST_BYTES else "sha256"
        self._claim = claim
        self._macs = [hmac.new(key, claim.prefix, algorithm) for key in signing.keys]

    def feed(self, piece: bytes) -> None:
        for mac in self._macs:
            mac.update(piece)

    def holds(self) -> bool:
        """Whether one key has made one of the signatures. Takes as long wherever they differ."""
        found = False
        for mac in self._macs:
            ours = mac.digest()
            for digest in self._claim.digests:
                found |= hmac.compare_digest(ours, digest)
        return found


def begin(signing: Signing, headers: RequestHeaders, now: float) -> Check | PlatError:
    """What can be said before the body: why the call cannot go on, or how to check it. `now`: since 1970."""
    if not signing.keys:
        detail = "The secret of the function's signatures is not at hand, or is empty."
        return PlatError("signing_key_unavailable", detail, retry_after_s=1)
    claim = _claim_of(signing, headers)
    if isinstance(claim, PlatError):
        return claim
    if claim.at is not None and abs(now - claim.at) > TOLERANCE_S:
        away = f"{abs(now - claim.at):.0f} s {'old' if claim.at < now else 'in the future'}"
        detail = f"The signature is {away}; allowed are {TOLERANCE_S}."
        return BadSignatureError(signing.header, "expired", detail)
    return Check(signing, claim)


def mismatch(signing: Signing) -> BadSignatureError:
    detail = f"The signature in {signing.header} is not that of this body with the function's secret."
    return BadSignatureError(signing.header, "mismatch", detail)


def _claim_of(signing: Signing, headers: RequestHeaders) -> Claim | PlatError:
    value = _only(headers, signing.header)
    if value is None:
        detail = f"Calls of this function need one header {signing.header} with the body's signature."
        return BadSignatureError(signing.header, "missing", detail)
    read = _READERS.get(signing.algorithm, _plain)
    claim = read(value, signing, headers) if len(value) <= HEADER_CHARACTERS else None
    if claim is None or not 0 < len(claim.digests) <= SIGNATURES_LIMIT:
        detail = f"The header {signing.header} is no signature: expected {_FORMS[signing.algorithm]}."
        return BadSignatureError(signing.header, "malformed", detail)
    return claim


def _only(headers: RequestHeaders, name: str) -> str | None:
    """The value of a header that must be there once."""
    values = headers.getall(name, ())
    return values[0] if len(values) == 1 else None


# --- the forms


def _plain(value: str, signing: Signing, headers: RequestHeaders) -> Claim | None:
    """`sha256=<hex>`, or without the algorithm's name; base64 in the place of hex."""
    digest = _digest(value.removeprefix(f"{signing.algorithm}="), _DIGEST_BYTES[signing.algorithm])
    return None if digest is None else Claim([digest])


def _stripe(value: str, signing: Signing, headers: RequestHeaders) -> Claim | None:
    """`t=<seconds>,v1=<hex>[,v1=<hex>]`; what else is in it is of no use to us."""
    pairs = [each.partition("=") for each in value.split(",")]
    times = [time for name, _, time in pairs if name == "t"]
    if len(times) != 1 or _TIMESTAMP.fullmatch(times[0]) is None:
        return None
    found = [_from_hex(digest) for name, _, digest in pairs if name == "v1"]
    digests = [digest for digest in found if digest is not None]
    return Claim(digests, f"{times[0]}.".encode(), int(times[0]))


def _slack(value: str, signing: Signing, headers: RequestHeaders) -> Claim | None:
    """`v0=<hex>`, and the time in the header X-Slack-Request-Timestamp."""
    time = _only(headers, _beside(signing, "request-timestamp"))
    version, _, text = value.partition("=")
    digest = _from_hex(text)
    if version != "v0" or digest is None or time is None or _TIMESTAMP.fullmatch(time) is None:
        return None
    return Claim([digest], f"v0:{time}:".encode(), int(time))


def _standard(value: str, signing: Signing, headers: RequestHeaders) -> Claim | None:
    """`v1,<base64>[ v1,<base64>]`, and the headers webhook-id and webhook-timestamp."""
    identity, time = _only(headers, _beside(signing, "id")), _only(headers, _beside(signing, "timestamp"))
    if identity is None or _ID.fullmatch(identity) is None:
        return None
    if time is None or _TIMESTAMP.fullmatch(time) is None:
        return None
    pairs = [each.partition(",") for each in value.split(" ")]
    found = [_from_base64(digest) for version, _, digest in pairs if version == "v1"]
    digests = [digest for digest in found if digest is not None and len(digest) == 32]
    return Claim(digests, f"{identity}.{time}.".encode(), int(time))


_READERS: dict[str, Callable[[str, Signing, RequestHeaders], Claim | None]] = {
    "stripe": _stripe,
    "slack": _slack,
    "standard-webhooks": _standard,
}
_FORMS = {
    "sha1": "sha1=<hex>, <hex> or <base64>, of 20 bytes",
    "sha256": "sha256=<hex>, <hex> or <base64>, of 32 bytes",
    "sha512": "sha512=<hex>, <hex> or <base64>, of 64 bytes",
    "stripe": "t=<seconds>,v1=<hex>",
    "slack": "v0=<hex>, and the time in the header beside it",
    "standard-webhooks": "v1,<base64>, and the id and the time in the headers beside it",
}


def _beside(signing: Signing, name: str) -> str:
    """`webhook-signature` has `webhook-id` beside it, and `svix-signature` `svix-id`."""
    return signing.header[: -len(SUFFIX)] + name


def _digest(text: str, size: int) -> bytes | None:
    found = _from_hex(text, size) if len(text) == 2 * size else _from_base64(text)
    return found if found is not None and len(found) == size else None


def _from_hex(text: str, size: int = 32) -> bytes | None:
    """In either case: what is compared are the bytes."""
    return bytes.fromhex(text) if len(text) == 2 * size and _HEX.fullmatch(text) else None


def _from_base64(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        return None
