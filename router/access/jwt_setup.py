"""JSON Web Tokens as the settings ask for them. Imported only if they do."""

from pathlib import Path

from plat.errors import PlatError
from plat.settings import Settings
from router.access.jwks import Jwks
from router.access.jwt import Claims, Jwts
from router.access.jwt_keys import Key, KeySet, keys_of_pem, secret_key


def bearers_of(settings: Settings) -> tuple[Jwts, Jwks | None]:
    """Who the tokens are from, and what is to run so that their keys are there.

    Raises PlatError `invalid` for keys that are none.
    """
    claims = Claims(
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        scope_claim=settings.jwt_scope_claim,
        leeway_s=settings.jwt_leeway_s,
    )
    keys = KeySet(_own_keys(settings))
    if not settings.jwt_jwks_url:
        return Jwts(keys, claims), None
    jwks = Jwks(settings.jwt_jwks_url)
    jwts = Jwts(keys, claims, jwks)
    jwks.fetched = jwts.replace_fetched
    return jwts, jwks


def _own_keys(settings: Settings) -> list[Key]:
    secret = [secret_key(settings.jwt_secret)] if settings.jwt_secret else []
    return secret + (keys_of_pem(_pem(settings.jwt_public_keys)) if settings.jwt_public_keys else [])


def _pem(given: str) -> str:
    if "-----BEGIN" in given:
        return given
    try:
        return Path(given).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise PlatError("invalid", f"jwt_public_keys: {given} cannot be read: {error}.") from error
