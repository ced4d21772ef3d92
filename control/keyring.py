"""Where the keys of the vault are: a setting, a file that is given, or a file of our own. Knows no secrets.

Keys are 32 bytes in base64, one a line or with commas between; the first one writes, all of them read.
"""

import base64
import binascii
import os
from pathlib import Path

from control.vault import KEY_BYTES, Vault
from plat.errors import PlatError
from plat.settings import Settings

OWN_FILE = "secret.key"


class Keyring:
    """`vault` makes a key of our own at its first use, where none is given."""

    def __init__(self, settings: Settings) -> None:
        self._given = settings.secret_key
        self._file = Path(settings.secret_key_file).expanduser() if settings.secret_key_file else None
        self._own = settings.data_dir / OWN_FILE

    def vault(self) -> Vault:
        """Raises PlatError `invalid` for what are no keys, OSError for a file that cannot be read."""
        return Vault(self._keys())

    @property
    def is_own(self) -> bool:
        """Whether the keys are ours to change."""
        return self._given is None and self._file is None

    def add_key(self) -> None:
        """A new first key; the former ones can still read. Only where `is_own`."""
        self._write([_new_key(), *self._keys()])

    def keep_first(self) -> None:
        """Forget the former keys: nothing is encrypted with them any more. Only where `is_own`."""
        self._write(self._keys()[:1])

    def _keys(self) -> list[bytes]:
        if self._given is not None:
            return parse_keys(self._given, "PLAT_SECRET_KEY")
        if self._file is not None:
            return parse_keys(self._file.read_text(encoding="ascii", errors="replace"), str(self._file))
        if not self._own.exists():
            self._write([_new_key()])
        return parse_keys(self._own.read_text(encoding="ascii", errors="replace"), str(self._own))

    def _write(self, keys: list[bytes]) -> None:
        """All or nothing, also when the machine stops in the middle; nobody else can read it."""
        self._own.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        new = self._own.with_name(f"{OWN_FILE}.new")
        new.unlink(missing_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(base64.b64encode(key) + b"\n" for key in keys))
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._own)
        folder = os.open(self._own.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def parse_keys(text: str, source: str) -> list[bytes]:
    """At least one. Raises PlatError `invalid`, which does not repeat them."""
    keys = [_key(each, source) for each in text.replace(",", "\n").split()]
    if not keys:
        raise PlatError("invalid", f"{source} has no key: {_EXPECTED}")
    return keys


_EXPECTED = f"expected {KEY_BYTES} random bytes in base64, as `openssl rand -base64 {KEY_BYTES}` writes them."


def _key(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if len(key) != KEY_BYTES:
        raise PlatError("invalid", f"A key of {source} is none (it is not shown): {_EXPECTED}")
    return key


def _new_key() -> bytes:
    return os.urandom(KEY_BYTES)
