"""The settings of where content is kept."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from registry.config_storage import StorageSettings

MIB = 1024 * 1024


def _s3(**settings: Any) -> StorageSettings:
    return StorageSettings(root=Path("/data"), backend="s3", **{"bucket": "layers", **settings})


def _message(**settings: Any) -> str:
    with pytest.raises(ValidationError) as raised:
        _s3(**settings)
    return str(raised.value)


def test_a_bucket_is_all_that_s3_needs() -> None:
    """Everything else has a default."""
    settings = _s3()

    assert (settings.bucket, settings.prefix, settings.checksum, settings.redirect) == ("layers", "", "crc32", False)


def test_s3_needs_a_bucket() -> None:
    """Said before anything is asked."""
    assert "the backend s3 needs a bucket: set storage.bucket" in _message(bucket=None)


@pytest.mark.parametrize("bucket", ["s3://layers", "layers/path", "Layers", "ab", "a" * 64, "-ab", "ab-", "a b", ""])
def test_what_is_no_bucket_is_refused(bucket: str) -> None:
    """URLs and paths among it."""
    assert "no s3:// and no path" in _message(bucket=bucket)


@pytest.mark.parametrize(
    ("prefix", "kept"),
    [("", ""), ("/", ""), ("registry", "registry/"), ("/registry/", "registry/"), ("a/b.c_d-e", "a/b.c_d-e/")],
)
def test_a_prefix_has_one_form(prefix: str, kept: str) -> None:
    """However it is written, the keys are the same."""
    assert _s3(prefix=prefix).prefix == kept


@pytest.mark.parametrize("prefix", ["a//b", "a/../b", ".", "a b", "ä", "a?b", "a\n"])
def test_a_prefix_that_is_easily_mistaken_is_refused(prefix: str) -> None:
    """By proxies, shells or people."""
    assert "letters, digits, dots, dashes and underscores" in _message(prefix=prefix)


def test_a_prefix_leaves_room_for_keys() -> None:
    """S3 takes 1024 bytes."""
    assert "at most 256 characters" in _message(prefix="a" * 257)


@pytest.mark.parametrize("url", ["http://127.0.0.1:9000", "https://s3.example.com", "https://[::1]:9000"])
def test_an_endpoint_is_a_url(url: str) -> None:
    """With or without a port."""
    assert _s3(endpoint_url=url).endpoint_url == url


@pytest.mark.parametrize(
    "url",
    [
        "https://me:secret@s3.example.com",
        "https://me@s3.example.com",
        "https://:x@h",
        "s3.example.com",
        "s3://h",
        "http://",
    ],
)
def test_what_is_no_endpoint_is_refused(url: str) -> None:
    """Nor are credentials part of one."""
    assert "no credentials" in _message(endpoint_url=url)


@pytest.mark.parametrize("sse", ["AES256", "aws:kms", "aws:kms:alias/a-key"])
def test_encryption_is_one_of_three(sse: str) -> None:
    """The key of the last is whatever KMS knows."""
    assert _s3(sse=sse).sse == sse


@pytest.mark.parametrize("sse", ["", "aes256", "aws:kms:", "aws:kms:a b", "none"])
def test_another_encryption_is_refused(sse: str) -> None:
    """Nothing goes out unencrypted by a slip of the pen."""
    assert "server-side encryption is AES256, aws:kms" in _message(sse=sse)


@pytest.mark.parametrize(("written", "size"), [(5 * MIB, 5 * MIB), (64 * MIB, 64 * MIB)])
def test_a_part_has_5_to_64_mib(written: int, size: int) -> None:
    """S3 takes no smaller ones, and larger ones would fill the memory."""
    assert _s3(part_bytes=written).part_bytes == size


@pytest.mark.parametrize("size", [0, 5 * MIB - 1, 64 * MIB + 1])
def test_a_part_of_another_size_is_refused(size: int) -> None:
    """Both bounds are told."""
    assert "part_bytes" in _message(part_bytes=size)
