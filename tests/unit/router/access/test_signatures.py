"""Signatures of webhooks: examples of those who send them, and a table of attacks on each form."""

import base64
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from plat.errors import PlatError
from plat.signing import Signing
from router.access.signatures import TOLERANCE_S, Check, begin, mismatch

KEY, OTHER = b"It's a Secret to Everybody", b"other"
BODY = b"Hello, World!"
NOW = 1_700_000_000.0
T = int(NOW)

PLAIN = Signing("X-Hub-Signature-256", "sha256", (KEY,))
STRIPE = Signing("Stripe-Signature", "stripe", (KEY,))
SLACK = Signing("X-Slack-Signature", "slack", (KEY,))
STANDARD = Signing("webhook-signature", "standard-webhooks", (KEY,))

GITHUB_EXAMPLE = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"
"""docs.github.com, "Validating webhook deliveries": of KEY and BODY."""


def digest(signed: bytes = BODY, key: bytes = KEY, algorithm: str = "sha256") -> bytes:
    return hmac.digest(key, signed, algorithm)


def base(value: bytes) -> str:
    return base64.b64encode(value).decode()


Headers = dict[str, str]


def plain(value: str) -> Headers:
    return {"X-Hub-Signature-256": value}


def stripe(*parts: str) -> Headers:
    return {"Stripe-Signature": ",".join(parts)}


def slack(value: str, at: str = str(T)) -> Headers:
    return {"X-Slack-Signature": value, "X-Slack-Request-Timestamp": at}


def standard(value: str, identity: str = "msg_1", at: str = str(T)) -> Headers:
    return {"webhook-id": identity, "webhook-timestamp": at, "webhook-signature": value}


def v1(body: bytes = BODY, key: bytes = KEY, at: int = T) -> str:
    return "v1=" + digest(b"%d." % at + body, key).hex()


def v0(body: bytes = BODY, at: int = T) -> str:
    return "v0=" + digest(b"v0:%d:" % at + body).hex()


def standard_v1(body: bytes = BODY, identity: str = "msg_1", at: int = T, key: bytes = KEY) -> str:
    return "v1," + base(digest(b"%b.%d." % (identity.encode(), at) + body, key))


def verdict(signing: Signing, headers: Headers | CIMultiDict[str], body: bytes = BODY) -> str:
    """`ok`, or why not."""
    check = begin(signing, CIMultiDict(headers), NOW)
    if isinstance(check, PlatError):
        assert check.code in ("bad_signature", "signing_key_unavailable")
        return check.reason or check.code
    check.feed(body)
    return "ok" if check.holds() else "mismatch"


GOOD = {
    "GitHub": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE)),
    "without the algorithm": (PLAIN, plain(GITHUB_EXAMPLE)),
    "upper-case hex": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE.upper())),
    "base64, as Shopify": (PLAIN, plain(base(digest()))),
    "sha1": (
        Signing("X-Hub-Signature", "sha1", (KEY,)),
        {"x-hub-signature": "sha1=" + digest(algorithm="sha1").hex()},
    ),
    "sha512": (Signing("X-S", "sha512", (KEY,)), {"X-S": digest(algorithm="sha512").hex()}),
    "the second key": (Signing("X-Hub-Signature-256", "sha256", (OTHER, KEY)), plain(GITHUB_EXAMPLE)),
    "Stripe": (STRIPE, stripe(f"t={T}", v1())),
    "Stripe, another order": (STRIPE, stripe(v1(), f"t={T}")),
    "Stripe, with v0": (STRIPE, stripe(f"t={T}", v1(), "v0=" + "0" * 64)),
    "Stripe, of two keys": (STRIPE, stripe(f"t={T}", v1(key=OTHER), v1())),
    "Stripe, some seconds old": (STRIPE, stripe(f"t={T - TOLERANCE_S}", v1(at=T - TOLERANCE_S))),
    "Stripe, of a clock that is fast": (STRIPE, stripe(f"t={T + TOLERANCE_S}", v1(at=T + TOLERANCE_S))),
    "Slack": (SLACK, slack(v0())),
    "Standard Webhooks": (STANDARD, standard(standard_v1())),
    "Standard Webhooks, of two keys": (STANDARD, standard(f"{standard_v1(key=OTHER)} {standard_v1()}")),
    "Standard Webhooks, with a public key's": (STANDARD, standard(f"v1a,{base(b'x' * 64)} {standard_v1()}")),
    "Svix": (
        Signing("svix-signature", "standard-webhooks", (KEY,)),
        {"svix-id": "msg_1", "svix-timestamp": str(T), "svix-signature": standard_v1()},
    ),
}

