"""Bodies: undone from aws-chunked, and held against every digest that came with them."""

import base64
import binascii
import hashlib
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.s3.calls import Call
from tests.s3.refusals import Refused

CHECKSUM = "x-amz-checksum-"
DIGESTS: Mapping[str, Callable[[bytes], bytes]] = {
    "crc32": lambda content: zlib.crc32(content).to_bytes(4, "big"),
    "sha1": lambda content: hashlib.sha1(content, usedforsecurity=False).digest(),
    "sha256": lambda content: hashlib.sha256(content).digest(),
}
_NO_CHECKSUMS = frozenset({f"{CHECKSUM}{word}" for word in ("mode", "type", "algorithm")})
_STREAMING = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"


@dataclass(frozen=True, slots=True)
class Payload:
    """A body as it is meant, and the checksums (header name to base64) that it was found to have."""

    content: bytes = b""
    checksums: Mapping[str, str] = field(default_factory=dict)


def checksum(algorithm: str, content: bytes) -> str:
    """The checksum in base64; only those that Python's library has are there."""
    digest = DIGESTS.get(algorithm)
    if digest is None:
        raise Refused("NotImplemented", f"no {algorithm} here")
    return base64.b64encode(digest(content)).decode()


def payload_of(call: Call, received: bytes, *, refuses_trailers: bool) -> Payload:
    """The payload of a body, every digest of it verified."""
    said = {
        name: value for name, value in call.headers.items() if name.startswith(CHECKSUM) and name not in _NO_CHECKSUMS
    }
    hashed = call.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    content = received
    if hashed.startswith("STREAMING-"):
        if refuses_trailers or hashed != _STREAMING:
            raise Refused("NotImplemented", f"x-amz-content-sha256 {hashed}")
        content, trailers = unchunked(call, received)
        said |= trailers
    elif hashed != "UNSIGNED-PAYLOAD" and hashed != hashlib.sha256(content).hexdigest():
        raise Refused("XAmzContentSHA256Mismatch")
    _verify(call, content, said)
    return Payload(content, said)


def _verify(call: Call, content: bytes, said: Mapping[str, str]) -> None:
    if "x-amz-sdk-checksum-algorithm" in call.headers and not said:
        raise Refused("InvalidRequest", "x-amz-sdk-checksum-algorithm without a checksum")
    for name, value in said.items():
        if value != checksum(name.removeprefix(CHECKSUM), content):
            raise Refused("BadDigest", f"The {name} is not the one of the content.")
    content_md5 = call.headers.get("content-md5")
    if content_md5 is not None and _decoded(content_md5) != hashlib.md5(content, usedforsecurity=False).digest():
        raise Refused("BadDigest")


def _decoded(content_md5: str) -> bytes:
    try:
        digest = base64.b64decode(content_md5, validate=True)
    except binascii.Error as error:
        raise Refused("InvalidDigest") from error
    if len(digest) != hashlib.md5(usedforsecurity=False).digest_size:
        raise Refused("InvalidDigest")
    return digest


def unchunked(call: Call, received: bytes) -> tuple[bytes, dict[str, str]]:
    """The content of an aws-chunked body and its trailers (Amazon S3 user guide, "Trailing headers")."""
    chunks: list[bytes] = []
    position = 0
    while True:
        end = received.find(b"\r\n", position)
        try:
            size = int(received[position:end].split(b";")[0], 16)
        except ValueError as error:
            raise Refused("IncompleteBody") from error
        position = end + 2
        if size == 0:
            break
        chunks.append(received[position : position + size])
        position += size
        if received[position : position + 2] != b"\r\n":
            raise Refused("IncompleteBody")
        position += 2
    content = b"".join(chunks)
    if str(len(content)) != call.headers.get("x-amz-decoded-content-length"):
        raise Refused("IncompleteBody")
    return content, _trailers(call, received[position:])


def _trailers(call: Call, text: bytes) -> dict[str, str]:
    lines = [line.decode().partition(":") for line in text.split(b"\r\n") if line]
    trailers = {name.strip().lower(): value.strip() for name, _, value in lines}
    announced = {name.strip().lower() for name in call.headers.get("x-amz-trailer", "").split(",") if name}
    if trailers.keys() != announced:
        raise Refused("InvalidRequest", "The trailers are not those that x-amz-trailer announces.")
    return {name: value for name, value in trailers.items() if name.startswith(CHECKSUM)}
