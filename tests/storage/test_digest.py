"""Digests: their grammar and what they say about bytes."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.digest import Algorithm, Digest, hasher
from storage.errors import DigestInvalid

SHA256_OF_HELLO = "sha256:2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"
SHA512_OF_HELLO = (
    "sha512:9b71d224bd62f3785d96d46ad3ea3d73319bfbc2890caadae2dff72519673ca7"
    "2323c3d99ba5c11d7c7acc6e14b8c5da0c4663475c2e5c3adef46f73bcdec043"
)
ALGORITHMS = st.sampled_from(Algorithm)
CANONICAL = st.from_regex(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}", fullmatch=True)


@given(CANONICAL)
def test_a_canonical_digest_is_written_as_it_was_read(text: str) -> None:
    """A digest in a URL, in the database and in a header is the same text."""
    assert str(Digest.parse(text)) == text


@given(st.text() | st.from_regex(r"sha(256|512):[0-9a-fA-F]{60,132}"))
def test_text_is_a_digest_only_if_it_is_canonical(text: str) -> None:
    """What parses is canonical, so that equal digests are equal text; all else raises DigestInvalid."""
    try:
        digest = Digest.parse(text)
    except DigestInvalid:
        return

    assert str(digest) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "sha256",
        "sha256:",
        SHA256_OF_HELLO[:-1],
        SHA256_OF_HELLO + "0",
        SHA256_OF_HELLO + "\n",
        SHA256_OF_HELLO + "\0",
        " " + SHA256_OF_HELLO,
        SHA256_OF_HELLO.upper(),
        SHA256_OF_HELLO.replace("2cf", "2CF"),
        SHA256_OF_HELLO.replace("2cf", "2cg"),
        SHA256_OF_HELLO.replace("2cf", "2c\u0661"),
        SHA256_OF_HELLO.replace("sha256", "sha512"),
        SHA512_OF_HELLO.replace("sha512", "sha256"),
        SHA256_OF_HELLO.replace("sha256", "sha-256"),
        SHA256_OF_HELLO.replace("sha256", "md5"),
        "sha256:sha256:" + "0" * 57,
        "sha256:" + "../" * 21 + "0",
    ],
)
def test_what_is_not_canonical_is_refused(text: str) -> None:
    """Upper case, a wrong length, another algorithm or stray characters are DIGEST_INVALID."""
    with pytest.raises(DigestInvalid):
        Digest.parse(text)


def test_a_refused_digest_keeps_little_of_its_text() -> None:
    """An error that is logged stays small, whatever was sent."""
    with pytest.raises(DigestInvalid) as caught:
        Digest.parse("x" * 1_000_000)

    assert len(caught.value.text) == 256


@pytest.mark.parametrize("name", ["sha256", "sha512"])
def test_the_registered_algorithms_are_known(name: str) -> None:
    """sha256 and sha512 are the registered algorithms of the image specification."""
    assert Algorithm.parse(name).value == name


@pytest.mark.parametrize("name", ["", "SHA256", "sha384", "md5", "blake3", "sha256 "])
def test_an_unsupported_algorithm_is_refused(name: str) -> None:
    """An algorithm that the registry does not hash with raises DigestInvalid."""
    with pytest.raises(DigestInvalid):
        Algorithm.parse(name)


@pytest.mark.parametrize(
    ("algorithm", "expected"), [(Algorithm.SHA256, SHA256_OF_HELLO), (Algorithm.SHA512, SHA512_OF_HELLO)]
)
def test_the_digest_of_bytes_is_the_standard_one(algorithm: Algorithm, expected: str) -> None:
    """Any other tool computes the same digest."""
    assert str(Digest.of(b"hello", algorithm)) == expected


def test_the_digest_of_bytes_is_sha256_unless_asked() -> None:
    """sha256 is what every client expects."""
    assert str(Digest.of(b"hello")) == SHA256_OF_HELLO


@given(st.binary(), ALGORITHMS)
def test_a_digest_matches_its_bytes(content: bytes, algorithm: Algorithm) -> None:
    """The digest of bytes names these bytes, and can be read back."""
    digest = Digest.of(content, algorithm)

    assert digest.matches(content)
    assert Digest.parse(str(digest)) == digest


@given(st.binary(), st.binary(), ALGORITHMS)
def test_a_digest_matches_no_other_bytes(content: bytes, other: bytes, algorithm: Algorithm) -> None:
    """A digest names one sequence of bytes."""
    assert Digest.of(content, algorithm).matches(other) == (content == other)


@given(st.lists(st.binary()), ALGORITHMS)
def test_hashing_in_pieces_gives_the_digest_of_the_whole(chunks: list[bytes], algorithm: Algorithm) -> None:
    """However a body is cut into chunks, its digest is the same."""
    running = hasher(algorithm)
    for chunk in chunks:
        running.update(chunk)

    assert Digest(algorithm, running.hexdigest()) == Digest.of(b"".join(chunks), algorithm)


@given(st.binary())
def test_digests_agree_with_hashlib(content: bytes) -> None:
    """The hex of a digest is that of the algorithm it names."""
    assert Digest.of(content).hex == hashlib.sha256(content).hexdigest()
