"""Root keys and what they wrap, opened by another program than ours: OpenSSL's library, called directly.

What is wrapped is `0x01 · nonce 12 · AES-256-GCM(secret) · tag 16`; the key is HKDF-SHA256 of the root key with info
`lading domain-key v1`; associated data is the context as JSON.
"""

import base64
import ctypes
import ctypes.util
import hmac
import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from proofs.outcome import Skipped

NONCE_BYTES, TAG_BYTES = 12, 16
GCM_SET_TAG = 0x11


@dataclass(frozen=True, slots=True)
class WrappedKey:
    """A key as the database has it."""

    name: str
    root: str
    wrapped: bytes = field(repr=False)
    context: Mapping[str, str]

    def is_opened_by(self, root_key: bytes) -> bool:
        """Whether a root key gives it back."""
        return opens(root_key, self.wrapped, self.context)


def root_keys(file: Path) -> list[bytes]:
    """The keys of a key file."""
    return [base64.b64decode(line) for line in file.read_bytes().split()]


def wrapped_keys(database: Path) -> Iterator[WrappedKey]:
    """Everything in a registry's database that a root key wraps."""
    with closing(sqlite3.connect(database)) as rows:
        settings = dict(rows.execute("SELECT name, value FROM registry_setting"))
        registry = settings["registry_id"]
        secrets = json.loads(settings["secrets_key"])
        context = {"purpose": "secrets-key", "registry": registry}
        yield WrappedKey("the secrets key", secrets["root"], base64.b64decode(secrets["wrapped"]), context)
        for domain, version, root, wrapped in rows.execute(
            "SELECT domain, version, root, wrapped FROM domain_key WHERE wrapped IS NOT NULL"
        ):
            context = {"registry": registry, "domain": domain, "version": str(version)}
            yield WrappedKey(f"{domain} {version}", root, wrapped, context)


def opens(root_key: bytes, wrapped: bytes, context: Mapping[str, str]) -> bool:
    """Whether a root key unwraps this in this context."""
    extracted = hmac.digest(bytes(32), root_key, "sha256")
    key = hmac.digest(extracted, b"lading domain-key v1\x01", "sha256")
    associated = json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode()
    nonce, sealed = wrapped[1 : 1 + NONCE_BYTES], wrapped[1 + NONCE_BYTES :]
    return _is_genuine(key, nonce, sealed, associated)


def _is_genuine(key: bytes, nonce: bytes, sealed: bytes, associated: bytes) -> bool:
    """Whether AES-256-GCM opens this."""
    crypto = _library()
    ciphertext, tag = sealed[:-TAG_BYTES], sealed[-TAG_BYTES:]
    context = ctypes.c_void_p(crypto.EVP_CIPHER_CTX_new())
    plain, length = ctypes.create_string_buffer(len(ciphertext) + TAG_BYTES), ctypes.c_int()
    try:
        crypto.EVP_DecryptInit_ex(context, ctypes.c_void_p(crypto.EVP_aes_256_gcm()), None, key, nonce)
        crypto.EVP_DecryptUpdate(context, None, ctypes.byref(length), associated, len(associated))
        crypto.EVP_DecryptUpdate(context, plain, ctypes.byref(length), ciphertext, len(ciphertext))
        crypto.EVP_CIPHER_CTX_ctrl(context, GCM_SET_TAG, TAG_BYTES, tag)
        return bool(crypto.EVP_DecryptFinal_ex(context, plain, ctypes.byref(length)) == 1)
    finally:
        crypto.EVP_CIPHER_CTX_free(context)


def _library() -> ctypes.CDLL:
    found = ctypes.util.find_library("crypto")
    if found is None:
        raise Skipped("needs OpenSSL's library")
    crypto = ctypes.CDLL(found)
    crypto.EVP_CIPHER_CTX_new.restype = ctypes.c_void_p
    crypto.EVP_aes_256_gcm.restype = ctypes.c_void_p
    return crypto
