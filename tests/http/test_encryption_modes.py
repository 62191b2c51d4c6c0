"""Registries whose mode of encryption changes, or whose root key is in AWS KMS."""

from collections.abc import Iterator

import boto3
import pytest

from storage.errors import KeyUnavailable
from tests.http.admin import done
from tests.http.client import Start
from tests.http.documents import sha256
from tests.http.sealing import LARGE, domain_id, domains_of_files, make_team
from tests.http.uploading import with_query
from tests.kms.server import ACCESS_KEY, REGION, SECRET_KEY, KmsServer

OFF = {"mode": "off"}
BLOB = b"the bytes of a blob"


async def test_what_was_sealed_is_served_where_encryption_is_off(start: Start) -> None:
    """What is pushed from then on is plain, and neither stands in for the other."""
    async with start() as registry:
        sealed = await registry.push_image("a", "sealed", LARGE)
        aes = domain_id(registry, "AES256")
    async with start(encryption=OFF) as registry:
        plain = await registry.push_image("a", "plain", b"another")
        again = await registry.push_image("b", "again", LARGE)

        assert (await registry.get("/v2/a/manifests/sealed")).body == sealed
        assert (await registry.get("/v2/a/manifests/plain")).body == plain
        for name in "ab":
            assert (await registry.get(f"/v2/{name}/blobs/{sha256(LARGE)}")).body == LARGE
        assert domains_of_files(registry) == [b"", b"", b"", aes, aes]  # the layers twice each, and the config
        assert (await registry.get("/v2/b/manifests/again")).body == again


async def test_what_was_plain_is_served_where_encryption_is_on(start: Start) -> None:
    """A push of the same bytes is sealed: who pushes is told of nothing that lies in plain."""
    async with start(encryption=OFF) as registry:
        plain = await registry.push_image("a", "plain", LARGE)
        assert domains_of_files(registry) == [b"", b""]
    async with start() as registry:
        pulled = await registry.get(f"/v2/a/blobs/{sha256(LARGE)}", headers=[("Range", "bytes=5-9")])
        mounted = await registry.post(f"/v2/b/blobs/uploads/?mount={sha256(LARGE)}&from=a")

        assert (await registry.get("/v2/a/manifests/plain")).body == plain
        assert (pulled.status, pulled.body, mounted.status) == (206, b"AAAAA", 201)
        assert domains_of_files(registry) == [b"", b"", domain_id(registry, "AES256")]
        assert (await registry.get(f"/v2/b/blobs/{sha256(LARGE)}")).body == LARGE


async def test_an_upload_that_was_begun_sealed_is_finished_sealed(start: Start) -> None:
    """Nothing of it is ever plain."""
    async with start() as registry:
        location = (await registry.patch(await registry.start_upload("a"), LARGE[:300_000])).location
    async with start(encryption=OFF) as registry:
        closed = await registry.put(with_query(location, f"digest={sha256(LARGE)}"), LARGE[300_000:])

        assert closed.status == 201
        assert (await registry.get(closed.location)).body == LARGE
        assert domains_of_files(registry) == [domain_id(registry, "AES256")]


async def test_an_upload_that_was_begun_plain_starts_over_sealed(start: Start) -> None:
    """The client is told where to go on: at the beginning."""
    async with start(encryption=OFF) as registry:
        location = (await registry.patch(await registry.start_upload("a"), LARGE[:300_000])).location
    async with start() as registry:
        told = await registry.patch(location, LARGE[300_000:], headers=[("Content-Range", f"300000-{len(LARGE) - 1}")])
        closed = await registry.put(with_query(location, f"digest={sha256(LARGE)}"), LARGE)

        assert (told.status, told.headers["Range"], closed.status) == (416, "0-0", 201)
        assert (await registry.get(closed.location)).body == LARGE
        assert domains_of_files(registry) == [domain_id(registry, "AES256")]


@pytest.fixture(scope="module")
def session() -> boto3.session.Session:
    """One for all: it loads the description of KMS once."""
    return boto3.session.Session()


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch, session: boto3.session.Session) -> Iterator[KmsServer]:
    monkeypatch.setattr(boto3.session, "Session", lambda: session)
    for name, value in (("ACCESS_KEY_ID", ACCESS_KEY), ("SECRET_ACCESS_KEY", SECRET_KEY), ("REGION", REGION)):
        monkeypatch.setenv(f"AWS_{name}", value)
    with KmsServer() as server:
        server.create_key("lading")
        server.create_key("team")
        yield server


def in_kms(kms: KmsServer) -> dict[str, str]:
    return {"mode": "aws-kms", "kms_key_id": "alias/lading", "kms_endpoint_url": kms.url}


async def test_a_registry_moves_into_kms(start: Start, kms: KmsServer) -> None:
    """Its keys are wrapped there after one rotation of the root key; the key file is needed no more."""
    async with start() as registry:
        digest = await registry.push_blob("a", BLOB)
    async with start(encryption=in_kms(kms)) as registry:
        rotated = await done(registry, "POST", "/encryption/root-key-rotations")
        (registry.root / "root.key").unlink()
    async with start(encryption=in_kms(kms)) as registry:
        assert rotated["root"] == f"aws-kms:{kms.aliases['alias/lading'].arn}"
        assert (await registry.get(f"/v2/a/blobs/{digest}")).body == BLOB
        await registry.push_image("a", "latest", b"layer")


async def test_a_kms_key_that_is_taken_away_is_missed_once_nobody_remembers_it(start: Start, kms: KmsServer) -> None:
    """Then 503, and when to ask again; no other domain misses anything, and nothing is taken for damaged."""
    async with start(encryption=in_kms(kms)) as registry:
        await make_team(registry, "vault")
        digest = await registry.push_blob("vault", BLOB)
        await registry.push_blob("a", BLOB)
        kms.aliases["alias/team"].state = "Disabled"

        remembered = await registry.get(f"/v2/vault/blobs/{digest}")
    async with start(encryption=in_kms(kms)) as registry:
        away = [
            await registry.get(f"/v2/vault/blobs/{digest}"),
            await registry.post(f"/v2/vault/blobs/uploads/?digest={sha256(b'new')}", b"new"),
        ]
        elsewhere = await registry.get(f"/v2/a/blobs/{digest}")
        kms.aliases["alias/team"].state = "Enabled"
    async with start(encryption=in_kms(kms)) as registry:
        back = await registry.get(f"/v2/vault/blobs/{digest}")

    assert (remembered.status, remembered.body) == (200, BLOB)
    assert [answer.refusal for answer in away] == [(503, "UNAVAILABLE")] * 2
    assert all(int(answer.headers["Retry-After"]) > 0 for answer in away)
    assert not any(b"arn:aws" in answer.body or b"alias/team" in answer.body for answer in away)
    assert (elsewhere.status, back.body) == (200, BLOB)


async def test_a_registry_whose_kms_refuses_does_not_start(start: Start, kms: KmsServer) -> None:
    """Whoever starts it is told what to allow."""
    async with start(encryption=in_kms(kms)) as registry:
        await done(registry, "POST", "/encryption/root-key-rotations")
    kms.refuses = ("AccessDeniedException", 400)

    with pytest.raises(KeyUnavailable) as refused:
        async with start(encryption=in_kms(kms)):
            pass

    assert "kms:Decrypt" in refused.value.in_full
