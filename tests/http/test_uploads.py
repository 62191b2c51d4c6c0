"""Pushing blobs (end-4, end-5, end-6) and what is refused."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, sha256, sha512

BLOB = b"the bytes of a blob"
OCTETS = ("Content-Type", "application/octet-stream")


def staged(registry: Registry) -> list[Path]:
    return [path for path in (registry.root / "uploads").rglob("*") if path.is_file()]


def stored(registry: Registry) -> list[Path]:
    return [path for path in (registry.root / "blobs").rglob("*") if path.is_file()]


def with_query(location: str, query: str) -> str:
    """Add a parameter as clients do, whatever the location has already."""
    return f"{location}{'&' if '?' in location else '?'}{query}"


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for content in contents:
        yield content


@pytest.mark.parametrize("slash", ["/", ""])
async def test_upload_begins_with_a_location(registry: Registry, slash: str) -> None:
    """A session has an id, stands at nothing, and can be continued under its location."""
    answer = await registry.post(f"/v2/a/b/blobs/uploads{slash}")

    assert (answer.status, answer.body) == (202, b"")
    upload_id = answer.headers["Docker-Upload-UUID"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", upload_id)
    assert answer.location == f"/v2/a/b/blobs/uploads/{upload_id}"
    assert answer.headers["Range"] == "0-0"
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_blob_is_pushed_with_post_and_put(registry: Registry) -> None:
    """The location of the answer is where the blob is pulled from."""
    location = await registry.start_upload("a/b")

    answer = await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB, headers=[OCTETS])

    assert (answer.status, answer.body) == (201, b"")
    assert answer.headers["Docker-Content-Digest"] == sha256(BLOB)
    assert answer.location == f"/v2/a/b/blobs/{sha256(BLOB)}"
    assert (await registry.get(answer.location)).body == BLOB


async def test_blob_is_pushed_with_a_single_post(registry: Registry) -> None:
    """One request, one blob."""
    answer = await registry.post(f"/v2/a/blobs/uploads/?digest={sha256(BLOB)}", BLOB)

    assert answer.status == 201
    assert answer.headers["Docker-Content-Digest"] == sha256(BLOB)
    assert (await registry.get(answer.location)).body == BLOB
    assert staged(registry) == []


async def test_blob_is_pushed_as_a_stream(registry: Registry) -> None:
    """docker sends one PATCH of unknown length, closes without a body, and looks for the blob at once."""
    location = await registry.start_upload("a")

    patched = await registry.patch(location, pieces(b"the bytes ", b"of a blob"))
    closed = await registry.put(with_query(patched.location, f"digest={sha256(BLOB)}"))

    assert (patched.status, patched.headers["Range"]) == (202, "0-18")
    assert closed.status == 201
    assert (await registry.head(f"/v2/a/blobs/{sha256(BLOB)}")).headers["Content-Length"] == "19"


async def test_blob_is_pushed_in_chunks(registry: Registry) -> None:
    """Each answer tells the last byte that arrived, and where to go on."""
    location = await registry.start_upload("a")

    first = await registry.patch(location, BLOB[:10], headers=[("Content-Range", "0-9")])
    second = await registry.patch(first.location, BLOB[10:15], headers=[("Content-Range", "10-14")])
    closed = await registry.put(
        with_query(second.location, f"digest={sha256(BLOB)}"), BLOB[15:], headers=[("Content-Range", "15-18")]
    )

    assert [(answer.status, answer.headers["Range"]) for answer in (first, second)] == [(202, "0-9"), (202, "0-14")]
    assert closed.status == 201
    assert (await registry.get(closed.location)).body == BLOB


@pytest.mark.parametrize("written", ["bytes 0-18/19", "bytes=0-18", "0-18/*", " 0-18 "])
async def test_content_range_is_read_as_clients_write_it(registry: Registry, written: str) -> None:
    """The specification wants digits alone; RFC 9110 has a unit and a length."""
    location = await registry.start_upload("a")

    answer = await registry.patch(location, BLOB, headers=[("Content-Range", written)])

    assert (answer.status, answer.headers["Range"]) == (202, "0-18")


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


async def test_upload_goes_on_after_an_out_of_order_chunk(registry: Registry) -> None:
    """The location of the 416 and that of the status both lead on."""
    location = await registry.start_upload("a")
    await registry.patch(location, BLOB[:10], headers=[("Content-Range", "0-9")])

    refused = await registry.patch(location, BLOB[12:], headers=[("Content-Range", "12-18")])
    resumed = await registry.patch(refused.location, BLOB[10:], headers=[("Content-Range", "10-18")])
    closed = await registry.put(with_query(resumed.location, f"digest={sha256(BLOB)}"))

    assert closed.status == 201


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


async def test_status_tells_where_an_upload_stands(registry: Registry) -> None:
    """204, without a body (end-13)."""
    location = await registry.start_upload("a")
    patched = await registry.patch(location, BLOB)

    status = await registry.get(patched.location)

    assert (status.status, status.body) == (204, b"")
    assert status.headers["Range"] == "0-18"
    assert status.headers["Docker-Upload-UUID"] in status.location
    assert (await registry.put(with_query(status.location, f"digest={sha256(BLOB)}"))).status == 201


async def test_cancelled_upload_is_gone(registry: Registry) -> None:
    """204, then 404 to everything, and its bytes are freed (end-14)."""
    location = await registry.start_upload("a")
    await registry.patch(location, BLOB)

    cancelled = await registry.delete(location)

    assert (cancelled.status, cancelled.body) == (204, b"")
    assert staged(registry) == []
    assert (await registry.delete(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.get(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.patch(location, BLOB)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert (await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert staged(registry) == []


async def test_finished_upload_is_gone(registry: Registry) -> None:
    """A session makes one blob."""
    location = await registry.start_upload("a")
    await registry.put(f"{location}?digest={sha256(BLOB)}", BLOB)

    assert (await registry.get(location)).refusal == (404, "BLOB_UPLOAD_UNKNOWN")
    assert staged(registry) == []


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
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
async def test_upload_that_nobody_began_is_unknown(registry: Registry, method: str, upload_id: str) -> None:
    """Made-up ids name no session and no file."""
    body = BLOB if method in {"PATCH", "PUT"} else None

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


async def test_session_hashes_with_the_algorithm_it_was_started_with(registry: Registry) -> None:
    """digest-algorithm=sha512 (end-4c)."""
    location = await registry.start_upload("a", "?digest-algorithm=sha512")
    patched = await registry.patch(location, BLOB)

    closed = await registry.put(with_query(patched.location, f"digest={sha512(BLOB)}"))

    assert closed.status == 201
    assert closed.headers["Docker-Content-Digest"] == sha512(BLOB)
    assert (await registry.get(closed.location)).body == BLOB


@pytest.mark.parametrize(("started", "closed"), [("sha256", "sha512"), ("sha512", "sha256")])
async def test_session_may_be_closed_with_the_other_algorithm(registry: Registry, started: str, closed: str) -> None:
    """The algorithm of the start is a hint; the digest at the end decides."""
    digest = sha512(BLOB) if closed == "sha512" else sha256(BLOB)
    location = await registry.start_upload("a", f"?digest-algorithm={started}")
    patched = await registry.patch(location, BLOB)

    answer = await registry.put(with_query(patched.location, f"digest={digest}"))

    assert answer.status == 201
    assert (await registry.get(f"/v2/a/blobs/{digest}")).body == BLOB


async def test_unknown_algorithm_is_refused(registry: Registry) -> None:
    """Before anything is sent."""
    answer = await registry.post("/v2/a/blobs/uploads/?digest-algorithm=md5")

    assert answer.refusal == (400, "DIGEST_INVALID")


async def test_empty_blob_is_pushed_every_way(registry: Registry) -> None:
    """Nothing is content too: at once, as an empty PUT, as an empty stream."""
    digest = sha256(b"")
    for repository in ("a", "b", "c"):
        location = await registry.start_upload(repository)
        match repository:
            case "a":
                answer = await registry.put(f"{location}?digest={digest}")
            case "b":
                patched = await registry.patch(location, pieces())
                answer = await registry.put(with_query(patched.location, f"digest={digest}"))
            case _:
                answer = await registry.post(f"/v2/c/blobs/uploads/?digest={digest}")

        assert answer.status == 201
        assert (await registry.get(f"/v2/{repository}/blobs/{digest}")).body == b""


async def test_same_blob_pushed_by_many_is_stored_once(registry: Registry) -> None:
    """Everyone is told yes, and one copy serves all."""
    names = [f"r{number % 4}" for number in range(24)]

    async with asyncio.TaskGroup() as group:
        for name in names:
            group.create_task(registry.push_blob(name, BLOB))

    assert len(stored(registry)) == 1
    for name in set(names):
        assert (await registry.get(f"/v2/{name}/blobs/{sha256(BLOB)}")).body == BLOB


async def test_known_blob_is_pushed_again(registry: Registry) -> None:
    """Pushing is idempotent."""
    await registry.push_blob("a", BLOB)

    await registry.push_blob("a", BLOB)

    assert len(stored(registry)) == 1
    assert staged(registry) == []


async def test_blob_stands_for_itself_whatever_its_encoding(registry: Registry) -> None:
    """A blob sent with Content-Encoding is stored as sent, never inflated: the digest is over those bytes."""
    squeezed = bytes.fromhex("1f8b0800000000000003cb48cdc9c9070086a6103605000000")
    location = await registry.start_upload("a")

    answer = await registry.put(
        f"{location}?digest={sha256(squeezed)}", squeezed, headers=[("Content-Encoding", "gzip")]
    )

    assert answer.status == 201
    assert (await registry.get(answer.location)).body == squeezed


async def test_patch_stands_for_itself_whatever_its_encoding(registry: Registry) -> None:
    """The same for a stream."""
    squeezed = bytes.fromhex("1f8b0800000000000003cb48cdc9c9070086a6103605000000")
    location = await registry.start_upload("a")

    answer = await registry.patch(location, pieces(squeezed), headers=[("Content-Encoding", "gzip")])

    assert answer.headers["Range"] == "0-24"


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
