"""The test server speaks S3: boto3 reads back what it wrote, and what S3 refuses is refused."""

import base64
import hashlib
from typing import Any

import pytest

from tests.s3.bucket import LifecycleRule
from tests.s3.clients import BUCKET, client_of, exchange, refused, send
from tests.s3.server import S3Server

pytest.importorskip("boto3")

_CHUNKED = b"5\r\nhello\r\n6\r\n world\r\n0\r\nx-amz-checksum-crc32:%s\r\n\r\n"
_CHUNKED_HEADERS = {
    "content_encoding": "aws-chunked",
    "x_amz_decoded_content_length": "11",
    "x_amz_trailer": "x-amz-checksum-crc32",
}


def test_an_object_is_read_back(s3: Any) -> None:
    put = s3.put_object(Bucket=BUCKET, Key="a/é ü+%", Body=b"hello", ContentType="text/plain", Metadata={"by": "test"})

    read = s3.get_object(Bucket=BUCKET, Key="a/é ü+%")

    assert put["ETag"] == '"5d41402abc4b2a76b9719d911017c592"'
    assert put["ChecksumCRC32"] == "NhCmhg=="
    assert read["Body"].read() == b"hello"
    assert (read["ETag"], read["ContentLength"], read["ContentType"]) == (put["ETag"], 5, "text/plain")
    assert (read["Metadata"], read["ChecksumCRC32"]) == ({"by": "test"}, "NhCmhg==")


@pytest.mark.parametrize(
    ("wanted", "read", "told"),
    [
        ("bytes=0-0", b"h", "bytes 0-0/5"),
        ("bytes=1-3", b"ell", "bytes 1-3/5"),
        ("bytes=3-", b"lo", "bytes 3-4/5"),
        ("bytes=3-99", b"lo", "bytes 3-4/5"),
        ("bytes=-2", b"lo", "bytes 3-4/5"),
        ("bytes=-9", b"hello", "bytes 0-4/5"),
    ],
)
def test_a_range_is_read(s3: Any, wanted: str, read: bytes, told: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")

    answer = s3.get_object(Bucket=BUCKET, Key="a", Range=wanted)

    assert (answer["Body"].read(), answer["ContentRange"]) == (read, told)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize("wanted", ["bytes=5-", "bytes=9-12", "bytes=-0"])
def test_a_range_outside_is_refused(s3: Any, wanted: str) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")

    assert refused(s3.get_object, Key="a", Range=wanted) == ("InvalidRange", 416)


def test_what_is_absent_is_told(s3: Any) -> None:
    assert refused(s3.get_object, Key="a") == ("NoSuchKey", 404)
    assert refused(s3.head_object, Key="a") == ("404", 404)
    assert refused(lambda **_: s3.get_object(Bucket="other", Key="a")) == ("NoSuchBucket", 404)
    assert refused(lambda **_: s3.head_bucket(Bucket="other")) == ("404", 404)
    s3.delete_object(Bucket=BUCKET, Key="a")


def test_conditions_of_writes(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello", IfNoneMatch="*")["ETag"]

    assert refused(s3.put_object, Key="a", Body=b"x", IfNoneMatch="*") == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Key="a", Body=b"x", IfMatch='"0"') == ("PreconditionFailed", 412)
    assert refused(s3.put_object, Key="b", Body=b"x", IfMatch=etag) == ("NoSuchKey", 404)
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x", IfMatch=etag)


def test_conditions_of_reads(s3: Any) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")["ETag"]

    assert s3.get_object(Bucket=BUCKET, Key="a", IfMatch=etag)["ContentLength"] == 5
    assert refused(s3.get_object, Key="a", IfMatch='"0"') == ("PreconditionFailed", 412)
    assert refused(s3.get_object, Key="a", IfNoneMatch=etag) == ("304", 304)


def test_a_copy_is_an_object_of_its_own(s3: Any, server: S3Server) -> None:
    etag = s3.put_object(Bucket=BUCKET, Key="a b", Body=b"hello", ContentType="text/plain")["ETag"]
    source = {"Bucket": BUCKET, "Key": "a b"}

    copied = s3.copy_object(Bucket=BUCKET, Key="c", CopySource=source, CopySourceIfMatch=etag)
    s3.delete_object(Bucket=BUCKET, Key="a b")

    assert copied["CopyObjectResult"]["ETag"] == etag
    assert s3.head_object(Bucket=BUCKET, Key="c")["ContentType"] == "text/plain"
    assert refused(s3.copy_object, Key="d", CopySource=source) == ("NoSuchKey", 404)
    here = {"Bucket": BUCKET, "Key": "c"}
    assert refused(s3.copy_object, Key="c", CopySource=here) == ("InvalidRequest", 400)
    assert refused(s3.copy_object, Key="d", CopySource=here, CopySourceIfMatch='"0"') == ("PreconditionFailed", 412)
    server.maximum_copy_bytes = 4
    assert refused(s3.copy_object, Key="d", CopySource=here) == ("InvalidRequest", 400)


def test_many_are_deleted_at_once(s3: Any, server: S3Server) -> None:
    for key in ("a", "<b>", "c"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"")
    server.undeletable.add("c")

    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in ("a", "<b>", "c", "d")]})

    assert [each["Key"] for each in answer["Deleted"]] == ["a", "<b>", "d"]
    assert [(each["Key"], each["Code"]) for each in answer["Errors"]] == [("c", "InternalError")]
    assert list(server.bucket(BUCKET).objects) == ["c"]


