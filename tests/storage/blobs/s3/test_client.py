"""What errors of S3 mean: what a client hears, and what whoever runs the registry is to do."""

from pathlib import Path

import boto3
import pytest

from storage.blobs.interface import Span
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.client import S3Place
from storage.blobs.s3.content import Content
from storage.errors import StoreUnavailable
from tests.contracts.s3_places import BUCKET, HASTY
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner

_SESSION = boto3.session.Session  # the fixtures put one that has credentials in its place
_HEARD = "the content store does not answer: try again later"


async def _ask(bucket: Bucket, operation: str) -> None:
    match operation:
        case "HeadObject":
            await bucket.size("a")
        case "GetObject":
            await bucket.run(lambda: bucket.open("a", Span(0, 1)))
        case "PutObject":
            await bucket.put("a", Content([b"x"]))
        case _:
            await anext(bucket.objects(""))


@pytest.mark.parametrize("operation", ["HeadObject", "GetObject", "PutObject", "ListObjectsV2"])
@pytest.mark.parametrize(
    ("code", "status", "advice"),
    [
        ("NoSuchBucket", 404, "the bucket lading-tests does not exist: make it, or correct storage.bucket"),
        ("InvalidAccessKeyId", 403, "S3 does not know these credentials (InvalidAccessKeyId): correct them"),
        ("SignatureDoesNotMatch", 403, "S3 does not know these credentials (SignatureDoesNotMatch): correct them"),
        ("ExpiredToken", 400, "S3 does not know these credentials (ExpiredToken): correct them"),
        ("RequestTimeTooSkewed", 403, "the clock of this machine is more than 15 minutes wrong"),
        ("AccessDenied", 403, "S3 refuses this to these credentials (AccessDenied): ask `lading doctor`"),
        ("SomethingElse", 418, "S3 failed (SomethingElse): try again; if it stays, `lading doctor` looks at s3://"),
        ("<script>\n", 418, "S3 failed (418): try again"),
    ],
)
async def test_an_error_says_what_to_do(corner: Corner, operation: str, code: str, status: int, advice: str) -> None:
    """Whatever was asked, and never that an object is missing."""
    corner.server.faults.add(Fault("*", FaultKind.ERROR, times=None, code=code, status=status))

    with pytest.raises(StoreUnavailable) as raised:
        await _ask(corner.bucket(), operation)

    assert raised.value.words.startswith(advice)
    assert str(raised.value) == _HEARD
    assert raised.value.is_away


@pytest.mark.parametrize("operation", ["HeadObject", "PutObject"])
async def test_a_wrong_key_is_what_a_real_server_says(
    corner: Corner, operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also for a HEAD, whose answer has no body."""
    monkeypatch.setattr(corner.server, "secret_key", "another")

    with pytest.raises(StoreUnavailable, match=_HEARD) as raised:
        await _ask(corner.bucket(), operation)

    assert "SignatureDoesNotMatch" in raised.value.words


async def test_no_credentials_say_where_to_put_some(
    corner: Corner, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Before anything is asked."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    bucket = Bucket(_SESSION(), corner.bucket().place, corner.stores.threads, connections=1, patience=HASTY)

    with pytest.raises(StoreUnavailable) as raised:
        await _ask(bucket, "HeadObject")

    assert raised.value.words.startswith("no S3 credentials were found: set AWS_ACCESS_KEY_ID")
    assert len(corner.server.requests) == 0


async def test_an_endpoint_that_nobody_serves_is_named(corner: Corner) -> None:
    """Whoever runs the registry sees what could not be reached."""
    bucket = corner.bucket(endpoint_url="http://127.0.0.1:9")

    with pytest.raises(StoreUnavailable) as raised:
        await _ask(bucket, "HeadObject")

    assert "see that s3://" in raised.value.words
    assert "127.0.0.1:9 can be reached" in raised.value.words


def test_settings_that_boto3_refuses_are_told(corner: Corner) -> None:
    """Without a trace."""
    place = S3Place(BUCKET, endpoint_url="no url")

    with pytest.raises(StoreUnavailable) as raised:
        Bucket(_SESSION(), place, corner.stores.threads, connections=1, patience=HASTY)

    assert raised.value.words.startswith("S3 cannot be used: ")


async def test_an_object_in_an_archive_is_a_matter_of_that_object(corner: Corner) -> None:
    """All others can be read, so that whoever looks at every one goes on."""
    corner.server.faults.add(Fault("*", FaultKind.ERROR, times=None, code="InvalidObjectState", status=403))

    with pytest.raises(StoreUnavailable) as raised:
        await _ask(corner.bucket(), "GetObject")

    assert raised.value.words.startswith("S3 holds this object in an archive (InvalidObjectState): restore it there")
    assert not raised.value.is_away
