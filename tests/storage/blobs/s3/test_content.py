"""Bytes on their way, as a file that boto3 and http.client read."""

import http.client

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.blobs.s3.content import Content
from tests.s3.server import S3Server

CHUNKS = st.lists(st.binary(max_size=9))


@given(chunks=CHUNKS)
def test_content_is_its_chunks(chunks: list[bytes]) -> None:
    """Whether it is read, iterated or measured, and again after going back."""
    content = Content([memoryview(chunk) for chunk in chunks])

    for _ in range(2):
        read = b"".join(iter(lambda: bytes(content.read(16)), b""))
        assert read == b"".join(content) == b"".join(chunks)
        assert content.tell() == len(content) == len(read)
        assert content.read() == b""
        assert content.seek(0) == content.tell() == 0


def test_its_place_is_told_chunk_by_chunk() -> None:
    """What was read, whatever was asked for."""
    content = Content([b"hel", b"", b"lo"])

    content.read(1)

    assert content.tell() == 3
    assert content.seek(0, 2) == content.tell() == 5
    assert content.seek(5) == 5
    assert content.read() == b""


@pytest.mark.parametrize(("offset", "whence"), [(1, 0), (-1, 2), (0, 1), (6, 0)])
def test_it_goes_nowhere_else(offset: int, whence: int) -> None:
    """Nobody is told of a place where it is not."""
    with pytest.raises(ValueError, match=f"cannot seek to {offset} from {whence}"):
        Content([b"hel", b"lo"]).seek(offset, whence)


def test_checksums_are_of_all_chunks() -> None:
    """CRC-32 big endian, and MD5; SHA-256 is in the signature."""
    content = Content([b"hel", b"lo"])

    assert content.checksum("crc32") == {"ChecksumCRC32": "NhCmhg=="}
    assert content.checksum("md5") == {"ContentMD5": "XUFAKrxLKna5cZ2REBfFkg=="}
    assert content.checksum("sha256") == content.checksum("none") == {}
    assert content.tell() == 0


def test_http_sends_it_chunk_by_chunk(server: S3Server) -> None:
    """With the length that was announced."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    content = Content([b"hel", memoryview(b"lo")])

    connection.request("PUT", "/lading-tests/a", body=content, headers={"Content-Length": "5"})
    connection.getresponse().read()
    connection.close()

    assert content.tell() == 5
