"""One request at a time: what is sent with it, what its failures mean, and how often it is tried."""

import time
from collections.abc import Awaitable, Callable

import pytest

from storage.blobs.interface import Span
from storage.blobs.s3.bucket import Bucket, Part, _compare
from storage.blobs.s3.client import ObjectMissing, Patience, PreconditionFailed
from storage.blobs.s3.content import Content
from storage.errors import NoSpace, StoreUnavailable
from tests.s3.clients import exchange
from tests.s3.faults import Fault, FaultKind
from tests.storage.blobs.s3.corner import Corner

READS = {"GetObject", "HeadObject", "ListObjectsV2", "ListMultipartUploads"}
QUICK = Patience(connect=1, read=0.3, attempts=2)


async def every_operation(bucket: Bucket) -> None:
    """Ask for everything that a store asks for."""
    await bucket.put("small", Content([b"hel", b"lo"]))
    await bucket.copy("small", "copied")
    assert await bucket.size("copied") == 5
    assert await bucket.read("copied", 3) == b"hel"
    body, total = await bucket.run(lambda: bucket.open("copied", Span(1, 3)))
    assert (body.read(10), total) == (b"ell", 5)
    body.close()
    multipart_id = await bucket.begin("large")
    assert {found.key async for found in bucket.multiparts("lar")} == {"large"}
    parts = [await bucket.put_part("large", multipart_id, 1, Content([b"part"]))]
    parts.append(await bucket.copy_part("large", multipart_id, 2, "small", 5))
    await bucket.complete("large", multipart_id, parts)
    await bucket.abort("large", await bucket.begin("large"))
    await bucket.delete("copied")
    assert [(found.key, found.size) async for found in bucket.objects("")] == [("large", 9), ("small", 5)]


async def _test(corner: Corner, **changes: object) -> None:
    await every_operation(corner.bucket(**changes))
    assert corner.objects() == {"large": b"parthello", "small": b"hello"}
    assert corner.multiparts() == []


@pytest.mark.parametrize(
    ("checksum", "header"),
    [("crc32", "x-amz-checksum-crc32"), ("md5", "content-md5"), ("sha256", "x-amz-content-sha256"), ("none", "")],
)
async def test_bytes_are_sent_with_a_checksum(corner: Corner, checksum: str, header: str) -> None:
    """Of the kind that the settings say, in a header, and of no other."""
    await _test(corner, checksum=checksum)

    for operation in ("PutObject", "UploadPart"):
        (entry,) = corner.server.requests.of(operation)
        sent = {name for name in entry.headers if name.startswith("x-amz-checksum-") or name == "content-md5"}
        sent -= {"x-amz-checksum-algorithm"}
        assert sent == ({header} if checksum in {"crc32", "md5"} else set())
        is_hashed = len(entry.headers["x-amz-content-sha256"]) == 64
        assert is_hashed == (checksum == "sha256")
        assert "transfer-encoding" not in entry.headers
    (begun, _) = corner.server.requests.of("CreateMultipartUpload")
    assert begun.headers.get("x-amz-checksum-algorithm") == ("CRC32" if checksum == "crc32" else None)


@pytest.mark.parametrize(
    ("sse", "headers"),
    [
        ("AES256", {"x-amz-server-side-encryption": "AES256"}),
        ("aws:kms", {"x-amz-server-side-encryption": "aws:kms"}),
        (
            "aws:kms:a-key",
            {
                "x-amz-server-side-encryption": "aws:kms",
                "x-amz-server-side-encryption-aws-kms-key-id": "a-key",
            },
        ),
    ],
)
async def test_whatever_makes_an_object_asks_for_its_encryption(
    corner: Corner, sse: str, headers: dict[str, str]
) -> None:
    """And nothing else does."""
    await _test(corner, sse=sse)

    asked: dict[str, list[dict[str, str]]] = {}
    for entry in corner.server.requests:
        sent = {name: value for name, value in entry.headers.items() if "server-side-encryption" in name}
        asked.setdefault(entry.operation, []).append(sent)
    assert {operation for operation, sent in asked.items() if any(sent)} == {
        "PutObject",
        "CopyObject",
        "CreateMultipartUpload",
    }
    assert all(sent == headers for operation in asked for sent in asked[operation] if sent)
    assert all(all(asked[operation]) for operation in ("PutObject", "CopyObject", "CreateMultipartUpload"))


async def test_every_request_agrees_to_pay(corner: Corner) -> None:
    """Where the bucket charges whoever asks."""
    corner.server.requester_pays = True

    await _test(corner, requester_pays=True)


