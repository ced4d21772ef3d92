"""Keys and claims as the settings name them."""

from pathlib import Path

import pytest

from plat.errors import PlatError
from plat.settings import Settings
from router.access.identity import Identity
from router.access.jwt_setup import bearers_of
from tests.unit.router.jwt_samples import EC, NOW, RSA, SECRET, pem, signed


def test_keys_from_settings_and_files(tmp_path: Path) -> None:
    file = tmp_path / "keys.pem"
    file.write_text(pem(RSA) + pem(EC))
    for given in (pem(RSA) + pem(EC), str(file)):
        jwts, jwks = bearers_of(Settings(jwt_secret=SECRET, jwt_public_keys=given, jwt_scope_claim="scp"))
        assert jwks is None
        for token in (signed(), signed(EC, "ES256"), signed(SECRET, "HS256", scp="invoke:f")):
            assert isinstance(jwts.of(f"Bearer {token}", NOW), Identity)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(PlatError, match="jwt_public_keys: /nowhere"):
        bearers_of(Settings(jwt_public_keys="/nowhere"))


def test_claims_from_settings() -> None:
    jwts, _ = bearers_of(Settings(jwt_secret=SECRET, jwt_issuer="i", jwt_audience="a", jwt_leeway_s=5))
    assert isinstance(jwts.of(f"Bearer {signed(SECRET, 'HS256')}", NOW), PlatError)
    right = signed(SECRET, "HS256", iss="i", aud="a", exp=NOW - 1)
    assert isinstance(jwts.of(f"Bearer {right}", NOW), Identity)


def test_keys_that_are_fetched_are_used() -> None:
    jwts, jwks = bearers_of(Settings(jwt_jwks_url="https://issuer/keys"))
    assert jwks is not None
    assert jwks.may_know_more(0.0)
    assert jwks.fetched == jwts.replace_fetched
