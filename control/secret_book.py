"""All secrets, in memory: what the pool is told of them costs no query. Decides only."""

from collections.abc import Iterable

from plat.errors import PlatError
from plat.feed import NO_SECRETS, SecretValues


class SecretBook:
    """Values by name, as the database has them. No text that is made of it shows them."""

    def __init__(self) -> None:
        self._values: dict[str, str] = {}
        self._unreadable: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"SecretBook({len(self._values)})"

    def put(self, name: str, value: str) -> None:
        self._values[name] = value
        self._unreadable.pop(name, None)

    def put_unreadable(self, name: str, why: str) -> None:
        self._unreadable[name] = why

    def drop(self, name: str) -> None:
        self._values.pop(name, None)
        self._unreadable.pop(name, None)

    def values(self, names: Iterable[str]) -> SecretValues:
        """Those that are there: whoever starts an instance sees which are not."""
        found = {name: self._values[name] for name in names if name in self._values}
        return SecretValues(found) if found else NO_SECRETS

    def require(self, names: Iterable[str]) -> None:
        """Raises PlatError `unknown_secret`, which names the first that is not there."""
        for name in names:
            if name in self._unreadable:
                raise PlatError(
                    "unknown_secret", f"{self._unreadable[name]} Set it again, or restore the key."
                )
            if name not in self._values:
                raise PlatError(
                    "unknown_secret", f'There is no secret "{name}". Set it with `plat secret set {name}`.'
                )