def test_a_listing_is_in_order_and_in_pages(s3: Any, server: S3Server) -> None:
    keys = ["a/1", "a/2", "b", "c/1", "é&<", "\U0001f600"]
    for key in reversed(keys):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    server.page_keys = 2

    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET))

    assert [[entry["Key"] for entry in told["Contents"]] for told in pages] == [keys[:2], keys[2:4], keys[4:]]
    assert s3.list_objects_v2(Bucket=BUCKET, StartAfter="a/1", Prefix="a/")["KeyCount"] == 1
    assert s3.list_objects_v2(Bucket=BUCKET, MaxKeys=0)["IsTruncated"] is False
    assert refused(s3.list_objects_v2, ContinuationToken="?") == ("InvalidArgument", 400)


def test_common_prefixes_are_counted_with_the_keys(s3: Any, server: S3Server) -> None:
    for key in ("a", "b/1", "b/2", "c/1", "d"):
        s3.put_object(Bucket=BUCKET, Key=key, Body=b"x")
    server.page_keys = 2

    pages = list(s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Delimiter="/"))

    told = [
        ([entry["Key"] for entry in page.get("Contents", [])], [each["Prefix"] for each in page["CommonPrefixes"]])
        for page in pages
    ]
    assert told == [(["a"], ["b/"]), (["d"], ["c/"])]


def test_a_bucket_tells_its_settings(s3: Any, server: S3Server) -> None:
    assert refused(s3.get_bucket_lifecycle_configuration) == ("NoSuchLifecycleConfiguration", 404)
    assert "Status" not in s3.get_bucket_versioning(Bucket=BUCKET)

    server.bucket(BUCKET).versioning = "Enabled"
    server.bucket(BUCKET).lifecycle.append(LifecycleRule("tidy", "uploads/", abort_days=7))

    assert s3.get_bucket_versioning(Bucket=BUCKET)["Status"] == "Enabled"
    (rule,) = s3.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 7}
    assert (rule["Filter"], rule["Status"]) == ({"Prefix": "uploads/"}, "Enabled")
    assert s3.get_bucket_location(Bucket=BUCKET)["LocationConstraint"] is None
    assert [bucket["Name"] for bucket in s3.list_buckets()["Buckets"]] == [BUCKET]


def test_a_bucket_is_made_and_removed(s3: Any, server: S3Server) -> None:
    s3.create_bucket(Bucket="other")

    assert refused(s3.create_bucket) == ("BucketAlreadyOwnedByYou", 409)
    s3.delete_bucket(Bucket="other")
    assert list(server.buckets) == [BUCKET]


