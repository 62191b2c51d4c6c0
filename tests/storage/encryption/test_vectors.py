"""The format is frozen: what was sealed once opens for ever, to the registry and to a reader of its description."""

import base64
import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import pytest

from storage.digest import Algorithm, Digest
from storage.encryption.header import HEADER_BYTES, Header
from storage.encryption.keys import DomainKey
from storage.encryption.whole import open_whole, seal_whole
from tests.storage.encryption.objects import KEY, OTHER_DOMAIN, OTHER_SECRET, OTHER_VERSION, content, hashed, sealed
from tests.vectors.reader import OtherKey, Unreadable, open_object

FILE = Path(__file__).parents[2] / "vectors" / "encryption-v1.json"
FROZEN = "de034143bc7df3f573c518da9c391ee4dbfb915d57bdd7e24802ff77eae87d3f"


@dataclass(frozen=True)
class Vector:
    """One object of the file, and what it is."""

    name: str
    key: DomainKey
    digest: Digest
    plaintext: bytes
    sealed: bytes


def _vectors() -> list[Vector]:
    return [
        Vector(
            entry["name"],
            DomainKey(
                "vector", base64.b64decode(entry["domain_id"]), entry["version"], base64.b64decode(entry["domain_key"])
            ),
            Digest.parse(entry["digest"]),
            base64.b64decode(entry["plaintext"]),
            base64.b64decode(entry["object"]),
        )
        for entry in json.loads(FILE.read_bytes())["vectors"]
    ]


VECTORS = [pytest.param(vector, id=vector.name) for vector in _vectors()]
SIZES = [0, 1, 28, 2**14 - 1, 2**14, 2**14 + 1, 2**18 - 1, 2**18, 2**18 + 1, 2**19 + 12345]


def test_the_vectors_are_those_that_were_frozen() -> None:
    """They are as old as the format: a change that does not read them is wrong, not they."""
    assert hashlib.sha256(FILE.read_bytes()).hexdigest() == FROZEN


@pytest.mark.parametrize("vector", VECTORS)
def test_an_independent_reader_opens_each_vector(vector: Vector) -> None:
    """The description of the format is enough to read what the registry wrote."""
    opened = open_object(vector.key.secret, vector.key.id, vector.key.version, vector.sealed)

    assert opened.plaintext == vector.plaintext
    assert opened.digest == str(vector.digest)


@pytest.mark.parametrize("vector", VECTORS)
def test_the_registry_opens_each_vector(vector: Vector) -> None:
    """At once, and as a check of all content reads it."""
    assert open_whole(vector.key, vector.sealed, vector.digest) == vector.plaintext
    assert hashed([vector.sealed], vector.key, vector.digest.algorithm) == vector.digest.hex


@pytest.mark.parametrize("vector", VECTORS)
def test_headers_are_written_as_they_were(vector: Vector) -> None:
    """The hash of the header binds all of an object: one that is written anew from its fields is the same bytes."""
    plain = vector.sealed[:HEADER_BYTES]

    header = Header.parse(plain)

    assert header.packed() == plain
    assert (header.domain_id, header.key_version) == (vector.key.id, vector.key.version)


@pytest.mark.parametrize("size", SIZES)
def test_an_independent_reader_opens_what_is_sealed_whole(size: int) -> None:
    """Small things and large, in segments of the default size."""
    plain = content(size)

    opened = open_object(KEY.secret, KEY.id, KEY.version, seal_whole(KEY, plain))

    assert opened.plaintext == plain
    assert opened.digest == str(Digest.of(plain))
    assert opened.header.segment_bytes == 262144


@pytest.mark.parametrize("algorithm", list(Algorithm))
@pytest.mark.parametrize("bits", [14, 15, 24])
def test_an_independent_reader_opens_segments_of_every_size(bits: int, algorithm: Algorithm) -> None:
    """The smallest and the largest segments, and both algorithms of digests."""
    plain = content(40_000)

    opened = open_object(KEY.secret, KEY.id, KEY.version, sealed(plain, bits=bits, algorithm=algorithm))

    assert opened.plaintext == plain
    assert opened.digest == str(Digest.of(plain, algorithm))
    assert opened.segments == {14: 3, 15: 2, 24: 1}[bits]


@pytest.mark.parametrize("key", [OTHER_SECRET, OTHER_DOMAIN, OTHER_VERSION], ids=["secret", "domain", "version"])
def test_the_independent_reader_refuses_other_keys(key: DomainKey) -> None:
    """A reader that opens anything proves nothing: this one tells another key from damage, as the registry does."""
    with pytest.raises(OtherKey):
        open_object(key.secret, key.id, key.version, sealed(b"hello"))


@pytest.mark.parametrize(
    "place", [0, 9, 10, 11, 13, 15, 36, 47, 128, 139, 140, 144, 145, 160, 161, 172, 173, 252, 253, 268]
)
def test_the_independent_reader_refuses_damage(place: int) -> None:
    """In the first byte and the last of each region of an object of five bytes."""
    damaged = bytearray(sealed(b"hello"))
    damaged[place] ^= 1

    with pytest.raises(Unreadable):
        open_object(KEY.secret, KEY.id, KEY.version, bytes(damaged))
