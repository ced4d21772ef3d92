"""JSON Web Tokens: those that are right, and those that attackers send."""

import time
from typing import Any

import pytest

from plat.errors import PlatError
from router.access import jwt as ours
from router.access.bearers import UnknownKeyError
from router.access.identity import Identity
from router.access.jwt import Claims, Jwts
from router.access.jwt_keys import Key, KeySet, keys_of_pem, secret_key
from tests.unit.router.jwt_samples import (
    EC,
    ED,
    NOW,
    OTHER_RSA,
    RSA,
    SECRET,
    encoded,
    forged,
    pem,
    signed,
)

OWN = [secret_key(SECRET), *keys_of_pem(pem(RSA) + pem(EC) + pem(ED))]
CHECKED = Claims(issuer="https://issuer", audience="plat")
RIGHT = {"iss": "https://issuer", "aud": "plat"}


class Source:
    """More keys, or not."""

    def __init__(self, *, may_know_more: bool = True) -> None:
        self.knows_more = may_know_more
        self.asked = 0

    def may_know_more(self, now: float) -> bool:
        return self.knows_more

    async def refresh(self) -> None:
        self.asked += 1


def jwts(claims: Claims | None = None, keys: list[Key] | None = None, source: Source | None = None) -> Jwts:
    return Jwts(KeySet(OWN if keys is None else keys), claims or Claims(), source)


def identity(token: str, *, of: Jwts | None = None, now: float = NOW) -> Identity:
    found = (of or jwts()).of(f"Bearer {token}", now)
    assert isinstance(found, Identity), found
    return found


def refused(authorization: str | None, *, of: Jwts | None = None, now: float = NOW) -> PlatError:
    """Twice: what is wrong is not remembered as right."""
    known = of or jwts()
    errors = [known.of(authorization, now) for _ in range(2)]
    for error in errors:
        assert isinstance(error, PlatError)
        assert (error.code, error.status) == ("unauthorized", 401)
    assert len(known._remembered) == 0
    assert isinstance(errors[0], PlatError)
    return errors[0]


@pytest.mark.parametrize(
    ("key", "algorithm"),
    [(SECRET, "HS256"), (RSA, "RS256"), (EC, "ES256"), (ED, "EdDSA")],
    ids=["HS256", "RS256", "ES256", "EdDSA"],
)
def test_tokens_that_are_right(key: Any, algorithm: str) -> None:
    found = identity(signed(key, algorithm))
    assert (found.id, found.expires_at) == ("jwt:ann", NOW + 60)
    assert [found.may_invoke(each) for each in ("shop-cart", "other")] == [True, False]


# --- attacks

WITH_PEM = {"key": pem(RSA).encode()}

NO_ALGORITHM = ("none", "None", "NONE", "nOnE", "none ", "", None, 0, ["none"])
HMAC = SECRET.encode()

