"""A registry that encrypts at rest, from end to end: what lies on the disk, and what clients read."""

import asyncio
from pathlib import Path

from storage.encryption.header import MAGIC, Layout
from tests.http.client import Registry, Start
from tests.http.documents import sha256
from tests.http.reading import broken_off
from tests.http.sealing import LARGE, SEGMENT, domain_id, domains_of_files, plain_anywhere
from tests.http.test_ranges import parts_of
from tests.http.trail import recorded
from tests.http.uploading import pieces, staged, stored, with_query

CANARY = b"canary-" * 30


async def test_what_is_stored_is_sealed_and_what_is_pulled_is_not(registry: Registry) -> None:
    """Of any size: none, less than a segment, one, and more."""
    for content in (b"", b"x", CANARY, LARGE[:SEGMENT], LARGE):
        digest = await registry.push_blob("a", content)

        (file,) = [path for path in stored(registry) if path.name.startswith(digest.removeprefix("sha256:"))]
        head, pulled = await registry.head(f"/v2/a/blobs/{digest}"), await registry.get(f"/v2/a/blobs/{digest}")
        assert file.read_bytes().startswith(MAGIC)
        assert file.stat().st_size == Layout().length(len(content))
        assert (pulled.status, pulled.body == content) == (200, True)
        assert head.headers["Content-Length"] == pulled.headers["Content-Length"] == str(len(content))


async def test_nothing_pushed_lies_anywhere_in_plain(registry: Registry) -> None:
    """Neither blobs nor manifests, finished or not, in files or in rows."""
    await registry.patch(await registry.start_upload("a"), CANARY)
    await registry.patch(await registry.start_upload("a"), CANARY * 2000)
    await registry.push_image("a", "latest", CANARY, annotations={"secret": "canary-annotation"})

    assert plain_anywhere(registry.root, CANARY[:21]) == []
    assert plain_anywhere(registry.root, b"canary-annotation") == []


async def test_ranges_are_cut_out_of_sealed_segments(registry: Registry) -> None:
    """Within one, one as a whole, over the edge of two, and into the last, which is shorter."""
    digest = await registry.push_blob("a", LARGE)
    spans = [(0, 0), (SEGMENT - 1, SEGMENT), (SEGMENT, 2 * SEGMENT - 1), (SEGMENT - 3, 3 * SEGMENT + 2)]

    for first, last in (*spans, (3 * SEGMENT, len(LARGE) - 1)):
        answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", f"bytes={first}-{last}")])

        assert (answer.status, answer.body == LARGE[first : last + 1]) == (206, True)
        assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(LARGE)}"


async def test_several_ranges_and_the_last_bytes_are_cut_out_too(registry: Registry) -> None:
    path = f"/v2/a/blobs/{await registry.push_blob('a', LARGE)}"

    several = await registry.get(path, headers=[("Range", f"bytes=0-1,{SEGMENT - 1}-{SEGMENT}")])
    end = await registry.get(path, headers=[("Range", "bytes=-9")])
    beyond = await registry.get(path, headers=[("Range", f"bytes={len(LARGE)}-")])

    assert [content for _, content in parts_of(several)] == [b"AA", b"AB"]
    assert (end.body, beyond.status) == (b"CCthe end", 416)


async def test_an_upload_in_chunks_of_any_size_is_sealed(registry: Registry) -> None:
    """Segments end where they do, wherever chunks end."""
    for name, size in (("a", SEGMENT - 1), ("b", SEGMENT), ("c", 300_007)):
        content = name.encode() + LARGE
        location = await registry.start_upload(name)
        for start in range(0, len(content), size):
            location = (await registry.patch(location, content[start : start + size])).location

        closed = await registry.put(with_query(location, f"digest={sha256(content)}"))

        assert closed.status == 201
        assert (await registry.get(closed.location)).body == content
    assert domains_of_files(registry) == [domain_id(registry, "AES256")] * 3
    assert staged(registry) == []


async def test_any_worker_goes_on_with_a_sealed_upload(start: Start) -> None:
    """The tail that fills no segment, too."""
    async with start() as one, start() as two, start() as three:
        first = await two.patch(await one.start_upload("a"), LARGE[: SEGMENT + 7])
        second = await three.patch(first.location, LARGE[SEGMENT + 7 : SEGMENT + 9])
        third = await one.patch(second.location, LARGE[SEGMENT + 9 :])
        closed = await two.put(with_query(third.location, f"digest={sha256(LARGE)}"))

        assert [answer.status for answer in (first, second, third, closed)] == [202, 202, 202, 201]
        assert (await three.get(closed.location)).body == LARGE


