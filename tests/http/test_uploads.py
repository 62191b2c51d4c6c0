"""Pushing blobs (end-4, end-5, end-6) and what is refused."""

import asyncio
import re

import pytest

from tests.http.client import Registry
from tests.http.documents import sha256, sha512
from tests.http.uploading import BLOB, pieces, staged, stored, with_query

OCTETS = ("Content-Type", "application/octet-stream")


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


async def test_upload_goes_on_after_an_out_of_order_chunk(registry: Registry) -> None:
    """The location of the 416 and that of the status both lead on."""
    location = await registry.start_upload("a")
    await registry.patch(location, BLOB[:10], headers=[("Content-Range", "0-9")])

    refused = await registry.patch(location, BLOB[12:], headers=[("Content-Range", "12-18")])
    resumed = await registry.patch(refused.location, BLOB[10:], headers=[("Content-Range", "10-18")])
    closed = await registry.put(with_query(resumed.location, f"digest={sha256(BLOB)}"))

    assert closed.status == 201


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
