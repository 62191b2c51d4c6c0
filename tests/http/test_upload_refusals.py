"""What is refused of an upload, and that nothing of it stays (end-4, end-5, end-6)."""

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, sha256
from tests.http.uploading import BLOB, pieces, staged, stored, with_query


@pytest.mark.parametrize("first", ["1-19", "5-23", "100-118", "9223372036854775800-9223372036854775818"])
async def test_chunk_that_leaves_a_gap_is_out_of_order(registry: Registry, first: str) -> None:
    """416 tells where the upload stands and where to send the right chunk."""
    location = await registry.start_upload("a")

    answer = await registry.patch(location, BLOB, headers=[("Content-Range", first)])

    assert answer.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert answer.headers["Range"] == "0-0"
    assert answer.location == location
    assert answer.headers["Docker-Upload-UUID"] in location
    assert answer.detail == {"offset": 0}


@pytest.mark.parametrize("said", ["0-9", "5-14", "11-20"])
@pytest.mark.parametrize("method", ["PATCH", "PUT"])
async def test_chunk_that_does_not_follow_is_out_of_order(registry: Registry, method: str, said: str) -> None:
    """Sent again, overlapping or too far on, in the middle or at the end: nothing moves."""
    started = await registry.start_upload("a")
    location = (await registry.patch(started, BLOB[:10], headers=[("Content-Range", "0-9")])).location

    answer = await registry.ask(
        method,
        with_query(location, f"digest={sha256(BLOB)}"),
        body=b"x" * 10,
        headers=[("Content-Range", said)],
    )
    status = await registry.get(location)

    assert answer.refusal == (416, "BLOB_UPLOAD_INVALID")
    assert answer.headers["Range"] == "0-9"
    assert answer.detail == {"offset": 10}
    assert status.headers["Range"] == "0-9"


@pytest.mark.parametrize(
    "said", ["9-0", "x", "0-", "-9", "0", "bytes 0-x/5", "0-9,10-19", "0-99999999999999999999", "\u0660-\u0669"]
)
async def test_content_range_that_cannot_be_read_is_invalid(registry: Registry, said: str) -> None:
    """Nothing of the body is kept."""
    location = await registry.start_upload("a")

    answer = await registry.patch(location, BLOB[:10], headers=[("Content-Range", said)])

    assert answer.refusal == (400, "BLOB_UPLOAD_INVALID")
    assert (await registry.get(location)).headers["Range"] == "0-0"
    assert all(path.stat().st_size == 0 for path in staged(registry))


@pytest.mark.parametrize("said", ["0-17", "0-19", "0-0"])
async def test_content_range_of_another_length_is_invalid(registry: Registry, said: str) -> None:
    """What is said of the chunk must agree."""
    location = await registry.start_upload("a")

    answer = await registry.patch(location, BLOB, headers=[("Content-Range", said)])

    assert answer.refusal == (400, "SIZE_INVALID")
    assert (await registry.get(location)).headers["Range"] == "0-0"


async def test_stream_of_another_length_than_its_range_is_dropped(registry: Registry) -> None:
    """A chunked body is measured as it arrives; the chunk can be sent again."""
    location = await registry.start_upload("a")

    answer = await registry.patch(location, pieces(BLOB), headers=[("Content-Range", "0-99")])
    again = await registry.patch(location, pieces(BLOB), headers=[("Content-Range", "0-18")])

    assert answer.refusal == (400, "SIZE_INVALID")
    assert (again.status, again.headers["Range"]) == (202, "0-18")


@pytest.mark.parametrize(
    "upload_id",
    [
        "00000000-0000-4000-8000-000000000000",
        "x",
        "..",
        "..%2f..%2froot.key",
        "%2e%2e",
        "%00",
        "a%0ab",
        "a" * 300,
        "%C3%A4",
    ],
)
async def test_upload_that_nobody_began_is_unknown(registry: Registry, upload_id: str) -> None:
    """Made-up ids name no session and no file."""
    for method, body in (("GET", None), ("PATCH", BLOB), ("PUT", BLOB), ("DELETE", None)):
        answer = await registry.ask(method, f"/v2/a/blobs/uploads/{upload_id}?digest={sha256(BLOB)}", body=body)

        assert answer.refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert staged(registry) == []


