"""Without keys, no JSON Web Token is anybody's."""

from plat.errors import PlatError
from router.access.bearers import NoBearers, UnknownKeyError


async def test_nobody() -> None:
    nobody = NoBearers()
    await nobody.refresh()
    error = nobody.of("Bearer a.b.c", 0.0)
    assert isinstance(error, PlatError)
    assert (error.code, "jwt_secret" in error.detail) == ("unauthorized", True)


def test_a_key_that_is_missing_is_401_in_the_end() -> None:
    assert UnknownKeyError().status == 401