FORGED = {
    **{f"alg {alg!r}": forged({"alg": alg}) for alg in NO_ALGORITHM},
    "alg none without signature": forged({"alg": "none"}, signature=b""),
    "alg none, two parts": forged({"alg": "none"}, signature=None),
    "no alg": forged({"typ": "JWT"}),
    "alg HS256 with the public key": forged({"alg": "HS256"}, **WITH_PEM),
    "alg HS256 with the public key, stripped": forged({"alg": "HS256"}, key=pem(RSA).strip().encode()),
    "alg HS256 with the empty secret": forged({"alg": "HS256"}, key=b"\0"),
    "alg HS384": forged({"alg": "HS384"}, key=HMAC),
    "alg hs256": forged({"alg": "hs256"}, key=HMAC),
    "alg RS256 with an HMAC": forged({"alg": "RS256"}, key=HMAC),
    "alg ES256 with zeros": forged({"alg": "ES256"}, signature=bytes(64)),
    "alg ES256 with nothing": forged({"alg": "ES256"}, signature=b""),
    "alg EdDSA with zeros": forged({"alg": "EdDSA"}, signature=bytes(64)),
    "alg RS512": signed(RSA, "RS512"),
    "alg PS256": signed(RSA, "PS256"),
    "another RSA key": signed(OTHER_RSA),
    "another secret": signed(SECRET[::-1], "HS256"),
    "alg twice": forged(b'{"alg":"HS256","alg":"none"}'),
    "two signatures": signed() + "." + signed().rpartition(".")[2],
    "truncated": signed()[:-10],
    "without signature": signed().rpartition(".")[0],
    "with an empty signature": signed().rpartition(".")[0] + ".",
    "payload of another": ".".join((signed().split(".")[0], encoded(b'{"exp":9e9}'), signed().split(".")[2])),
    "extra dot before": "." + signed(),
    "extra dot after": signed() + ".",
    "extra dots inside": signed().replace(".", ".."),
    "only dots": "..",
    "five parts": signed() + ".a.b",
    "padded": signed() + "=",
    "line break": signed() + "\n",
    "space inside": signed().replace(".", ". ", 1),
    "other base64": signed().replace("-", "+").replace("_", "/") + "+/",
    "not ASCII": signed() + "é",
    "surrogate": signed() + "\udcff",
    "header not UTF-8": encoded(b'{"alg":"HS256\xff"}') + ".e30.c2ln",
    "header no object": forged([1, 2]),
    "header nested without end": forged(b'{"alg":' + b"[" * 3000),
    "payload no object": forged({"alg": "HS256"}, payload=[1], key=HMAC),
    "payload no JSON": forged({"alg": "HS256"}, payload=b"\xff", key=HMAC),
    "payload nested without end": forged({"alg": "HS256"}, payload=b"[" * 3000, key=HMAC),
    "huge": signed(more="x" * 9000),
    "crit": signed(header={"crit": ["exp"]}),
    "crit of nothing": signed(header={"crit": []}),
    "b64 false": forged({"alg": "HS256", "b64": False}, key=HMAC),
    "kid no text": forged({"alg": "HS256", "kid": 1}, key=HMAC),
    "embedded jwk": signed(OTHER_RSA, header={"jwk": {"kty": "RSA", "n": "AQAB", "e": "AQAB"}}),
    "jku": signed(OTHER_RSA, header={"jku": "http://127.0.0.1:1/keys"}),
    "x5u": signed(OTHER_RSA, header={"x5u": "http://127.0.0.1:1/cert"}),
    "x5c": signed(OTHER_RSA, header={"x5c": ["MIIB"]}),
    "kid of a file": forged({"alg": "HS256", "kid": "../../../../dev/null"}, key=b"\0"),
    "kid with SQL": forged({"alg": "HS256", "kid": "x' UNION SELECT 'secret' --"}, key=b"secret"),
    "kid of a command": forged({"alg": "HS256", "kid": "|/bin/true"}, key=b"\0"),
    "no exp": signed(exp=None),
    "expired": signed(exp=NOW - 1),
    "expires now": signed(exp=NOW),
    "exp is text": forged({"alg": "HS256"}, payload={"exp": "9999999999"}, key=HMAC),
    "exp is true": forged({"alg": "HS256"}, payload={"exp": True}, key=HMAC),
    "exp is null": forged({"alg": "HS256"}, payload={"exp": None}, key=HMAC),
    "exp is infinite": forged({"alg": "HS256"}, payload=b'{"exp":1e999}', key=HMAC),
    "exp is Infinity": forged({"alg": "HS256"}, payload=b'{"exp":Infinity}', key=HMAC),
    "exp is NaN": forged({"alg": "HS256"}, payload=b'{"exp":NaN}', key=HMAC),
    "exp is endless": forged({"alg": "HS256"}, payload=b'{"exp":1' + b"0" * 400 + b"}", key=HMAC),
    "exp has too many digits": forged({"alg": "HS256"}, payload=b'{"exp":' + b"9" * 5000 + b"}", key=HMAC),
    "nbf to come": signed(nbf=NOW + 1),
    "nbf is text": forged({"alg": "HS256"}, payload={"exp": NOW + 60, "nbf": "0"}, key=HMAC),
    "iat to come": signed(iat=NOW + 1),
    "sub no text": forged({"alg": "HS256"}, payload={"exp": NOW + 60, "sub": {"a": 1}}, key=HMAC),
    "no token at all": "",
    "a token of the platform": "plat_0123456789",
}  # fmt: skip