@pytest.mark.parametrize(
    ("changed", "code", "status"),
    [
        ({"access_key": "AKIAOTHER"}, "InvalidAccessKeyId", 403),
        ({"secret_key": "other"}, "SignatureDoesNotMatch", 403),
        ({"aws_session_token": "other"}, "InvalidToken", 400),
    ],
)
def test_a_stranger_is_refused(server: S3Server, changed: dict[str, str], code: str, status: int) -> None:
    client = client_of(server, **changed)

    assert refused(client.put_object, Key="a", Body=b"x" * 2**20) == (code, status)
    assert refused(client.list_objects_v2) == (code, status)
    assert server.bucket(BUCKET).objects == {}
    client.close()


def test_a_client_of_another_region_is_told_the_right_one(server: S3Server) -> None:
    client = client_of(server, region="eu-west-1")

    client.put_object(Bucket=BUCKET, Key="a", Body=b"x")

    regions = [entry.headers["authorization"].split("/")[2] for entry in server.requests.of("PutObject")]
    assert regions == ["eu-west-1", "us-east-1"]
    client.close()


def test_who_does_not_sign_is_refused(server: S3Server) -> None:
    answer = exchange(server, "GET", f"/{BUCKET}?list-type=2")

    assert answer.status == 403
    assert b"<Code>AccessDenied</Code>" in answer.body


@pytest.mark.parametrize("seconds", [-16 * 60, 16 * 60])
def test_a_wrong_clock_is_refused(s3: Any, server: S3Server, seconds: int) -> None:
    server.skew_seconds = seconds

    assert refused(s3.list_objects_v2) == ("RequestTimeTooSkewed", 403)
    assert refused(s3.head_object, Key="a") == ("403", 403)


def test_denied_operations(s3: Any, server: S3Server) -> None:
    server.denied |= {"PutObject", "DeleteObject", "ListObjectsV2"}

    answer = s3.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": "a"}]})

    assert refused(s3.put_object, Key="a", Body=b"x") == ("AccessDenied", 403)
    assert refused(s3.delete_object, Key="a") == ("AccessDenied", 403)
    assert refused(s3.get_object, Key="absent") == ("AccessDenied", 403)
    assert [each["Code"] for each in answer["Errors"]] == ["AccessDenied"]


def test_the_requester_pays(s3: Any, server: S3Server) -> None:
    server.requester_pays = True

    s3.put_object(Bucket=BUCKET, Key="a", Body=b"x", RequestPayer="requester")

    assert refused(s3.get_object, Key="a") == ("AccessDenied", 403)
    assert server.bucket(BUCKET).objects["a"].headers["x-amz-request-payer"] == "requester"


def test_encryption_is_kept_and_told(s3: Any, server: S3Server) -> None:
    put = s3.put_object(Bucket=BUCKET, Key="a", Body=b"x", ServerSideEncryption="aws:kms", SSEKMSKeyId="key-1")

    assert put["ServerSideEncryption"] == "aws:kms"
    assert s3.head_object(Bucket=BUCKET, Key="a")["SSEKMSKeyId"] == "key-1"
    assert server.requests.of("PutObject")[0].headers["x-amz-server-side-encryption"] == "aws:kms"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        ({"ContentMD5": base64.b64encode(hashlib.md5(b"other").digest()).decode()}, "BadDigest"),
        ({"ContentMD5": "?"}, "InvalidDigest"),
        ({"ChecksumCRC32": "AAAAAA=="}, "BadDigest"),
        ({"ChecksumSHA256": base64.b64encode(bytes(32)).decode()}, "BadDigest"),
    ],
)
def test_a_wrong_digest_leaves_nothing(s3: Any, server: S3Server, arguments: dict[str, str], code: str) -> None:
    assert refused(s3.put_object, Key="a", Body=b"hello", **arguments) == (code, 400)
    assert server.bucket(BUCKET).objects == {}


