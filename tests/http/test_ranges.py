"""Pulling parts of a blob (RFC 9110 section 14)."""

import email
import email.message
import email.policy

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.http.client import Answer, Registry

BLOB = bytes(range(200))
LARGE = bytes(range(251)) * 4_000


def parts_of(answer: Answer) -> list[tuple[str, bytes]]:
    """Content-Range and bytes of every part, as the standard library's mail parser reads them."""
    head = f"Content-Type: {answer.headers['Content-Type']}\r\n\r\n".encode()
    message = email.message_from_bytes(head + answer.body, policy=email.policy.HTTP)
    assert message.get_content_type() == "multipart/byteranges"
    parts = message.get_payload()
    assert isinstance(parts, list)
    found = []
    for part in parts:
        assert isinstance(part, email.message.Message)
        assert part.get_content_type() == "application/octet-stream"
        content = part.get_payload(decode=True)
        assert isinstance(content, bytes)
        found.append((part["Content-Range"], content))
    return found


async def ask(registry: Registry, asked: str, content: bytes = BLOB, *headers: tuple[str, str]) -> Answer:
    digest = await registry.push_blob("a", content)
    return await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", asked), *headers])


@pytest.mark.parametrize(
    ("asked", "content_range", "part"),
    [
        ("bytes=0-0", "bytes 0-0/200", BLOB[:1]),
        ("bytes=0-", "bytes 0-199/200", BLOB),
        ("bytes=0-199", "bytes 0-199/200", BLOB),
        ("bytes=10-19", "bytes 10-19/200", BLOB[10:20]),
        ("bytes=190-", "bytes 190-199/200", BLOB[190:]),
        ("bytes=199-199", "bytes 199-199/200", BLOB[199:]),
        ("bytes=190-1000", "bytes 190-199/200", BLOB[190:]),
        ("bytes=190-99999999999999999999999999999", "bytes 190-199/200", BLOB[190:]),
        ("bytes=-1", "bytes 199-199/200", BLOB[199:]),
        ("bytes=-50", "bytes 150-199/200", BLOB[150:]),
        ("bytes=-1000", "bytes 0-199/200", BLOB),
        ("bytes= 10-19", "bytes 10-19/200", BLOB[10:20]),
        ("BYTES=10-19", "bytes 10-19/200", BLOB[10:20]),
        ("bytes=10-19,500-600", "bytes 10-19/200", BLOB[10:20]),
    ],
)
async def test_one_range_is_sent_alone(registry: Registry, asked: str, content_range: str, part: bytes) -> None:
    """206 with exactly these bytes, and where they belong."""
    answer = await ask(registry, asked)

    assert (answer.status, answer.body) == (206, part)
    assert answer.headers["Content-Range"] == content_range
    assert answer.headers["Content-Length"] == str(len(part))
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["Docker-Content-Digest"] in answer.headers["ETag"]


@pytest.mark.parametrize(
    "asked", ["bytes=200-", "bytes=200-300", "bytes=-0", "bytes=99999999999999999999999-", "bytes=5-4"]
)
async def test_range_outside_of_the_blob_is_not_satisfiable(registry: Registry, asked: str) -> None:
    """416 tells how long the blob is."""
    answer = await ask(registry, asked)

    assert answer.refusal == (416, "SIZE_INVALID")
    assert answer.headers["Content-Range"] == "bytes */200"


async def test_range_of_an_empty_blob_is_not_satisfiable(registry: Registry) -> None:
    """There is no first byte."""
    answer = await ask(registry, "bytes=0-", b"")

    assert (answer.status, answer.headers["Content-Range"]) == (416, "bytes */0")


@pytest.mark.parametrize(
    "asked",
    [
        "bytes",
        "bytes=",
        "bytes=-",
        "bytes=a-b",
        "bytes=1",
        "items=0-5",
        "bytes=0-5,x",
        "bytes=--5",
        "=0-5",
        "bytes=+1-5",
    ],
)
async def test_malformed_range_is_ignored(registry: Registry, asked: str) -> None:
    """The whole blob is an answer to any Range header that makes no sense."""
    answer = await ask(registry, asked)

    assert (answer.status, answer.body) == (200, BLOB)


async def test_seven_ranges_come_as_parts(registry: Registry) -> None:
    """podman asks so for the pieces of a layer that it lacks."""
    asked = "bytes=0-9,100-100,200000-265000,300000-300001,500000-899999,900500-900600,-20"

    answer = await ask(registry, asked, LARGE)

    assert answer.status == 206
    assert parts_of(answer) == [
        ("bytes 0-9/1004000", LARGE[:10]),
        ("bytes 100-100/1004000", LARGE[100:101]),
        ("bytes 200000-265000/1004000", LARGE[200_000:265_001]),
        ("bytes 300000-300001/1004000", LARGE[300_000:300_002]),
        ("bytes 500000-899999/1004000", LARGE[500_000:900_000]),
        ("bytes 900500-900600/1004000", LARGE[900_500:900_601]),
        ("bytes 1003980-1003999/1004000", LARGE[1_003_980:]),
    ]
    assert answer.headers["Content-Length"] == str(len(answer.body))
    assert "Content-Range" not in answer.headers