async def test_a_bucket_that_charges_refuses_who_does_not_agree(corner: Corner) -> None:
    """Nobody pays unless the settings say so."""
    corner.server.requester_pays = True

    with pytest.raises(StoreUnavailable):
        await _test(corner)


def test_another_checksum_than_was_sent_is_a_failure() -> None:
    """S3 tells what it stored."""
    with pytest.raises(StoreUnavailable) as raised:
        _compare({"ChecksumCRC32": "AAAAAA=="}, {"ChecksumCRC32": "BBBBBB=="})

    assert raised.value.words == "S3 stored other bytes than it was sent"
    assert not raised.value.is_away


async def test_nothing_outside_the_prefix_is_listed_or_touched(corner: Corner) -> None:
    """The bucket may have more in it."""
    await corner.stores.bucket_at(corner.prefix.rstrip("/") + "-other/").put("small", Content([b"theirs"]))
    corner.server.requests.clear()

    await _test(corner)

    for entry in corner.server.requests:
        named = entry.query["prefix"] if entry.operation.startswith("List") else entry.key
        assert named.startswith(corner.prefix)


async def test_listings_go_on_page_by_page(corner: Corner) -> None:
    """Objects and multipart uploads, also of the same key."""
    bucket = corner.bucket()
    for number in range(5):
        await bucket.put(f"a/{number}", Content([b"x"]))
        await bucket.begin(f"a/{number // 2}")
    corner.server.page_keys = 2

    assert [found.key async for found in bucket.objects("a/")] == ["a/0", "a/1", "a/2", "a/3", "a/4"]
    assert [found.key async for found in bucket.multiparts("a/")] == ["a/0", "a/0", "a/1", "a/1", "a/2"]
    assert len({found.multipart_id async for found in bucket.multiparts("a/")}) == 5
    assert [found.key async for found in bucket.objects("b/")] == []


ONCE = {
    "500": Fault("*", FaultKind.ERROR, code="InternalError"),
    "slow-down": Fault("*", FaultKind.ERROR, code="SlowDown", headers={"x-amz-retry-after": "0"}),
    "request-timeout": Fault("*", FaultKind.ERROR, code="RequestTimeout"),
    "reset": Fault("*", FaultKind.RESET),
    "reset-in-body": Fault("*", FaultKind.RESET_IN_BODY),
    "answer-lost": Fault("*", FaultKind.ANSWER_LOST),
    "delay": Fault("*", FaultKind.DELAY, seconds=0.4),
    "502-without-a-body": Fault("*", FaultKind.ERROR, code="BadGateway", status=502, has_body=False),
}
OPERATIONS = [
    *("PutObject", "CopyObject", "HeadObject", "GetObject", "CreateMultipartUpload", "UploadPart", "UploadPartCopy"),
    *("CompleteMultipartUpload", "AbortMultipartUpload", "DeleteObject", "ListObjectsV2", "ListMultipartUploads"),
]


@pytest.mark.parametrize("fault", ONCE)
async def test_what_goes_wrong_once_is_tried_again(corner: Corner, fault: str) -> None:
    """Whatever request it was: the right bytes are stored and read, once."""
    # S3 that is asked for less is waited for up to a second, and a delay is as long as our patience.
    for operation in OPERATIONS[:: 12 if fault == "slow-down" else 3 if fault == "delay" else 1]:
        meant = ONCE[fault]
        kind = FaultKind.RESET if (meant.kind, operation) == (FaultKind.RESET_IN_BODY, "GetObject") else meant.kind
        corner.server.faults.add(
            Fault(
                operation,
                kind,
                match=corner.prefix if not operation.startswith("List") else "",
                code=meant.code,
                status=meant.status,
                has_body=meant.has_body,
                headers=meant.headers,
                seconds=meant.seconds,
            )
        )

    bucket = corner.bucket(patience=QUICK)
    await every_operation(bucket)
    for found in [found async for found in bucket.multiparts("")]:
        assert fault in {"answer-lost", "delay"}  # of the one whose id nobody heard
        await bucket.abort(found.key, found.multipart_id)

    assert corner.objects() == {"large": b"parthello", "small": b"hello"}
    assert corner.multiparts() == []


@pytest.mark.parametrize("operation", ["CopyObject", "UploadPartCopy", "CompleteMultipartUpload"])
async def test_an_error_in_a_success_is_tried_again(corner: Corner, operation: str) -> None:
    """S3 says 200 before it knows."""
    corner.server.faults.add(Fault(operation, FaultKind.ERROR_IN_200))

    await _test(corner)

    assert corner.server.requests.count(operation) == 2


async def _put(bucket: Bucket) -> None:
    await bucket.put("new", Content([b"x" * 100_000]))


