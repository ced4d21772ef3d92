"""Which headers signatures can be in, which bytes a secret is, and that nobody sees them."""

import base64

import msgspec
import pytest

from plat.signing import Algorithm, Signing, header_fault, key_of, keys_of

KEY = bytes(range(24))
STANDARD = base64.b64encode(KEY).decode()


@pytest.mark.parametrize(
    ("algorithm", "secret", "key"),
    [
        ("sha256", "It's a Secret to Everybody", b"It's a Secret to Everybody"),
        ("sha256", "schl\xfcssel", "schl\xfcssel".encode()),
        ("sha256", "", None),
        ("stripe", "whsec_abc", b"whsec_abc"),  # Stripe's are used as they are
        ("slack", "", None),
        ("standard-webhooks", "whsec_" + STANDARD, KEY),
        ("standard-webhooks", STANDARD, KEY),
        ("standard-webhooks", "whsec_", None),
        ("standard-webhooks", "whsec_not base64", None),
        ("standard-webhooks", "whsec_abc", None),
        ("standard-webhooks", "\xfc", None),
        ("standard-webhooks", "", None),
    ],
)
def test_the_key_that_a_secret_is(algorithm: str, secret: str, key: bytes | None) -> None:
    assert key_of(algorithm, secret) == key


def test_what_is_no_key_is_left_out() -> None:
    assert keys_of("sha256", ["a", "", "b"]) == (b"a", b"b")
    assert keys_of("sha256", [""]) == ()


@pytest.mark.parametrize(
    ("header", "algorithm", "said"),
    [
        ("", "sha256", "the name of a header"),
        ("X Signature", "sha256", "the name of a header"),
        ("X-Signature\n", "sha256", "the name of a header"),
        ("X-Signature:", "sha256", "the name of a header"),
        ("X-Sign\xe4tur", "sha256", "the name of a header"),
        ("x" * 129, "sha256", "the name of a header"),
        ("Authorization", "sha256", "means something else"),
        ("X-CALL-ID", "sha256", "means something else"),
        ("content-length", "stripe", "means something else"),
        ("webhook-sig", "standard-webhooks", 'ends with "signature"'),
        ("X-Slack-Sig", "slack", 'ends with "signature"'),
        ("X-Hub-Signature-256", "sha256", None),
        ("Stripe-Signature", "stripe", None),
        ("X-Slack-Signature", "slack", None),
        ("svix-signature", "standard-webhooks", None),
    ],
)
def test_headers(header: str, algorithm: Algorithm, said: str | None) -> None:
    fault = header_fault(header, algorithm)
    assert (fault is None) if said is None else (fault is not None and said in fault)


def test_no_text_that_is_made_of_it_shows_the_keys() -> None:
    signing = Signing("X-Signature", "sha256", (b"hunter2", b"hunter3"))
    assert "hunter" not in repr(signing) + str(signing) + f"{signing}" + repr([signing])
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(signing), type=Signing) == signing
