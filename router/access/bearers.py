"""What admission knows of JSON Web Tokens. Who takes none loads no library for them (`router.access.jwt`)."""

from typing import Protocol

from plat.errors import PlatError
from router.access.identity import Identity
from router.streaming_only import StreamingOnlyError


class UnknownKeyError(StreamingOnlyError):
    """The token names a key that is not here, and may be there when the keys are fetched again."""

    def __init__(self) -> None:
        super().__init__("unauthorized", "The token was signed with a key that is not known.")


class Bearers(Protocol):
    epoch_s: float
    """Added to a monotonic time, it gives seconds since 1970."""

    def of(self, authorization: str | None, now: float) -> Identity | PlatError:
        """Whose token the header carries, or why it is nobody's. `now` is monotonic."""
        ...

    async def refresh(self) -> None:
        """Wait for newer keys, but not long. Cancelling is safe."""
        ...


class NoBearers:
    """Where no key is known, nobody is."""

    epoch_s = 0.0

    def of(self, authorization: str | None, now: float) -> Identity | PlatError:
        detail = "The platform takes no JSON Web Tokens: set jwt_secret, jwt_public_keys or jwt_jwks_url."
        return PlatError("unauthorized", detail)

    async def refresh(self) -> None:
        """There is nothing to wait for."""
