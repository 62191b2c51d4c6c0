"""Secrets that the database keeps: sealed under the registry's secrets key, each kind with a key of its own.

What is sealed is written `0x01 · nonce 12 · AES-256-GCM(secret) · tag 16` with the secret's name as associated data;
the sealing key is HKDF-SHA256 of the secrets key with info `lading PURPOSE v1`, so that the secrets key itself seals
nothing.
"""

import hmac
import secrets
from collections.abc import Callable

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import KeyFileInvalid

_VERSION = b"\x01"
_NONCE_BYTES = 12


def subkey(secrets_key: bytes, purpose: str) -> bytes:
    """The 32-byte key of one purpose, from which neither the secrets key nor any other subkey can be told."""
    info = f"lading {purpose} v1".encode()
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=info).derive(secrets_key)


def keyed_digest(key: bytes, *parts: str) -> bytes:
    """32 bytes that only the same parts under the same key have (HMAC-SHA256); how they are cut into parts counts."""
    # What a client or a proxy sent may hold anything.
    encoded = [part.encode(errors="surrogateescape") for part in parts]
    return hmac.digest(key, b"".join(len(part).to_bytes(8, "big") + part for part in encoded), "sha256")


class Seal:
    """Seals the secrets of one purpose, such as `signing-key`, with the 32-byte secrets key."""

    def __init__(self, secrets_key: bytes, purpose: str) -> None:
        self._cipher = AESGCM(subkey(secrets_key, purpose))
        self._purpose = purpose

    def close(self, name: str, secret: bytes, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> bytes:
        """The secret, readable again only with the same secrets key, for the same purpose and under the same name."""
        nonce = random_bytes(_NONCE_BYTES)
        return _VERSION + nonce + self._cipher.encrypt(nonce, secret, name.encode())

    def open(self, name: str, sealed: bytes) -> bytes:
        """The secret that was sealed under this name; raises KeyFileInvalid for another key or changed bytes."""
        version, nonce, ciphertext = sealed[:1], sealed[1 : 1 + _NONCE_BYTES], sealed[1 + _NONCE_BYTES :]
        kind = self._purpose.replace("-", " ")
        message = f"the secrets key does not open {kind} {name}: it is another registry's, or the database was changed"
        if version != _VERSION or len(nonce) != _NONCE_BYTES:
            raise KeyFileInvalid(message)
        try:
            return self._cipher.decrypt(nonce, ciphertext, name.encode())
        except InvalidTag as error:
            raise KeyFileInvalid(message) from error
