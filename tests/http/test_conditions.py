"""Conditional requests (RFC 9110 section 13): what a client has got already is not sent again."""

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, sha256


@pytest.mark.parametrize("condition", ["*", '"{digest}"', 'W/"{digest}"', '"other", "{digest}"'])
async def test_manifest_that_the_client_has_is_not_sent_again(registry: Registry, condition: str) -> None:
    """By tag and by digest, for HEAD as for GET."""
    digest = sha256(await registry.push_image("a", "1"))
    headers = [("If-None-Match", condition.format(digest=digest))]

    for reference in ("1", digest):
        path = f"/v2/a/manifests/{reference}"
        answers = [await registry.get(path, headers=headers), await registry.head(path, headers=headers)]

        assert [(answer.status, answer.body) for answer in answers] == [(304, b""), (304, b"")]
        assert {answer.headers["ETag"] for answer in answers} == {f'"{digest}"'}


async def test_conditions_may_come_on_several_lines(registry: Registry) -> None:
    """Lines of one name are one list (RFC 9110 section 5.3)."""
    digest = await registry.push_blob("a", b"x")
    headers = [("If-None-Match", '"other"'), ("If-None-Match", f'"{digest}"')]

    answer = await registry.get(f"/v2/a/blobs/{digest}", headers=headers)

    assert answer.status == 304


async def test_manifest_that_changed_is_sent(registry: Registry) -> None:
    """The tag moved since."""
    await registry.push_image("a", "1")

    answer = await registry.get("/v2/a/manifests/1", headers=[("If-None-Match", f'"{ABSENT}"')])

    assert answer.status == 200


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/_catalog?last=%00", 200),
        ("/v2/a/tags/list?last=%00", 200),
        (f"/v2/a/referrers/{ABSENT}?last=%00", 200),
        (f"/v2/a/referrers/{ABSENT}?artifactType=%00", 200),
        ("/v2/a/blobs/uploads/%00", 404),
        ("/v2/a/blobs/uploads/..%2f..%2fetc", 404),
    ],
)
async def test_a_zero_byte_in_a_query_never_reaches_the_database(registry: Registry, path: str, status: int) -> None:
    """PostgreSQL refuses one where SQLite finds nothing."""
    await registry.push_image("a", "1")

    answer = await registry.get(path)

    assert answer.status == status
