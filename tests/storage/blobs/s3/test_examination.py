"""Looking at a bucket: what is not well, and what is said about it."""

import time
from collections.abc import Iterator

import pytest

from storage.blobs.interface import Verdict
from storage.blobs.s3.examination import Examination
from tests.contracts.s3_places import BUCKET, S3Stores, s3_server, s3_stores
from tests.s3.bucket import LifecycleRule
from tests.s3.faults import Fault, FaultKind
from tests.s3.server import S3Server

Seen = dict[str, tuple[Verdict, str]]


@pytest.fixture
def fresh() -> Iterator[S3Server]:
    """A server that nobody else sets anything on."""
    with s3_server() as server:
        yield server


@pytest.fixture
def stores(fresh: S3Server) -> Iterator[S3Stores]:
    with s3_stores(fresh.url) as stores:
        yield stores


async def examine(stores: S3Stores, *, ahead_seconds: float = 0.0) -> Seen:
    examination = Examination(stores.bucket_at("ours/"), "look", now=lambda: time.time() + ahead_seconds)
    return {found.subject: (found.verdict, found.detail) async for found in examination.run()}


async def test_a_bucket_that_has_everything_is_well(fresh: S3Server, stores: S3Stores) -> None:
    """Nothing that was made to look is left."""
    fresh.bucket(BUCKET).lifecycle.append(LifecycleRule("tidy", abort_days=7))

    seen = await examine(stores)

    assert {verdict for verdict, _ in seen.values()} == {Verdict.OK}
    assert len(seen) == 12
    assert fresh.bucket(BUCKET).objects == {}
    assert fresh.bucket(BUCKET).uploads == {}


@pytest.mark.parametrize(
    ("operation", "subject", "permission"),
    [
        ("ListObjectsV2", "bucket", "AccessDenied"),
        ("PutObject", "write", "AccessDenied"),
        ("GetObject", "read", "AccessDenied"),
        ("CopyObject", "copy", "AccessDenied"),
        ("CreateMultipartUpload", "multipart uploads", "AccessDenied"),
        ("AbortMultipartUpload", "multipart uploads", "AccessDenied"),
        ("ListMultipartUploads", "multipart uploads", "AccessDenied"),
        ("DeleteObject", "delete", "AccessDenied"),
    ],
)
async def test_a_permission_that_is_missing_fails(
    fresh: S3Server, stores: S3Stores, operation: str, subject: str, permission: str
) -> None:
    fresh.denied.add(operation)

    verdict, detail = (await examine(stores))[subject]

    assert verdict is Verdict.FAILED
    assert permission in detail


async def test_a_bucket_that_cannot_be_reached_ends_the_look(fresh: S3Server, stores: S3Stores) -> None:
    """One reason is enough."""
    fresh.buckets.clear()

    seen = await examine(stores)

    assert list(seen) == ["bucket"]
    assert seen["bucket"][1].startswith(f"the bucket {BUCKET} does not exist")


@pytest.mark.parametrize(
    ("ahead_seconds", "verdict", "said"),
    [
        (0, Verdict.OK, "S3"),
        (-300, Verdict.WARNING, "behind S3: have it follow"),
        (3600, Verdict.FAILED, "ahead of S3: set"),
    ],
)
async def test_the_clock_is_compared(stores: S3Stores, ahead_seconds: float, verdict: Verdict, said: str) -> None:
    seen = await examine(stores, ahead_seconds=ahead_seconds)

    assert seen["clock"][0] is verdict
    assert said in seen["clock"][1]


async def test_versions_that_are_kept_are_told(fresh: S3Server, stores: S3Stores) -> None:
    """What is deleted still costs."""
    fresh.bucket(BUCKET).versioning = "Enabled"

    verdict, detail = (await examine(stores))["versions"]

    assert verdict is Verdict.WARNING
    assert "let a lifecycle rule expire noncurrent versions" in detail


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [
        (LifecycleRule("everything", expiration_days=30), Verdict.FAILED),
        (LifecycleRule("ours", "ours/", expiration_days=30), Verdict.FAILED),
        (LifecycleRule("copies", "ours/blobs/sha256/", expiration_days=30), Verdict.FAILED),
        (LifecycleRule("staged", "ours/uploads/", expiration_days=30), Verdict.FAILED),
        (LifecycleRule("off", is_enabled=False, expiration_days=30), Verdict.WARNING),
        (LifecycleRule("others", "theirs/", expiration_days=30), Verdict.WARNING),
        (LifecycleRule("old", noncurrent_days=3), Verdict.WARNING),
        (LifecycleRule("tidy", "ours/", abort_days=7), Verdict.OK),
    ],
)
async def test_rules_that_would_delete_content_fail(
    fresh: S3Server, stores: S3Stores, rule: LifecycleRule, verdict: Verdict
) -> None:
    """And where none tidies up, that is told."""
    fresh.bucket(BUCKET).lifecycle.append(rule)

    found, detail = (await examine(stores))["lifecycle rules"]

    assert found is verdict
    assert (f"the rule {rule.id} deletes content after 30 days" in detail) is (verdict is Verdict.FAILED)


@pytest.mark.parametrize("operation", ["GetBucketVersioning", "GetBucketLifecycleConfiguration"])
async def test_what_may_not_be_seen_is_told(fresh: S3Server, stores: S3Stores, operation: str) -> None:
    fresh.denied.add(operation)

    told = [detail for verdict, detail in (await examine(stores)).values() if "cannot be seen" in detail]

    assert len(told) == 1


async def test_conditions_that_are_ignored_are_told(fresh: S3Server, stores: S3Stores) -> None:
    fresh.ignores_conditions = True

    assert (await examine(stores))["conditional writes"][0] is Verdict.WARNING


async def test_a_server_that_copies_no_parts_is_told(fresh: S3Server, stores: S3Stores) -> None:
    """Blobs are then bounded by the number of parts."""
    fresh.faults.add(Fault("UploadPartCopy", FaultKind.ERROR, times=None, code="NotImplemented", status=501))

    verdict, detail = (await examine(stores))["multipart uploads"]

    assert verdict is Verdict.WARNING
    assert "storage.part_bytes" in detail


async def test_a_server_that_wants_checksums_of_copies_is_well(fresh: S3Server, stores: S3Stores) -> None:
    """As MinIO does: the checksum is not announced there."""
    fresh.copies_no_checksums = True

    assert (await examine(stores))["multipart uploads"][0] is Verdict.OK
