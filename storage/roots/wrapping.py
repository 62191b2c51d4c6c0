"""How a root key at hand wraps a secret, pure: no I/O.

What is wrapped is `0x01 · nonce 12 · AES-256-GCM(secret) · tag 16`. The key is HKDF-SHA256 of the root key, without
salt, with info `lading domain-key v1`, so that the root key itself encrypts nothing. Associated data is the context
as JSON: ASCII only, members sorted, no white space.
"""

import json
import secrets
from collections.abc import Callable, Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import WrongKey

_VERSION = b"\x01"
_NONCE_BYTES = 12
_INFO = b"lading domain-key v1"


def wrap(
    root_key: bytes,
    secret: bytes,
    context: Mapping[str, str],
    *,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
) -> bytes:
    """The secret, readable again only with the same root key and context."""
    nonce = random_bytes(_NONCE_BYTES)
    return _VERSION + nonce + _cipher(root_key).encrypt(nonce, secret, _canonical(context))


def unwrap(root_key: bytes, wrapped: bytes, context: Mapping[str, str]) -> bytes:
    """The secret that was wrapped; raises WrongKey for another root key, another context, or changed bytes."""
    nonce, ciphertext = wrapped[1 : 1 + _NONCE_BYTES], wrapped[1 + _NONCE_BYTES :]
    if wrapped[:1] != _VERSION or len(nonce) != _NONCE_BYTES:
        raise WrongKey
    try:
        return _cipher(root_key).decrypt(nonce, ciphertext, _canonical(context))
    except InvalidTag as error:
        raise WrongKey from error


def _cipher(root_key: bytes) -> AESGCM:
    return AESGCM(HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=_INFO).derive(root_key))


def _canonical(context: Mapping[str, str]) -> bytes:
    return json.dumps(dict(context), sort_keys=True, separators=(",", ":")).encode("ascii")