BAD = {
    # GitHub's and the like
    "no header": (PLAIN, {}, "missing"),
    "the header's name in another form": (PLAIN, {"X_Hub_Signature_256": GITHUB_EXAMPLE}, "missing"),
    "empty": (PLAIN, plain(""), "malformed"),
    "only the algorithm": (PLAIN, plain("sha256="), "malformed"),
    "another algorithm's name": (PLAIN, plain("sha1=" + GITHUB_EXAMPLE), "malformed"),
    "the name in upper case": (PLAIN, plain("SHA256=" + GITHUB_EXAMPLE), "malformed"),
    "the name twice": (PLAIN, plain("sha256=sha256=" + GITHUB_EXAMPLE), "malformed"),
    "another algorithm": (PLAIN, plain("sha256=" + digest(algorithm="sha1").hex()), "malformed"),
    "a longer one": (PLAIN, plain("sha256=" + digest(algorithm="sha512").hex()), "malformed"),
    "without a key": (PLAIN, plain("sha256=" + digest(key=b"").hex()), "mismatch"),
    "another key": (PLAIN, plain("sha256=" + digest(key=OTHER).hex()), "mismatch"),
    "another body": (PLAIN, plain("sha256=" + digest(BODY + b"\n").hex()), "mismatch"),
    "an empty body": (PLAIN, plain("sha256=" + digest(b"").hex()), "mismatch"),
    "truncated hex": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE[:-1]), "malformed"),
    "truncated by a byte": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE[:-2]), "malformed"),
    "hex and more": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE + "00"), "malformed"),
    "no hex": (PLAIN, plain("sha256=" + "g" * 64), "malformed"),
    "spaces in it": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE[:-2] + " 7"), "malformed"),
    "two in one header": (PLAIN, plain(f"sha256={GITHUB_EXAMPLE},sha256={GITHUB_EXAMPLE}"), "malformed"),
    "truncated base64": (PLAIN, plain(base(digest())[:-2]), "malformed"),
    "base64 of fewer bytes": (PLAIN, plain(base(digest()[:-1])), "malformed"),
    "base64 for URLs": (PLAIN, plain("_-" + base(digest())[2:]), "malformed"),
    "not ASCII": (PLAIN, plain("sha256=" + "\xe9" * 64), "malformed"),
    "digits of another script": (PLAIN, plain("sha256=" + "\N{ARABIC-INDIC DIGIT ONE}" * 64), "malformed"),
    "bytes that are no text": (PLAIN, plain("sha256=" + "\udcff" * 64), "malformed"),
    "a NUL": (PLAIN, plain("sha256=" + GITHUB_EXAMPLE[:-1] + "\0"), "malformed"),
    "without end": (PLAIN, plain("0" * 100_000), "malformed"),
    # Stripe's
    "no timestamp": (STRIPE, stripe(v1()), "malformed"),
    "no signature": (STRIPE, stripe(f"t={T}"), "malformed"),
    "an empty signature": (STRIPE, stripe(f"t={T}", "v1="), "malformed"),
    "only v0": (STRIPE, stripe(f"t={T}", v1().replace("v1", "v0")), "malformed"),
    "an old one": (STRIPE, stripe(f"t={T - 301}", v1(at=T - 301)), "expired"),
    "one of the future": (STRIPE, stripe(f"t={T + 301}", v1(at=T + 301)), "expired"),
    "an old one with a new time": (STRIPE, stripe(f"t={T}", v1(at=T - 301)), "mismatch"),
    "two timestamps": (STRIPE, stripe(f"t={T}", f"t={T - 9999}", v1()), "malformed"),
    "a negative one": (STRIPE, stripe(f"t=-{T}", v1()), "malformed"),
    "a float": (STRIPE, stripe(f"t={T}.0", v1()), "malformed"),
    "an exponent": (STRIPE, stripe("t=1e9", v1()), "malformed"),
    "digits with an underscore": (STRIPE, stripe("t=1_700_000_000", v1()), "malformed"),
    "other digits": (STRIPE, stripe("t=" + "\N{ARABIC-INDIC DIGIT ONE}" * 10, v1()), "malformed"),
    "milliseconds": (STRIPE, stripe(f"t={T * 1000}", v1(at=T * 1000)), "malformed"),
    "a time of very many digits": (STRIPE, stripe("t=" + "9" * 4000, v1()), "malformed"),
    "the body alone": (STRIPE, stripe(f"t={T}", "v1=" + digest().hex()), "mismatch"),
    "GitHub's form": (STRIPE, stripe("sha256=" + GITHUB_EXAMPLE), "malformed"),
    "the time moved into the body": (STRIPE, stripe("t=170000000", v1()), "expired"),
    "very many": (STRIPE, stripe(f"t={T}", *["v1=" + "0" * 64] * 17, v1()), "malformed"),
    "17 with the good one": (STRIPE, stripe(f"t={T}", *["v1=" + "0" * 64] * 16, v1()), "malformed"),
    # Slack's
    "no time": (SLACK, {"X-Slack-Signature": v0()}, "malformed"),
    "another version": (SLACK, slack(v0().replace("v0", "v1")), "malformed"),
    "an old one of Slack's": (SLACK, slack(v0(at=T - 301), str(T - 301)), "expired"),
    "another time": (SLACK, slack(v0(), str(T + 1)), "mismatch"),
    # Standard Webhooks
    "no id": (STANDARD, {"webhook-timestamp": str(T), "webhook-signature": standard_v1()}, "malformed"),
    "no time beside it": (STANDARD, {"webhook-id": "msg_1", "webhook-signature": standard_v1()}, "malformed"),
    "another id": (STANDARD, standard(standard_v1(), identity="msg_2"), "mismatch"),
    "another time beside it": (STANDARD, standard(standard_v1(), at=str(T + 1)), "mismatch"),
    "an old one of theirs": (STANDARD, standard(standard_v1(at=T - 301), at=str(T - 301)), "expired"),
    "only a public key's": (STANDARD, standard(f"v1a,{base(b'x' * 64)}"), "malformed"),
    "hex": (STANDARD, standard("v1," + digest().hex()), "malformed"),
    "an id with a full stop": (
        STANDARD,
        standard(standard_v1(identity=f"msg.{T}"), identity=f"msg.{T}"),
        "malformed",
    ),
    "an id that is not ASCII": (STANDARD, standard(standard_v1(), identity="\xe9"), "malformed"),
    # keys
    "no key": (
        Signing("X-Hub-Signature-256", "sha256", ()),
        plain(GITHUB_EXAMPLE),
        "signing_key_unavailable",
    ),
    "no key and no signature": (Signing("X-S", "sha256", ()), {}, "signing_key_unavailable"),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_those_send_who_have_the_key(name: str) -> None:
    signing, headers = GOOD[name]
    assert verdict(signing, headers) == "ok"
    assert verdict(signing, headers, BODY + b" ") == "mismatch"
    assert verdict(signing, headers, b"") == "mismatch"
    nobodys = Signing(signing.header, signing.algorithm, (b"nobody's",))
    assert verdict(nobodys, headers) == "mismatch"


