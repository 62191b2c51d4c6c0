"""Pulling blobs that threads open a segment at a time: what is right comes whole, what is damaged never does."""

import asyncio
import sqlite3
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trustme
from aiohttp import ClientError
from prometheus_client.parser import text_string_to_metric_families

import registry.content
from storage.errors import DomainUnusable, KeyUnavailable
from tests.http.client import Answer, Registry, Start, eventually
from tests.http.reading import broken_off, deaf
from tests.http.test_ranges import parts_of
from tests.http.trail import recorded
from tests.registry.core.opening import DAMAGED, SEGMENT, OpeningStore, StreamingStore

pytestmark = pytest.mark.settings(encryption={"mode": "off"})  # the store of these tests seals by itself

# Each segment has bytes of its own, by which it is known wherever it comes.
LARGE = b"".join(bytes([letter]) * SEGMENT for letter in b"ABCDEFGH")
SMALL = b"the bytes of a blob"
FIFTH = b"F" * 100


@pytest.fixture
def store(request: pytest.FixtureRequest) -> StreamingStore:
    """One that threads read, unless a test asks for another."""
    kind: type[StreamingStore] = getattr(request, "param", OpeningStore)
    return kind()


@pytest.fixture(autouse=True)
def opening(store: StreamingStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every registry of these tests keeps its content in this store."""

    @asynccontextmanager
    async def open_store(*_: object, **__: object) -> AsyncIterator[StreamingStore]:
        yield store

    monkeypatch.setattr(registry.content, "open_store", open_store)
    monkeypatch.setattr(StreamingStore, "probe", lambda _self: None, raising=False)


async def pull(registry: Registry, digest: str, *headers: tuple[str, str]) -> Answer:
    return await registry.get(f"/v2/a/blobs/{digest}", headers=headers)


async def all_closed(store: OpeningStore) -> None:
    """A client has the last byte before the server has closed what it came from."""

    async def readers() -> int:
        return store.readers

    await eventually(readers, lambda count: count == 0)


async def test_blobs_of_any_size_come_back(registry: Registry, store: OpeningStore) -> None:
    """Short ones in one step, long ones from threads; nothing stays open."""
    for size in (0, 1, 65_536, 65_537, SEGMENT, 3_000_000):
        content = (bytes(range(251)) * (size // 251 + 1))[:size]
        digest = await registry.push_blob("a", content)

        answer = await pull(registry, digest)

        assert (answer.status, answer.body) == (200, content)
    await all_closed(store)


async def test_ranges_are_cut_out_of_segments(registry: Registry) -> None:
    """One, and several in one answer: within a segment, over the edge of two, and over many."""
    digest = await registry.push_blob("a", LARGE)
    edge, many = SEGMENT - 10, 5 * SEGMENT + 3

    one = await pull(registry, digest, ("Range", f"bytes={edge}-{many}"))
    several = await pull(registry, digest, ("Range", f"bytes=5-6,{edge}-{SEGMENT + 9},{edge}-{many}"))

    assert (one.status, one.body) == (206, LARGE[edge : many + 1])
    assert [content for _, content in parts_of(several)] == [
        LARGE[5:7],
        LARGE[edge : SEGMENT + 10],
        LARGE[edge : many + 1],
    ]


async def test_blobs_follow_each_other_on_one_connection(registry: Registry) -> None:
    """A body that threads send ends exactly where the next answer begins."""
    paths = [f"/v2/a/blobs/{await registry.push_blob('a', content)}" for content in (LARGE, SMALL, LARGE)]
    reader, writer = await registry.connect()

    writer.write(b"".join(registry.request_head("GET", path) for path in paths))

    for content in (LARGE, SMALL, LARGE):
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200 OK\r\n")
        assert await reader.readexactly(len(content)) == content
    writer.close()


async def test_damage_at_the_beginning_is_a_404(registry: Registry, store: OpeningStore) -> None:
    """The error document, and nothing of what is wrong."""
    for asked in ((), (("Range", "bytes=2-9"),), (("Range", "bytes=2-3,8-9"),)):
        for content in (SMALL, LARGE):
            digest = await registry.push_blob("a", content)
            store.damage(0)

            answer = await pull(registry, digest, *asked)

            assert answer.refusal == (404, "BLOB_UNKNOWN")
            assert b"segment" not in answer.body
    await all_closed(store)


async def test_a_damaged_blob_is_unknown_until_it_is_pushed_again(registry: Registry, store: OpeningStore) -> None:
    digest = await registry.push_blob("a", SMALL)
    store.damage(0)
    await pull(registry, digest)

    damaged = await registry.head(f"/v2/a/blobs/{digest}")
    await registry.push_blob("a", SMALL)
    repaired = await registry.head(f"/v2/a/blobs/{digest}"), await pull(registry, digest)

    assert damaged.status == 404
    assert [answer.status for answer in repaired] == [200, 200]
    assert repaired[1].body == SMALL


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
async def test_damage_further_on_breaks_the_answer_off(registry: Registry, store: OpeningStore, version: bytes) -> None:
    """What was right before it may come; then the connection is reset, and never ends as it does after an answer."""
    for asked in ((), ("Range: bytes=262144-",), ("Range: bytes=0-99999,400000-499999,1200000-1400000",)):
        digest = await registry.push_blob("a", LARGE)
        store.damage(5)
        request = registry.request_head("GET", f"/v2/a/blobs/{digest}", *asked)

        head, body = await broken_off(registry, request.replace(b"HTTP/1.1", version, 1))

        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        assert len(body) < length
        assert FIFTH not in body
        assert (await registry.head(f"/v2/a/blobs/{digest}")).status == 404


@pytest.mark.parametrize("store", [StreamingStore], indirect=True)
async def test_damage_in_what_a_store_streams_is_told_in_the_same_way(
    registry: Registry, store: StreamingStore
) -> None:
    """404 where it is at the beginning, a reset of the connection where it is further on."""
    digest = await registry.push_blob("a", LARGE)
    whole = await pull(registry, digest)
    store.damage(0)
    beginning = await pull(registry, digest)
    await registry.push_blob("a", LARGE)
    store.damage(5)

    _, body = await broken_off(registry, registry.request_head("GET", f"/v2/a/blobs/{digest}"))

    assert (whole.body == LARGE, beginning.refusal) == (True, (404, "BLOB_UNKNOWN"))
    assert FIFTH not in body
    assert (await registry.head(f"/v2/a/blobs/{digest}")).status == 404


async def test_damage_breaks_off_an_answer_over_tls(start: Start, store: OpeningStore) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    async with start(tls=context) as registry:
        digest = await registry.push_blob("a", LARGE)
        whole = await pull(registry, digest)
        store.damage(5)

        with pytest.raises(ClientError):
            await pull(registry, digest)

    assert whole.body == LARGE


async def test_damage_is_told_once(registry: Registry, store: OpeningStore, capfd: pytest.CaptureFixture[str]) -> None:
    """To the metrics, the log and the audit trail, however often the blob is asked for."""
    digest = await registry.push_blob("a", SMALL)
    store.damage(0)

    answers = await asyncio.gather(*(pull(registry, digest) for _ in range(5)))

    (event,) = await recorded(registry.root, "damage")
    assert {answer.status for answer in answers} == {404}
    assert (event["principal"], event["action"], event["decision"]) == ("registry", "lading:QuarantineBlob", "allowed")
    assert event["resource"].endswith(":repository/a")
    assert event["details"] == {"digest": digest, "reason": DAMAGED}
    assert await counted(registry) == {"seal": 1.0}
    logged = "".join(capfd.readouterr())
    assert (logged.count(digest), logged.count(DAMAGED)) == (1, 1)


async def counted(registry: Registry) -> dict[str, float]:
    answer = await registry.get("/metrics", authorization=None)
    return {
        sample.labels["kind"]: sample.value
        for family in text_string_to_metric_families(answer.body.decode())
        for sample in family.samples
        if sample.name == "lading_damaged_objects_total"
    }


async def test_a_missing_copy_is_damage_of_another_kind(registry: Registry, store: OpeningStore) -> None:
    digest = await registry.push_blob("a", SMALL)
    store.lose()

    answer = await registry.head(f"/v2/a/blobs/{digest}")

    (event,) = await recorded(registry.root, "damage")
    assert answer.status == 404
    assert event["details"]["reason"] == "its bytes are gone, or are not as many as they were"
    assert await counted(registry) == {"missing": 1.0}


@pytest.mark.parametrize(
    ("failure", "status", "code"),
    [
        (KeyUnavailable("the key cannot be had", "AccessDenied: arn:aws:kms:x"), 503, "UNAVAILABLE"),
        (DomainUnusable("AES256", "are being destroyed"), 403, "DENIED"),
    ],
)
async def test_a_key_that_is_away_is_no_damage(
    registry: Registry, store: OpeningStore, failure: Exception, status: int, code: str
) -> None:
    """The blob is there again as soon as the key is."""
    digest = await registry.push_blob("a", SMALL)
    store.failure = failure

    away = await pull(registry, digest)
    store.failure = None

    assert away.refusal == (status, code)
    assert b"kms" not in away.body
    assert (await pull(registry, digest)).body == SMALL
    assert await recorded(registry.root, "damage") == []


async def test_a_blob_that_is_stored_anew_meanwhile_is_read_from_there(registry: Registry, store: OpeningStore) -> None:
    """Its copy was found in the database, and gone when it was opened."""
    digest = await registry.push_blob("a", SMALL)
    key = store.keys[0].partition(".")[0] + ".new"

    async def seal_anew() -> None:
        store.move(key)
        with sqlite3.connect(registry.root / "registry.db") as database:
            database.execute("UPDATE blob SET storage_key = ?", (key,))
        database.close()

    store.meanwhile = seal_anew
    answer = await pull(registry, digest)

    assert (answer.status, answer.body) == (200, SMALL)
    assert await recorded(registry.root, "damage") == []


async def test_clients_that_do_not_read_hold_no_threads(registry: Registry) -> None:
    """There are many more of them than threads, and another is served meanwhile."""
    digest = await registry.push_blob("a", LARGE * 4)
    clients = [await deaf(registry, f"/v2/a/blobs/{digest}") for _ in range(40)]

    async with asyncio.timeout(5):
        answer = await pull(registry, digest)

    assert len(answer.body) == len(LARGE) * 4
    for client in clients:
        client.close()


async def test_a_slow_client_gets_every_byte(registry: Registry) -> None:
    """What was read and did not fit into the socket is read again from there."""
    digest = await registry.push_blob("a", LARGE * 4)
    client = await deaf(registry, f"/v2/a/blobs/{digest}", window=256 * 1024)
    loop, received = asyncio.get_running_loop(), bytearray()

    async with asyncio.timeout(10):
        while len(received.partition(b"\r\n\r\n")[2]) < len(LARGE) * 4:
            await asyncio.sleep(0.02)
            received += await loop.sock_recv(client, 700_000)

    client.close()
    assert bytes(received).partition(b"\r\n\r\n")[2] == LARGE * 4