@pytest.mark.parametrize("token", FORGED.values(), ids=FORGED.keys())
def test_tokens_that_are_refused(token: str) -> None:
    error = refused(f"Bearer {token}")
    assert SECRET not in error.detail
    assert not token or token not in error.detail


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Bearer",
        "Bearer ",
        signed(),
        f"Basic {signed()}",
        f"JWT {signed()}",
        f"Bearer\t{signed()}",
        f"Bearer {signed()} {signed()}",
        f"Bearer {signed()},Bearer {signed()}",
        f"Bearer: {signed()}",
    ],
)
def test_headers_that_are_refused(authorization: str | None) -> None:
    refused(authorization)


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "Bearer ", "bEARER   "])
def test_the_scheme_is_any_case(scheme: str) -> None:
    assert isinstance(jwts().of(f"{scheme} {signed()} ", NOW), Identity)


@pytest.mark.parametrize(
    "claims",
    [
        {},
        {"iss": "https://issuer"},
        {"aud": "plat"},
        {**RIGHT, "iss": "https://issuer/"},
        {**RIGHT, "iss": ["https://issuer"]},
        {**RIGHT, "aud": "other"},
        {**RIGHT, "aud": ["other", "platform"]},
        {**RIGHT, "aud": "pla"},
        {**RIGHT, "aud": {"plat": 1}},
    ],
)
def test_issuer_and_audience_that_are_wrong(claims: dict[str, Any]) -> None:
    token = forged({"alg": "HS256"}, payload={"exp": NOW + 60, **claims}, key=HMAC)
    refused(f"Bearer {token}", of=jwts(CHECKED))


@pytest.mark.parametrize("claims", [RIGHT, {**RIGHT, "aud": ["other", "plat"]}])
def test_issuer_and_audience_that_are_right(claims: dict[str, Any]) -> None:
    assert identity(signed(**claims), of=jwts(CHECKED)).id == "jwt:ann"


def test_clocks_may_differ_by_the_leeway() -> None:
    known = jwts(Claims(leeway_s=5))
    assert identity(signed(exp=NOW - 4), of=known).expires_at == NOW + 1
    assert identity(signed(nbf=NOW + 4, iat=NOW + 5), of=known)
    assert isinstance(known.of(f"Bearer {signed(exp=NOW - 5)}", NOW), PlatError)
    assert isinstance(known.of(f"Bearer {signed(nbf=NOW + 6)}", NOW), PlatError)


# --- keys


def test_without_a_key_of_its_kind_a_token_is_refused() -> None:
    for only, (key, algorithm) in ((OWN[:1], (RSA, "RS256")), (OWN[1:], (SECRET, "HS256"))):
        refused(f"Bearer {signed(key, algorithm)}", of=jwts(keys=only))


def test_a_key_that_is_not_here_may_come() -> None:
    source = Source()
    known = jwts(keys=[], source=source)
    token = signed(header={"kid": "new"})
    assert isinstance(known.of(f"Bearer {token}", NOW), UnknownKeyError)
    known.replace_fetched([Key("RS256", RSA.public_key(), "new")])
    assert identity(token, of=known)
    source.knows_more = False
    assert not isinstance(
        refused(f"Bearer {signed(header={'kid': 'x'})}", of=jwts(keys=[], source=source)), UnknownKeyError
    )


def test_a_key_of_our_own_does_not_stand_before_one_that_may_come() -> None:
    """A rotated `kid`, with a key of the same kind written down."""
    source = Source()
    known = jwts(keys=keys_of_pem(pem(RSA)), source=source)
    known.replace_fetched([Key("RS256", RSA.public_key(), "old")])
    token = signed(OTHER_RSA, header={"kid": "new"})
    assert isinstance(known.of(f"Bearer {token}", NOW), UnknownKeyError)
    known.replace_fetched([Key("RS256", OTHER_RSA.public_key(), "new")])
    assert identity(token, of=known)


def test_what_is_wrong_with_a_token_of_our_own_key_is_said_at_once() -> None:
    """Nothing is fetched for it, whatever its `kid`."""
    known = jwts(keys=keys_of_pem(pem(OTHER_RSA) + pem(RSA) + pem(EC)), source=Source())
    assert identity(signed(header={"kid": "x"}), of=known)
    for token in (
        signed(OTHER_RSA, exp=NOW - 1, header={"kid": "x"}),
        signed(RSA, exp=NOW - 1, header={"kid": "x"}),
    ):
        error = known.of(f"Bearer {token}", NOW)
        assert isinstance(error, PlatError) and not isinstance(error, UnknownKeyError)
        assert "ExpiredSignature" in error.detail
    known = jwts(keys=keys_of_pem(pem(RSA)), source=Source())
    known.replace_fetched([Key("RS256", RSA.public_key(), "here")])
    for header in ({}, {"kid": "here"}):
        error = known.of(f"Bearer {signed(OTHER_RSA, header=header)}", NOW)
        assert isinstance(error, PlatError) and not isinstance(error, UnknownKeyError)