def test_a_wrong_payload_hash_is_refused(server: S3Server) -> None:
    signed = {}

    def keep(request: Any, **_: Any) -> None:
        signed.update({name: str(value) for name, value in request.headers.items()})

    client = client_of(server, config={"request_checksum_calculation": "when_required"})
    client.meta.events.register("before-send.s3.PutObject", keep)
    client.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    client.close()
    headers = {name: value.removeprefix("b'").removesuffix("'") for name, value in signed.items() if name != "Expect"}

    answer = exchange(server, "PUT", f"/{BUCKET}/a", b"HELLO", headers)

    assert (answer.status, b"XAmzContentSHA256Mismatch" in answer.body) == (400, True)
    assert server.bucket(BUCKET).objects["a"].content == b"hello"


def test_a_trailer_is_undone_and_verified(server: S3Server) -> None:
    good = send(server, "PUT", f"/{BUCKET}/a", _CHUNKED % b"DUoRhQ==", is_trailed=True, **_CHUNKED_HEADERS)
    wrong = send(server, "PUT", f"/{BUCKET}/b", _CHUNKED % b"AAAAAA==", is_trailed=True, **_CHUNKED_HEADERS)
    server.refuses_trailers = True
    late = send(server, "PUT", f"/{BUCKET}/c", _CHUNKED % b"DUoRhQ==", is_trailed=True, **_CHUNKED_HEADERS)

    assert (good.status, good.headers["x-amz-checksum-crc32"]) == (200, "DUoRhQ==")
    assert (wrong.status, b"BadDigest" in wrong.body) == (400, True)
    assert (late.status, b"NotImplemented" in late.body) == (501, True)
    assert {key: kept.content for key, kept in server.bucket(BUCKET).objects.items()} == {"a": b"hello world"}
    assert "content-encoding" not in server.bucket(BUCKET).objects["a"].headers


def test_what_is_not_there_is_not_pretended(server: S3Server) -> None:
    for target in (f"/{BUCKET}/a?tagging=", f"/{BUCKET}?acl=", f"/{BUCKET}"):
        assert send(server, "GET", target).status == 501


def test_a_presigned_url_is_good_for_its_time(s3: Any, server: S3Server) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    chosen = {"ResponseContentType": "text/plain", "ResponseContentDisposition": 'attachment; filename="a b"'}
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a", **chosen}, ExpiresIn=60)
    target = url.removeprefix(server.url)

    answer = exchange(server, "GET", target, headers={"Range": "bytes=1-2"})
    edited = exchange(server, "GET", target.replace("/a?", "/b?"))
    server.skew_seconds = 61
    late = exchange(server, "GET", target)

    assert (answer.status, answer.body, answer.headers["content-type"]) == (206, b"el", "text/plain")
    assert answer.headers["content-disposition"] == 'attachment; filename="a b"'
    assert (edited.status, b"SignatureDoesNotMatch" in edited.body) == (403, True)
    assert (late.status, b"Request has expired" in late.body) == (403, True)


def test_an_object_is_stamped_by_the_clock_of_the_server(s3: Any, server: S3Server) -> None:
    server.now = lambda: 1_700_000_000.0

    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")

    assert s3.head_object(Bucket=BUCKET, Key="a")["LastModified"].timestamp() == 1_700_000_000
    (entry,) = s3.list_objects_v2(Bucket=BUCKET)["Contents"]
    assert entry["LastModified"].timestamp() == 1_700_000_000


def test_requests_are_counted(s3: Any, server: S3Server) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    s3.get_object(Bucket=BUCKET, Key="a")["Body"].read()
    s3.get_object(Bucket=BUCKET, Key="a")["Body"].read()

    assert server.requests.counts() == {"PutObject": 1, "GetObject": 2}
    assert (server.requests.count("GetObject"), len(server.requests)) == (2, 3)
    put = server.requests.of("PutObject")[0]
    assert (put.key, put.body_length, put.headers["expect"]) == ("a", 5, "100-continue")