@pytest.mark.parametrize("name", BAD)
def test_what_is_refused(name: str) -> None:
    signing, headers, reason = BAD[name]
    assert verdict(signing, headers) == reason


@pytest.mark.parametrize("name", GOOD)
def test_a_header_that_is_there_twice(name: str) -> None:
    """Whichever of both others would take: it is neither."""
    signing, headers = GOOD[name]
    twice = CIMultiDict(headers)
    twice.add(signing.header, twice[signing.header])
    assert verdict(signing, twice) == "missing"


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp"])
def test_one_beside_it_that_is_there_twice(name: str) -> None:
    twice = CIMultiDict(standard(standard_v1()))
    twice.add(name, twice[name])
    assert verdict(STANDARD, twice) == "malformed"


def test_the_body_in_pieces_is_the_body() -> None:
    check = begin(PLAIN, CIMultiDict(plain(GITHUB_EXAMPLE)), NOW)
    assert isinstance(check, Check)
    for byte in BODY:
        check.feed(bytes([byte]))
    assert check.holds()


@given(value=st.text(max_size=100), body=st.binary(max_size=20))
def test_no_header_lets_anybody_in_or_raises(value: str, body: bytes) -> None:
    for signing in (PLAIN, STRIPE, SLACK, STANDARD):
        headers = slack(value) if signing is SLACK else standard(value)
        assert verdict(signing, {**headers, signing.header: value}, body) != "ok"


@pytest.mark.parametrize("signing", [PLAIN, STRIPE])
def test_an_error_says_what_is_expected_and_nothing_of_the_key(signing: Signing) -> None:
    for error in (begin(signing, CIMultiDict({signing.header: "x"}), NOW), mismatch(signing)):
        assert isinstance(error, PlatError) and error.status == 401
        assert signing.header in error.detail
        assert KEY.decode() not in error.detail and GITHUB_EXAMPLE not in error.detail
        assert dict(error.headers)["WWW-Authenticate"].startswith("HMAC ")