def test_a_key_that_is_withdrawn_verified_nothing() -> None:
    known = jwts(keys=[])
    known.replace_fetched([Key("RS256", RSA.public_key(), "a"), Key("ES256", EC.public_key(), "b")])
    rsa, ec = signed(header={"kid": "a"}), signed(EC, "ES256", header={"kid": "b"})
    first = identity(rsa, of=known)
    assert identity(ec, of=known)
    known.replace_fetched([Key("RS256", RSA.public_key(), "a"), Key("ES256", EC.public_key(), "b")])
    assert identity(rsa, of=known) is first
    known.replace_fetched([Key("ES256", EC.public_key(), "b")])
    assert isinstance(known.of(f"Bearer {rsa}", NOW), PlatError)
    assert identity(ec, of=known)


async def test_newer_keys_are_asked_of_their_source() -> None:
    source = Source()
    await jwts(source=source).refresh()
    await jwts().refresh()
    assert source.asked == 1


# --- what is remembered


def test_a_token_is_verified_once_and_ends_when_it_says() -> None:
    known = jwts()
    known.epoch_s = 100.0
    token = signed(exp=NOW + 60)
    first = identity(token, of=known, now=NOW - 100)
    assert identity(token, of=known, now=NOW - 41) is first
    assert isinstance(known.of(f"Bearer {token}", NOW - 40), PlatError)
    assert known._remembered_bytes == len(known._remembered) == 0


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ours, "REMEMBERED", 3)
    known = jwts()
    tokens = [signed(SECRET, "HS256", sub=f"{number}") for number in range(4)]
    first = identity(tokens[0], of=known)
    for token in (tokens[1], tokens[2], tokens[0], tokens[3]):
        identity(token, of=known)
    assert identity(tokens[0], of=known) is first
    assert f"Bearer {tokens[1]}" not in known._remembered
    assert known._remembered_bytes == sum(map(len, known._remembered))
    monkeypatch.setattr(ours, "REMEMBERED_BYTES", 2 * len(tokens[0]))
    identity(signed(SECRET, "HS256", sub="x"), of=known)
    assert len(known._remembered) == 1


# --- who it is


def test_subjects() -> None:
    ids = {
        identity(signed(sub=subject)).id
        for subject in ("ann", "x" * 1000, "x" * 1001, "grün", "a\nb", "ü", None)
    }
    assert len(ids) == 7
    assert all(each.startswith("jwt:") and len(each) <= 132 and each.isascii() for each in ids)
    assert signed(sub=None) not in ids


@pytest.mark.parametrize(
    ("claims", "may"),
    [
        ({"scope": "invoke:f"}, True),
        ({"scope": ["read", "invoke:f"]}, True),
        ({"scope": "invoke:*"}, True),
        ({"scope": "openid invoke:g profile"}, False),
        ({"scope": "admin"}, False),
        ({"scope": ["admin", "deploy:*"]}, False),
        ({"scope": "INVOKE:f invoke:F invoke:[f] f"}, False),
        ({"scope": ""}, False),
        ({"scope": None}, False),
        ({"scope": 7}, False),
        ({"scope": {"invoke:f": 1}}, False),
        ({"scope": [["invoke:f"], 7]}, False),
        ({"scp": "invoke:f"}, False),
    ],
)
def test_scopes(claims: dict[str, Any], may: bool) -> None:
    assert identity(signed(**{"scope": None, **claims})).may_invoke("f") is may


def test_scopes_somewhere_else_or_nowhere() -> None:
    token = signed(scope=None, permissions=["invoke:f"])
    assert identity(token, of=jwts(Claims(scope_claim="permissions"))).may_invoke("f")
    assert identity(token, of=jwts(Claims(scope_claim=""))).may_invoke("anything")


def test_the_clock_is_the_machines() -> None:
    known = jwts()
    known.epoch_s = time.time() - time.monotonic()
    token = signed(exp=time.time() + 60)
    assert isinstance(known.of(f"Bearer {token}", time.monotonic()), Identity)