async def test_parts_are_followed_by_the_next_answer(registry: Registry) -> None:
    """The announced length is that of parts, heads and boundaries together."""
    digest = await registry.push_blob("a", LARGE)
    request = registry.request_head("GET", f"/v2/a/blobs/{digest}", "Range: bytes=0-99999,200000-299999")
    reader, writer = await registry.connect()

    writer.write(request * 2)

    for _ in range(2):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 206 Partial Content\r\n")
        length = int(head.partition(b"Content-Length: ")[2].partition(b"\r\n")[0])
        assert (await reader.readexactly(length)).endswith(b"--\r\n")
    writer.close()


async def test_parts_outside_of_the_blob_are_left_out(registry: Registry) -> None:
    """What can be satisfied is sent."""
    answer = await ask(registry, "bytes=0-1,500-600,10-11")

    assert parts_of(answer) == [("bytes 0-1/200", BLOB[:2]), ("bytes 10-11/200", BLOB[10:12])]


async def test_ranges_that_ask_for_more_than_the_whole_get_the_whole(registry: Registry) -> None:
    """Nobody multiplies a blob with a header."""
    answer = await ask(registry, "bytes=" + ",".join(["0-"] * 20))

    assert (answer.status, answer.body) == (200, BLOB)


async def test_1024_ranges_are_sent(registry: Registry) -> None:
    """podman's bound."""
    answer = await ask(registry, "bytes=" + ",".join(f"{n * 10}-{n * 10}" for n in range(1024)), LARGE)

    assert answer.status == 206
    assert [content for _, content in parts_of(answer)] == [LARGE[n * 10 : n * 10 + 1] for n in range(1024)]


async def test_more_ranges_get_the_whole(registry: Registry) -> None:
    """The work for one request is bounded."""
    answer = await ask(registry, "bytes=" + ",".join(f"{n}-{n}" for n in range(1025)), LARGE)

    assert (answer.status, answer.body) == (200, LARGE)


@pytest.mark.settings(limits={"header_bytes": 1024 * 1024})
async def test_a_hundred_thousand_ranges_harm_nobody(registry: Registry) -> None:
    """A long header is read in no time, and ignored."""
    answer = await ask(registry, "bytes=" + ",".join(["0-0"] * 100_000))

    assert (answer.status, answer.body) == (200, BLOB)


async def test_part_is_sent_if_the_client_has_the_rest(registry: Registry) -> None:
    """If-Range with the blob's own tag is a range request."""
    digest = await registry.push_blob("a", BLOB)

    answer = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=5-9"), ("If-Range", f'"{digest}"')])

    assert (answer.status, answer.body) == (206, BLOB[5:10])


@pytest.mark.parametrize("condition", ['"other"', "Wed, 21 Oct 2015 07:28:00 GMT", 'W/"sha256:x"'])
async def test_whole_is_sent_if_the_client_has_something_else(registry: Registry, condition: str) -> None:
    """A blob has no date, and its tag is compared whole."""
    answer = await ask(registry, "bytes=5-9", BLOB, ("If-Range", condition))

    assert (answer.status, answer.body) == (200, BLOB)


async def test_head_tells_of_the_whole(registry: Registry) -> None:
    """Range is defined for GET alone."""
    digest = await registry.push_blob("a", BLOB)

    answer = await registry.head(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=5-9")])

    assert (answer.status, answer.headers["Content-Length"]) == (200, "200")


async def test_download_is_resumed_where_it_stopped(registry: Registry) -> None:
    """A client that lost its connection asks for the rest."""
    digest = await registry.push_blob("a", LARGE)
    reader, writer = await registry.connect()
    writer.write(registry.request_head("GET", f"/v2/a/blobs/{digest}"))
    await reader.readuntil(b"\r\n\r\n")
    begun = await reader.readexactly(123_456)
    writer.transport.abort()

    rest = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=123456-")])

    assert rest.status == 206
    assert begun + rest.body == LARGE


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    asked=st.lists(
        st.tuples(st.integers(0, 260), st.integers(0, 260)).map(lambda pair: (min(pair), max(pair))),
        min_size=1,
        max_size=9,
    )
)
async def test_every_part_is_the_slice_that_was_asked_for(registry: Registry, asked: list[tuple[int, int]]) -> None:
    """Whatever is asked for, what comes are those bytes of the blob, in the order asked, or all of it."""
    answer = await ask(registry, "bytes=" + ",".join(f"{first}-{last}" for first, last in asked))
    slices = [BLOB[first : last + 1] for first, last in asked if first < 200]

    match len(slices), answer.status:
        case 0, status:
            assert status == 416
        case 1, status:
            assert (status, answer.body) == (206, slices[0])
        case _, 206:
            assert [content for _, content in parts_of(answer)] == slices
        case _, status:
            assert (status, answer.body) == (200, BLOB)
            assert sum(map(len, slices)) > 200
