"""Sealing: that what is sealed opens again, and that nothing of it can be told without the key."""

import zlib
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from storage.digest import Algorithm, Digest
from storage.encryption.cipher import ObjectCipher, Trailer, cipher_of, new_cipher
from storage.encryption.header import HEADER_BYTES, NONCE_BYTES, Header
from storage.encryption.keys import DomainKey
from storage.encryption.whole import key_of, open_whole, seal_whole
from storage.errors import SealBroken
from tests.storage.encryption.objects import BITS, KEY, SEGMENT, content, sealed, taken_apart

IN_PLAIN = 48
"""Bytes at the front of a header that all objects of a key and a segment size share."""
SIZES = [0, 1, SEGMENT - 1, SEGMENT, SEGMENT + 1, 5 * SEGMENT - 1, 5 * SEGMENT, 5 * SEGMENT + 1]
CIPHER = new_cipher(KEY, segment_bits=BITS)

few = settings(max_examples=40, deadline=None)


class _OneKey:
    """The keys of a registry that has one."""

    async def current(self, domain: str) -> DomainKey:
        assert domain == KEY.domain
        return KEY

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        assert (domain_id, version) == (KEY.id, KEY.version)
        return KEY


def _opener(cipher: ObjectCipher) -> ObjectCipher:
    """What somebody opens with who has only the object."""
    return cipher_of(Header.parse(cipher.packed), KEY)


def _runs(whole: bytes, length: int = 16) -> Counter[bytes]:
    """Every run of bytes, at any offset."""
    return Counter(whole[start : start + length] for start in range(len(whole) - length + 1))


@pytest.mark.parametrize("size", SIZES)
def test_what_is_sealed_opens_again(size: int) -> None:
    """Whatever its size is to a segment's."""
    assert open_whole(KEY, sealed(content(size)), Digest.of(content(size))) == content(size)


@few
@given(st.binary(max_size=2000), st.sampled_from(Algorithm))
def test_any_bytes_sealed_whole_open_again(plain: bytes, algorithm: Algorithm) -> None:
    """Under the digest they were pushed with."""
    digest = Digest.of(plain, algorithm)

    assert open_whole(KEY, seal_whole(KEY, plain, digest), digest) == plain


async def test_the_key_of_an_object_is_the_one_its_header_names() -> None:
    """Domain and version are in plain, so that a reader knows what to ask for."""
    whole = sealed(b"hello")

    assert await key_of(_OneKey(), whole) is KEY


@few
@given(st.integers(0, SEGMENT), st.integers(0, 2**32 - 1))
def test_sealing_into_a_buffer_is_sealing(size: int, index: int) -> None:
    """Buffers are used again and again; nothing is written outside of what was given."""
    plain = content(size)
    buffer = bytearray(b"\xaa" * (size + 28 + 20))

    CIPHER.seal_into(index, memoryview(plain), memoryview(buffer)[10:-10])

    assert _opener(CIPHER).open(index, bytes(buffer[10:-10])) == plain
    assert buffer[:10] == buffer[-10:] == b"\xaa" * 10


@few
@given(st.integers(0, SEGMENT), st.integers(0, 2**32 - 1))
def test_opening_into_a_buffer_is_opening(size: int, index: int) -> None:
    """What was in the buffer before does not count."""
    segment = CIPHER.seal(index, content(size))
    buffer = bytearray(b"\xaa" * (size + 20))

    _opener(CIPHER).open_into(index, memoryview(segment), memoryview(buffer)[10:-10])

    assert buffer[10:-10] == content(size)
    assert buffer[:10] == buffer[-10:] == b"\xaa" * 10


@few
@given(st.binary(max_size=60), st.integers(0, 60))
def test_what_is_no_segment_opens_in_neither_way(segment: bytes, size: int) -> None:
    """Too short for a nonce, for a tag, or a buffer of another length: SealBroken and nothing else."""
    with pytest.raises(SealBroken):
        CIPHER.open(0, segment)
    with pytest.raises(SealBroken):
        CIPHER.open_into(0, memoryview(segment), memoryview(bytearray(size)))


def test_a_segment_opens_in_its_place_only() -> None:
    """Its number is bound to it, and a trailer is no segment."""
    segment = CIPHER.seal(3, b"hello")
    trailer = CIPHER.seal_trailer(Trailer(Digest.of(b""), 0))

    assert CIPHER.open(3, segment) == b"hello"
    with pytest.raises(SealBroken):
        CIPHER.open(2, segment)
    with pytest.raises(SealBroken):
        CIPHER.open(0, trailer)


def test_one_cipher_serves_many_threads() -> None:
    """Segments of one object are sealed and opened side by side."""

    def sealed_and_opened(index: int) -> bool:
        plain = content(SEGMENT - index)
        return CIPHER.open(index, CIPHER.seal(index, plain)) == plain

    with ThreadPoolExecutor(4) as threads:
        assert all(threads.map(sealed_and_opened, range(200)))


def test_nonces_never_repeat() -> None:
    """Of segments and trailers, of many objects, and of one segment that is sealed again and again."""
    objects = [taken_apart(sealed(bytes(2 * SEGMENT + 1))) for _ in range(200)]
    nonces = [nonce for parts in objects for nonce in parts.nonces]
    nonces += [CIPHER.seal(0, b"again")[:NONCE_BYTES] for _ in range(5000)]
    sealed_again = bytearray(33)
    for _ in range(1000):
        CIPHER.seal_into(0, b"again", memoryview(sealed_again))
        nonces.append(bytes(sealed_again[:NONCE_BYTES]))

    assert len(nonces) == 200 * 4 + 5000 + 1000
    assert len(set(nonces)) == len(nonces)


def test_every_object_has_a_salt_an_id_and_a_commitment_of_its_own() -> None:
    """So that no two have a key in common."""
    headers = [Header.parse(seal_whole(KEY, b"")[:HEADER_BYTES]) for _ in range(500)]

    assert len({header.salt for header in headers}) == 500
    assert len({header.object_id for header in headers}) == 500
    assert len({header.commitment for header in headers}) == 500


def test_an_object_does_not_compress() -> None:
    """Not even one of zeros; only the front of its header is known."""
    whole = sealed(bytes(4 * SEGMENT))[IN_PLAIN:]

    assert len(zlib.compress(whole, level=9)) >= len(whole)


def test_nothing_in_an_object_repeats() -> None:
    """A plaintext of one byte over and over shows no pattern: no 16 bytes are there twice, at any offset."""
    whole = sealed(bytes(2 * SEGMENT))[IN_PLAIN:]

    assert _runs(whole).most_common(1)[0][1] == 1


def test_the_same_content_sealed_twice_has_nothing_in_common() -> None:
    """Nobody can tell that two objects are copies of one: no 16 bytes of one are in the other, at any offset."""
    plain = content(SEGMENT + 1)
    one, other = sealed(plain), sealed(plain)

    assert one[:IN_PLAIN] == other[:IN_PLAIN]
    assert not _runs(one[IN_PLAIN:]).keys() & _runs(other[IN_PLAIN:]).keys()


def test_nothing_of_the_content_is_in_the_object() -> None:
    """Nor of its digest, in binary or in hex."""
    plain = content(SEGMENT + 1)
    whole, digest = sealed(plain), Digest.of(plain)

    assert not _runs(whole, 8).keys() & _runs(plain, 8).keys()
    assert bytes.fromhex(digest.hex)[:8] not in whole
    assert digest.hex[:8].encode() not in whole
