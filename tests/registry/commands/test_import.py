"""`lading import`: content moves to another store, and a registry starts on it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from registry.bootstrap import prepare
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.core.blobs import Blobs
from registry.core.names import RepositoryName
from registry.core.places import Places
from registry.databases import open_databases
from registry.stores import open_store
from storage.blobs.interface import Span
from storage.digest import Digest
from tests.contracts.blob_access import push
from tests.contracts.s3_places import BUCKET, s3_server
from tests.registry.commands.conftest import Run
from tests.s3.server import S3Server

ALPHA = RepositoryName("alpha")
HELLO = Digest.of(b"hello")


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def to_bucket(server: S3Server, root: Path) -> list[str]:
    """Flags that name a fresh place in the bucket."""
    place = {"backend": "s3", "bucket": BUCKET, "endpoint_url": server.url, "prefix": root.parent.name}
    return [word for key, value in place.items() for word in ("--set", f"storage.{key}={value}")]


def settings(root: Path, flags: list[str] | None = None) -> Settings:
    said = dict(flag.removeprefix("storage.").split("=", 1) for flag in (flags or [])[1::2])
    return Settings(storage=StorageSettings.model_validate({"root": root, "reserve": 0, **said}))


async def _push(root: Path) -> None:
    databases = open_databases(settings(root))
    async with open_store(settings(root).storage, databases) as store:
        copy = await push(store, b"hello")
        await Blobs(databases.registry, Places(store), lambda: 0.0).record(ALPHA, HELLO, copy, create=True)
    await databases.close()


@pytest.fixture
def pushed(root: Path) -> Path:
    """A data directory whose repository alpha has the blob hello."""
    asyncio.run(_push(root))
    return root


async def _read(settings: Settings) -> bytes:
    await prepare(settings)
    databases = open_databases(settings)
    try:
        async with (
            open_store(settings.storage, databases) as store,
            Blobs(databases.registry, Places(store), lambda: 0.0).open(ALPHA, HELLO) as blob,
        ):
            return b"".join([chunk async for chunk in blob.read(Span(0, blob.size))])
    finally:
        await databases.close()


def test_content_moves_into_a_bucket_and_back(lading: Run, pushed: Path, to_bucket: list[str], tmp_path: Path) -> None:
    """The registry starts on either store, with the same database."""
    ran = lading("import", "--from", str(pushed), *to_bucket)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("copied 1, 5 bytes; 0 were there already: restart the server with the new store")
    assert asyncio.run(_read(settings(pushed, to_bucket))) == b"hello"

    (pushed / "blobs").rename(tmp_path / "away")
    back = lading("import", "--from", f"s3://{BUCKET}/{pushed.parent.name}", *to_bucket[2:], "--json")

    assert back.document == {"copied": 1, "copied_bytes": 5, "there_already": 0, "failed": []}
    assert asyncio.run(_read(settings(pushed))) == b"hello"


def test_the_source_may_be_named_by_a_file_of_settings(
    lading: Run, pushed: Path, to_bucket: list[str], tmp_path: Path
) -> None:
    (tmp_path / "old.toml").write_text(f'[storage]\nroot = "{pushed}"\n')

    assert lading("import", "--from", str(tmp_path / "old.toml"), *to_bucket, "--json").document["copied"] == 1


def test_what_fails_is_named_and_the_registry_does_not_start(lading: Run, pushed: Path, to_bucket: list[str]) -> None:
    [file] = (pushed / "blobs/sha256").rglob("*.*")
    file.write_bytes(b"hellO")

    ran = lading("import", "--from", str(pushed), *to_bucket)

    assert ran.code == 1
    assert f"{HELLO}: its bytes in the source are not what its digest names\n" in ran.out
    with pytest.raises(Exception, match="not all content has been copied here yet: let `lading import --from` end"):
        asyncio.run(prepare(settings(pushed, to_bucket)))


def test_a_registry_does_not_start_on_an_empty_bucket(lading: Run, pushed: Path, to_bucket: list[str]) -> None:
    """It says how the content gets there."""
    with pytest.raises(Exception, match="or copy the content with `lading import --from`"):
        asyncio.run(prepare(settings(pushed, to_bucket)))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{root}", "is where the content is to go: set storage.backend to the new store"),
        ("{root}/nowhere", "there is no content below"),
        ("s3://No_Bucket/x", "a bucket's name has 3 to 63 lower-case letters"),
    ],
)
def test_a_source_that_cannot_be_one_is_refused(lading: Run, pushed: Path, source: str, said: str) -> None:
    ran = lading("import", "--from", source.format(root=pushed))

    assert ran.code == 1
    assert said in ran.err


def test_a_bucket_that_does_not_exist_is_told(lading: Run, pushed: Path, to_bucket: list[str]) -> None:
    ran = lading("import", "--from", str(pushed), *to_bucket, "--set", "storage.bucket=nobody-made-this")

    assert ran.code == 1
    assert "the bucket nobody-made-this does not exist: make it, or correct storage.bucket" in ran.err


def test_import_needs_a_source(lading: Run) -> None:
    assert lading("import").code == 2
