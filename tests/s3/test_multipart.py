"""Multipart uploads of the test server are as strict as those of S3."""

from typing import Any

import pytest

from tests.s3.clients import BUCKET, refused
from tests.s3.server import S3Server

pytest.importorskip("boto3")


def _begin(s3: Any, key: str = "a", **arguments: Any) -> dict[str, str]:
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key=key, **arguments)
    return {"Key": key, "UploadId": upload["UploadId"]}


def _send(s3: Any, upload: dict[str, str], *contents: bytes) -> dict[str, Any]:
    """Send parts from 1 on; returns how CompleteMultipartUpload is to name them."""
    parts = []
    for number, content in enumerate(contents, start=1):
        sent = s3.upload_part(Bucket=BUCKET, PartNumber=number, Body=content, **upload)
        checksums = {name: value for name, value in sent.items() if name.startswith("Checksum")}
        parts.append({"PartNumber": number, "ETag": sent["ETag"], **checksums})
    return {"MultipartUpload": {"Parts": parts}}


def test_parts_become_an_object(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes = 3
    upload = _begin(s3, ContentType="text/plain", ServerSideEncryption="AES256")

    named = _send(s3, upload, b"abc", b"def", b"g")
    named["MultipartUpload"]["Parts"][0]["ETag"] = named["MultipartUpload"]["Parts"][0]["ETag"].strip('"')
    completed = s3.complete_multipart_upload(Bucket=BUCKET, **upload, **named)

    read = s3.get_object(Bucket=BUCKET, Key="a")
    assert read["Body"].read() == b"abcdefg"
    assert completed["ETag"] == read["ETag"] == '"d322b115ece92a45e0909788b142235c-3"'
    assert (read["ContentType"], completed["ServerSideEncryption"]) == ("text/plain", "AES256")
    assert server.bucket(BUCKET).uploads == {}


def test_a_part_that_is_too_small_is_refused_unless_it_is_the_last(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes = 3
    upload = _begin(s3)

    named = _send(s3, upload, b"abc", b"de", b"f")

    assert refused(s3.complete_multipart_upload, **upload, **named) == ("EntityTooSmall", 400)
    assert list(server.bucket(BUCKET).uploads) == [upload["UploadId"]]


def test_parts_must_be_there_and_in_order(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes = 1
    upload = _begin(s3)
    first, second = _send(s3, upload, b"abc", b"def")["MultipartUpload"]["Parts"]

    def complete(*parts: dict[str, Any]) -> tuple[str, int]:
        return refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": list(parts)})

    assert complete(second, first) == ("InvalidPartOrder", 400)
    assert complete(first, first) == ("InvalidPartOrder", 400)
    assert complete(first, {"PartNumber": 3, "ETag": '"0"'}) == ("InvalidPart", 400)
    assert complete(first, {**second, "ETag": first["ETag"]}) == ("InvalidPart", 400)
    assert complete() == ("MalformedXML", 400)
    assert refused(s3.upload_part, **upload, PartNumber=10_001, Body=b"") == ("InvalidArgument", 400)


def test_parts_of_one_size_can_be_asked_for(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes, server.equal_parts = 1, True
    unequal, equal = _begin(s3), _begin(s3)

    named = _send(s3, unequal, b"abc", b"de", b"f")

    assert refused(s3.complete_multipart_upload, **unequal, **named) == ("InvalidPart", 400)
    s3.complete_multipart_upload(Bucket=BUCKET, **equal, **_send(s3, equal, b"abc", b"def", b"g"))


def test_an_upload_ends_once(s3: Any, server: S3Server) -> None:
    aborted, completed = _begin(s3), _begin(s3)
    named = _send(s3, completed, b"abc")

    s3.abort_multipart_upload(Bucket=BUCKET, **aborted)
    etag = s3.complete_multipart_upload(Bucket=BUCKET, **completed, **named)["ETag"]

    assert refused(s3.upload_part, **aborted, PartNumber=1, Body=b"") == ("NoSuchUpload", 404)
    assert refused(s3.abort_multipart_upload, **aborted) == ("NoSuchUpload", 404)
    assert refused(s3.list_parts, **completed) == ("NoSuchUpload", 404)
    assert refused(s3.complete_multipart_upload, **completed, **named) == ("NoSuchUpload", 404)
    server.repeats_completion = True
    assert s3.complete_multipart_upload(Bucket=BUCKET, **completed, **named)["ETag"] == etag


def test_an_upload_may_ask_to_be_the_first(s3: Any) -> None:
    upload = _begin(s3)
    named = _send(s3, upload, b"abc")
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x")

    assert refused(s3.complete_multipart_upload, **upload, **named, IfNoneMatch="*") == ("PreconditionFailed", 412)


def test_a_part_may_be_copied(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes = 1
    s3.put_object(Bucket=BUCKET, Key="source", Body=b"0123456789")
    upload = _begin(s3)
    source = {"CopySource": {"Bucket": BUCKET, "Key": "source"}}

    copied = s3.upload_part_copy(Bucket=BUCKET, **upload, **source, PartNumber=1, CopySourceRange="bytes=2-4")
    part = {"PartNumber": 1, "ETag": copied["CopyPartResult"]["ETag"]}
    outside = refused(s3.upload_part_copy, **upload, **source, PartNumber=2, CopySourceRange="bytes=2-10")
    s3.complete_multipart_upload(Bucket=BUCKET, **upload, MultipartUpload={"Parts": [part]})

    assert outside == ("InvalidArgument", 400)
    assert s3.get_object(Bucket=BUCKET, Key="a")["Body"].read() == b"234"


def test_checksums_of_parts_are_held_against_their_names(s3: Any, server: S3Server) -> None:
    server.minimum_part_bytes = 1
    upload = _begin(s3, ChecksumAlgorithm="SHA256")
    parts = []
    for number, content in ((1, b"abc"), (2, b"def")):
        sent = s3.upload_part(Bucket=BUCKET, **upload, PartNumber=number, Body=content, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": sent["ETag"], "ChecksumSHA256": sent["ChecksumSHA256"]})
    bare = [{"PartNumber": part["PartNumber"], "ETag": part["ETag"]} for part in parts]

    missing = refused(s3.complete_multipart_upload, **upload, MultipartUpload={"Parts": bare})
    completed = s3.complete_multipart_upload(Bucket=BUCKET, **upload, MultipartUpload={"Parts": parts})

    assert missing == ("InvalidRequest", 400)
    assert completed["ChecksumSHA256"] == "nATTAFe3VK8bLS1PVnV4LdYaWmWcNO5sKvR1JrZsr6Y=-2"


def test_a_checksum_of_the_whole(s3: Any) -> None:
    upload = _begin(s3, ChecksumAlgorithm="CRC32", ChecksumType="FULL_OBJECT")
    named = _send(s3, upload, b"hello")

    s3.complete_multipart_upload(Bucket=BUCKET, **upload, **named)

    assert s3.get_object(Bucket=BUCKET, Key="a")["ChecksumCRC32"] == "NhCmhg=="


def test_parts_are_listed_in_pages(s3: Any, server: S3Server) -> None:
    upload = _begin(s3)
    _send(s3, upload, b"a", b"bb", b"ccc")
    server.page_keys = 2

    pages = list(s3.get_paginator("list_parts").paginate(Bucket=BUCKET, **upload))

    assert [[part["Size"] for part in page["Parts"]] for page in pages] == [[1, 2], [3]]


def test_uploads_are_listed_in_pages(s3: Any, server: S3Server) -> None:
    server.now = lambda: 1_700_000_000.0
    begun = [_begin(s3, key)["UploadId"] for key in ("b", "a", "b", "b", "x")]
    server.page_keys = 2

    pages = list(s3.get_paginator("list_multipart_uploads").paginate(Bucket=BUCKET))
    below = s3.list_multipart_uploads(Bucket=BUCKET, Prefix="x")["Uploads"]
    after = s3.list_multipart_uploads(Bucket=BUCKET, KeyMarker="b")["Uploads"]

    told = [[upload["UploadId"] for upload in page["Uploads"]] for page in pages]
    assert told == [[begun[1], begun[0]], [begun[2], begun[3]], [begun[4]]]
    assert [upload["UploadId"] for upload in below] == [upload["UploadId"] for upload in after] == [begun[4]]
    assert below[0]["Initiated"].timestamp() == 1_700_000_000
