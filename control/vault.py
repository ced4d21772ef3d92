"""Secrets at rest: AES-256-GCM under one of some keys. No I/O; what a key is called is its fingerprint."""

import hashlib
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_BYTES = 32
NONCE_BYTES = 12
"""96 random bits, as GCM wants them (NIST SP 800-38D, 8.2.2): good for 2^32 messages under one key."""


class UnreadableError(Exception):
    """None of the keys is the one, or the row was changed. The message names the secret."""


def key_id(key: bytes) -> str:
    """16 hexadecimal digits, of which nothing about the key can be learned."""
    return hashlib.sha256(b"plat secret key\0" + key).hexdigest()[:16]


class Vault:
    """The first key writes; all of them read."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        assert keys and all(len(key) == KEY_BYTES for key in keys), "keys of 32 bytes"
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.writes_with = key_id(keys[0])

    def __repr__(self) -> str:
        return f"Vault({', '.join(self._ciphers)})"

    def seal(self, name: str, value: str) -> bytes:
        """Nonce and ciphertext. It can be read under this name only."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[self.writes_with].encrypt(nonce, value.encode(), name.encode())

    def open(self, name: str, key: str, sealed: bytes) -> str:
        """Raises UnreadableError."""
        cipher = self._ciphers.get(key)
        if cipher is None:
            raise UnreadableError(f'The key {key} of the secret "{name}" is not at hand.')
        try:
            return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode()).decode()
        except (InvalidTag, ValueError) as error:
            raise UnreadableError(f'The secret "{name}" was changed in the database.') from error