async def test_wrong_digest_stores_nothing(registry: Registry) -> None:
    """The refusal tells both digests, the session is over, its bytes are freed."""
    location = await registry.start_upload("a")

    answer = await registry.put(f"{location}?digest={sha256(b'other')}", BLOB)

    assert answer.refusal == (400, "DIGEST_INVALID")
    assert answer.detail == {"expected": sha256(b"other"), "actual": sha256(BLOB)}
    assert (await registry.get(f"/v2/a/blobs/{sha256(BLOB)}")).status == 404
    assert (await registry.get(f"/v2/a/blobs/{sha256(b'other')}")).status == 404
    assert (await registry.get(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert staged(registry) == stored(registry) == []


async def test_wrong_digest_makes_no_repository(registry: Registry) -> None:
    """A name appears with its first content."""
    await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(b'other')}", BLOB)

    assert (await registry.get("/v2/_catalog")).document == {"repositories": []}
    assert staged(registry) == stored(registry) == []


@pytest.mark.parametrize(
    "digest", ["sha256:x", "md5:" + "0" * 32, "sha256:" + "A" * 64, "", "sha256:" + "0" * 63, "sha512:" + "0" * 64]
)
async def test_what_is_no_digest_is_invalid(registry: Registry, digest: str) -> None:
    """In a single POST and at the end of a session; the session stays."""
    location = await registry.start_upload("a")

    at_once = await registry.post(f"/v2/a/blobs/uploads/?digest={digest}", BLOB)
    closing = await registry.put(f"{location}?digest={digest}", BLOB)

    assert at_once.refusal == (400, "DIGEST_INVALID")
    assert closing.refusal == (400, "DIGEST_INVALID")
    assert (await registry.get(location)).status == 204


async def test_closing_needs_a_digest(registry: Registry) -> None:
    """Without one there is nothing to compare with."""
    location = await registry.start_upload("a")

    answer = await registry.put(location, BLOB)

    assert answer.refusal == (400, "BLOB_UPLOAD_INVALID")
    assert "?digest=" in answer.message


async def test_unknown_algorithm_is_refused(registry: Registry) -> None:
    """Before anything is sent."""
    answer = await registry.post("/v2/a/blobs/uploads/?digest-algorithm=md5")

    assert answer.refusal == (400, "DIGEST_INVALID")


@pytest.mark.settings(limits={"blob_bytes": 10})
async def test_blob_past_the_bound_is_refused(registry: Registry) -> None:
    """Announced or measured: 413, and the bytes are freed."""
    at_once = await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", BLOB)
    streamed = await registry.patch(await registry.start_upload("a"), pieces(BLOB))
    first = await registry.patch(await registry.start_upload("a"), BLOB[:10])
    grown = await registry.patch(first.location, BLOB[10:])

    assert at_once.refusal == streamed.refusal == grown.refusal == (413, "SIZE_INVALID")
    assert first.status == 202
    assert staged(registry) == stored(registry) == []


@pytest.mark.settings(limits={"blob_bytes": 1_000_000})
async def test_long_stream_past_the_bound_is_refused(registry: Registry) -> None:
    """Threads measure it as they take it: one byte too many is 413, and the bytes are freed."""
    within = await registry.patch(await registry.start_upload("a"), pieces(*[bytes(100_000)] * 10))
    await registry.delete(within.location)
    past = await registry.patch(await registry.start_upload("a"), pieces(*[bytes(100_000)] * 10, b"!"))

    assert within.headers["Range"] == "0-999999"
    assert past.refusal == (413, "SIZE_INVALID")
    assert staged(registry) == stored(registry) == []


@pytest.mark.settings(limits={"blob_bytes": 19})
async def test_blob_of_the_bound_is_accepted(registry: Registry) -> None:
    """The bound is inclusive."""
    assert await registry.push_blob("a", BLOB) == sha256(BLOB)


@pytest.mark.settings(limits={"uploads": 2})
async def test_sessions_of_one_caller_are_bounded(registry: Registry) -> None:
    """429 with a time to wait; finishing one makes room."""
    locations = [await registry.start_upload("a") for _ in range(2)]

    refused = await registry.post("/v2/a/blobs/uploads/")
    await registry.delete(locations[0])

    assert refused.refusal == (429, "TOOMANYREQUESTS")
    assert refused.headers["Retry-After"].isdigit()
    assert (await registry.post("/v2/a/blobs/uploads/")).status == 202


@pytest.mark.settings(repositories={"create_on_push": False})
async def test_push_makes_no_repository_where_it_may_not(registry: Registry) -> None:
    """The name stays unknown."""
    started = await registry.post("/v2/a/blobs/uploads/")
    at_once = await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", BLOB)
    mounted = await registry.post(f"/v2/a/blobs/uploads/?mount={ABSENT}&from=b")

    assert started.refusal == at_once.refusal == mounted.refusal == (404, "NAME_UNKNOWN")
    assert staged(registry) == []


@pytest.mark.settings(storage={"reserve": 1 << 60})
async def test_full_disk_is_507(registry: Registry) -> None:
    """No room: the error document says so, nothing stays behind, and reading goes on."""
    location = await registry.start_upload("a")

    answer = await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB)

    assert answer.refusal == (507, "UNAVAILABLE")
    assert "no space" in answer.message
    assert staged(registry) == []
    assert (await registry.get("/v2/")).status == 200
