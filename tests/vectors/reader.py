"""A reader of sealed objects written from the description of the format alone: it shares no code with the package.

- It knows the standard library and AES-GCM; HKDF is written out, so that no library's idea of it is taken on trust.
- It is slow, keeps everything in memory and refuses whatever the description does not allow.
"""

import hashlib
import hmac
from dataclasses import dataclass

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

HEADER_BYTES = 128
TRAILER_BYTES = 108
NONCE_BYTES = 12
TAG_BYTES = 16
DIGESTS = {1: ("sha256", 32), 2: ("sha512", 64)}


class Unreadable(Exception):
    """The bytes are not an object of the format, or not an undamaged one."""


class OtherKey(Exception):
    """The object was sealed with another domain key than the one given."""


@dataclass(frozen=True)
class Header:
    """What the first 128 bytes say."""

    segment_bytes: int
    domain_id: bytes
    version: int
    salt: bytes
    commitment: bytes
    object_id: bytes


@dataclass(frozen=True)
class Opened:
    """A plaintext, and what the trailer said of it."""

    plaintext: bytes
    digest: str
    segments: int
    header: Header


def open_object(domain_key: bytes, domain_id: bytes, version: int, sealed: bytes) -> Opened:
    """Open a whole object and check everything that can be checked."""
    if len(sealed) < HEADER_BYTES + TRAILER_BYTES:
        raise Unreadable("shorter than a header and a trailer")
    plain_header = sealed[:HEADER_BYTES]
    header = _header(plain_header)
    if (header.domain_id, header.version) != (domain_id, version):
        raise OtherKey("the header names another domain or another version of its key")
    key = _object_key(domain_key, header)
    bound_to = hashlib.sha256(plain_header).digest()

    plaintext, segments = _segments(key, bound_to, header.segment_bytes, sealed[HEADER_BYTES:-TRAILER_BYTES])
    digest, length, counted = _trailer(key, bound_to, segments, sealed[-TRAILER_BYTES:])
    if (length, counted) != (len(plaintext), segments):
        raise Unreadable("the trailer counts other bytes or segments than there are")
    if digest.split(":")[1] != hashlib.new(digest.split(":")[0], plaintext).hexdigest():
        raise Unreadable("the trailer names the digest of another plaintext")
    return Opened(plaintext, digest, segments, header)


def _header(plain: bytes) -> Header:
    """The header, every field of it in its place and every constant as the format has it."""
    fixed = {
        "magic": (plain[0:8], b"LADINGE1"),
        "version": (plain[8:10], b"\x00\x01"),
        "algorithm": (plain[10:11], b"\x01"),
        "header length": (plain[12:14], b"\x00\x80"),
        "flags": (plain[14:16], b"\x00\x00"),
        "zero": (plain[36:48], bytes(12)),
    }
    for name, (found, expected) in fixed.items():
        if found != expected:
            raise Unreadable(f"{name} is {found.hex()}")
    if not 14 <= plain[11] <= 24:
        raise Unreadable(f"segments of 2^{plain[11]} bytes")
    return Header(
        segment_bytes=2 ** plain[11],
        domain_id=plain[16:32],
        version=int.from_bytes(plain[32:36], "big"),
        salt=plain[48:80],
        commitment=plain[80:112],
        object_id=plain[112:128],
    )


def _object_key(domain_key: bytes, header: Header) -> bytes:
    """The key of one object, if the header commits to it."""
    info = b"blob-v1" + header.domain_id + header.version.to_bytes(4, "big") + header.object_id
    derived = _hkdf_sha256(domain_key, header.salt, info, 64)
    if not hmac.compare_digest(derived[32:], header.commitment):
        raise OtherKey("the header commits to another key")
    return derived[:32]


def _hkdf_sha256(key: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    """RFC 5869, both steps."""
    extracted = hmac.digest(salt, key, "sha256")
    expanded = block = b""
    counter = 1
    while len(expanded) < length:
        block = hmac.digest(extracted, block + info + bytes([counter]), "sha256")
        expanded += block
        counter += 1
    return expanded[:length]


def _segments(key: bytes, bound_to: bytes, segment_bytes: int, sealed: bytes) -> tuple[bytes, int]:
    """The plaintext of all segments, and how many there were; only the last may be short, and none is empty."""
    plaintext = b""
    index = position = 0
    while position < len(sealed):
        segment = sealed[position : position + NONCE_BYTES + segment_bytes + TAG_BYTES]
        if len(segment) <= NONCE_BYTES + TAG_BYTES:
            raise Unreadable("a segment without content")
        plaintext += _unseal(key, segment, bound_to + index.to_bytes(8, "big") + b"\x00")
        position += len(segment)
        index += 1
    return plaintext, index


def _trailer(key: bytes, bound_to: bytes, segments: int, sealed: bytes) -> tuple[str, int, int]:
    """The digest (as it is written in an image), length and segment count of the plaintext."""
    told = _unseal(key, sealed, bound_to + segments.to_bytes(8, "big") + b"\x01")
    if told[0] not in DIGESTS:
        raise Unreadable(f"digest algorithm {told[0]}")
    name, digest_bytes = DIGESTS[told[0]]
    if told[1] != digest_bytes or any(told[2 + digest_bytes : 66]):
        raise Unreadable("a digest of another length than its algorithm has")
    if any(told[78:]):
        raise Unreadable("bytes after the segment count")
    digest = f"{name}:{told[2 : 2 + digest_bytes].hex()}"
    return digest, int.from_bytes(told[66:74], "big"), int.from_bytes(told[74:78], "big")


def _unseal(key: bytes, sealed: bytes, associated: bytes) -> bytes:
    """The plaintext of nonce, ciphertext and tag."""
    try:
        return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], associated)
    except InvalidTag as error:
        raise Unreadable("a tag does not verify") from error