async def test_a_sealed_upload_survives_a_restart(start: Start) -> None:
    """The seal of the start before counts no more: what is there is opened and hashed."""
    async with start() as before:
        right = await before.patch(await before.start_upload("a"), LARGE[: SEGMENT + 7])
        wrong = await before.patch(await before.start_upload("a"), b"?" + LARGE[1 : SEGMENT + 7])
    async with start(epoch=bytes(32)) as after:
        status = await after.get(right.location)
        closed = [
            await after.put(with_query(patched.location, f"digest={sha256(LARGE)}"), LARGE[SEGMENT + 7 :])
            for patched in (right, wrong)
        ]

        assert status.headers["Range"] == f"0-{SEGMENT + 6}"
        assert [answer.status for answer in closed] == [201, 400]
        assert (await after.get(closed[0].location)).body == LARGE


async def test_a_body_of_unknown_length_is_sealed(registry: Registry) -> None:
    answer = await registry.ask(
        "POST", f"/v2/a/blobs/uploads/?digest={sha256(LARGE)}", body=pieces(LARGE[:5], LARGE[5:])
    )

    assert answer.status == 201
    assert (await registry.get(answer.location)).body == LARGE


async def test_a_cancelled_sealed_upload_leaves_nothing(registry: Registry) -> None:
    location = (await registry.patch(await registry.start_upload("a"), LARGE)).location

    assert (await registry.delete(location)).status == 204
    assert (staged(registry), stored(registry)) == ([], [])


async def test_the_same_digest_is_stored_once_in_a_domain(registry: Registry) -> None:
    """Pushed to two repositories, one after the other, and by several clients at once."""
    digests = await asyncio.gather(*(registry.push_blob(name, LARGE) for name in ("a", "a", "b", "c")))
    await registry.push_blob("d", LARGE)

    assert len(stored(registry)) == 1
    for name in "abcd":
        assert (await registry.get(f"/v2/{name}/blobs/{digests[0]}")).body == LARGE


async def test_a_damaged_file_is_unknown_until_it_is_pushed_again(registry: Registry) -> None:
    """Wherever it was changed: in the commitment of its header, a segment, or the trailer; it is told of once."""
    digests = []
    for name, place in (("a", 85), ("b", 130), ("c", -1)):
        content = name.encode() + CANARY
        digests.append(digest := await registry.push_blob(name, content))
        change([path for path in stored(registry) if path.name.startswith(digest.removeprefix("sha256:"))], place)

        damaged = await registry.get(f"/v2/{name}/blobs/{digest}")
        await registry.push_blob(name, content)

        assert damaged.refusal == (404, "BLOB_UNKNOWN")
        assert (await registry.get(f"/v2/{name}/blobs/{digest}")).body == content
    assert [event["details"]["digest"] for event in await recorded(registry.root, "damage")] == digests


def change(files: list[Path], place: int) -> None:
    """Change one bit of the only file."""
    (file,) = files
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)


async def test_files_that_were_swapped_are_found(registry: Registry) -> None:
    """Both open, and neither is what its row says."""
    one, two = await registry.push_blob("a", b"one"), await registry.push_blob("a", b"two")
    first, second = stored(registry)
    first_content, second_content = first.read_bytes(), second.read_bytes()
    for file, content in ((first, second_content), (second, first_content)):
        file.chmod(0o600)
        file.write_bytes(content)

    answers = [await registry.get(f"/v2/a/blobs/{digest}") for digest in (one, two)]

    assert [answer.refusal for answer in answers] == [(404, "BLOB_UNKNOWN")] * 2


async def test_damage_further_on_breaks_the_answer_off(registry: Registry) -> None:
    """Nothing of the segment that was changed leaves the process."""
    digest = await registry.push_blob("a", LARGE * 2)
    change(stored(registry), Layout().place(5) + 50)

    _, body = await broken_off(registry, registry.request_head("GET", f"/v2/a/blobs/{digest}"))

    assert (LARGE * 2).startswith(body)
    assert len(body) <= 5 * SEGMENT