async def _size(bucket: Bucket) -> None:
    await bucket.size("old")


async def _read(bucket: Bucket) -> None:
    await bucket.read("old", 9)


async def _complete(bucket: Bucket) -> None:
    multipart_id = await bucket.begin("new")
    await bucket.complete("new", multipart_id, [await bucket.put_part("new", multipart_id, 1, Content([b"x"]))])


@pytest.mark.parametrize("operation", [_put, _size, _read, _complete])
@pytest.mark.parametrize("kind", [FaultKind.ERROR, FaultKind.RESET, FaultKind.HANG])
async def test_what_goes_on_going_wrong_is_told_in_time(
    corner: Corner, operation: Callable[[Bucket], Awaitable[None]], kind: FaultKind
) -> None:
    """As a store that is away, with words for who runs it; nothing became visible."""
    bucket = corner.bucket(patience=QUICK)
    await bucket.put("old", Content([b"x"]))
    corner.server.faults.add(Fault("*", kind, times=None, match=corner.prefix))
    began = time.monotonic()

    with pytest.raises(StoreUnavailable) as raised:
        await operation(bucket)

    assert time.monotonic() - began < 20  # with the patience that nobody sets, 45
    assert raised.value.is_away
    assert raised.value.words.startswith("S3 ")
    assert list(corner.objects()) == ["old"]


async def test_an_answer_that_ends_too_soon_is_read_again(corner: Corner) -> None:
    """boto3 tries again until an answer begins, but not once it has."""
    bucket = corner.bucket()
    await bucket.put("a", Content([b"hello"]))
    corner.server.faults.add(Fault("GetObject", FaultKind.TRUNCATE, at_byte=2))

    assert await bucket.read("a", 5) == b"hello"


@pytest.mark.parametrize("asked", [Span(5, 1), Span(3, 3), Span(100, 1)])
async def test_a_span_that_is_not_there_is_missing(corner: Corner, asked: Span) -> None:
    """The object is shorter than it should be."""
    bucket = corner.bucket()
    await bucket.put("a", Content([b"hello"]))

    with pytest.raises(ObjectMissing):
        await bucket.run(lambda: bucket.open("a", asked))


async def test_bytes_can_be_sent_again(corner: Corner) -> None:
    """Whoever tries in another way sends the same content from its beginning, at once."""
    bucket, content = corner.bucket(), Content([b"hel", b"lo"])
    await bucket.put("a", content)

    await bucket.put("b", content)

    assert corner.objects() == {"a": b"hello", "b": b"hello"}
    attempts = [entry.headers["amz-sdk-request"].partition(";")[0] for entry in corner.server.requests]
    assert attempts == ["attempt=1", "attempt=1"]


async def test_an_object_that_must_be_new_and_is_not_is_left(corner: Corner) -> None:
    """Of two that write at once, the first stays."""
    bucket = corner.bucket()
    await bucket.put("a", Content([b"first"]), only_if_new=True)

    with pytest.raises(PreconditionFailed):
        await bucket.put("a", Content([b"second"]), only_if_new=True)

    assert corner.objects() == {"a": b"first"}


async def test_a_completed_object_of_another_length_is_a_failure(corner: Corner) -> None:
    """S3 must have made it of all parts."""
    bucket = corner.bucket()
    multipart_id = await bucket.begin("a")
    part = await bucket.put_part("a", multipart_id, 1, Content([b"hello"]))

    with pytest.raises(StoreUnavailable) as raised:
        await bucket.complete("a", multipart_id, [Part(1, part.etag, 6, part.checksum)])

    assert not raised.value.is_away


@pytest.mark.parametrize("code", ["QuotaExceeded", "XMinioStorageFull", "InsufficientStorage"])
async def test_a_full_store_is_no_space(corner: Corner, code: str) -> None:
    """Clients learn that waiting does not help."""
    corner.server.faults.add(Fault("PutObject", FaultKind.ERROR, times=None, code=code, status=507))

    with pytest.raises(NoSpace):
        await _put(corner.bucket())


@pytest.mark.parametrize("is_charged", [False, True])
async def test_a_signed_url_needs_no_header(corner: Corner, *, is_charged: bool) -> None:
    """Clients that are sent there send none of their own."""
    corner.server.requester_pays = is_charged
    bucket = corner.bucket(requester_pays=is_charged)
    await bucket.put("a", Content([b"hello"]))

    url = await bucket.signed_url("a", lifetime_seconds=60, media_type="text/plain")

    answer = exchange(corner.server, "GET", url.removeprefix(corner.server.url))
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"hello", "text/plain")
