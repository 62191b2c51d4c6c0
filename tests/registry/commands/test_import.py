"""`lading import`: content moves to another store, and a registry starts on it."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from registry.bootstrap import prepare
from registry.commands.local import opened_registry
from registry.config import Settings
from registry.config_storage import StorageSettings
from registry.content import open_content
from registry.core.blobs import Blobs
from registry.core.names import RepositoryName
from registry.core.places import Places
from registry.databases import Databases, open_databases
from registry.stores import open_store
from storage.blobs.interface import Span
from storage.digest import Digest
from storage.encryption.header import MAGIC
from tests.contracts.blob_access import push
from tests.contracts.s3_places import BUCKET, s3_server
from tests.registry.commands.conftest import Run
from tests.s3.server import S3Server

ALPHA = RepositoryName("alpha")
BETA = RepositoryName("beta")
HELLO = Digest.of(b"hello")
SEALED = bytes(range(250)) * 1200  # more than a segment


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


async def _push_sealed(root: Path) -> None:
    async with _opened(settings(root)) as (databases, places):
        copy = await push(places.staging("AES256"), SEALED)
        await Blobs(databases.registry, places, lambda: 0.0).record(BETA, Digest.of(SEALED), copy, create=True)


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Databases, Places]]:
    async with (
        opened_registry(settings) as (databases, roots, prepared),
        open_content(settings, databases, prepared.registry_id, roots) as content,
    ):
        yield databases, content.places


@pytest.fixture
def pushed(root: Path) -> Path:
    """A data directory whose repository alpha has the blob hello, plain."""
    asyncio.run(_push(root))
    return root


@pytest.fixture
def mixed(pushed: Path) -> Path:
    """One whose repository beta has a blob that is sealed, too."""
    asyncio.run(_push_sealed(pushed))
    return pushed


async def _read(settings: Settings, repository: RepositoryName = ALPHA, digest: Digest = HELLO) -> bytes:
    await prepare(settings)
    async with (
        _opened(settings) as (databases, places),
        Blobs(databases.registry, places, lambda: 0.0).open(repository, digest) as blob,
    ):
        return b"".join([chunk async for chunk in blob.read(Span(0, blob.size))])


def sealed_file(root: Path) -> Path:
    """The one sealed copy on the disk."""
    [found] = [path for path in (root / "blobs/sha256").rglob("*.*") if path.read_bytes()[:8] == MAGIC]
    return found


def test_content_moves_into_a_bucket_and_back(lading: Run, pushed: Path, to_bucket: list[str], tmp_path: Path) -> None:
    """The registry starts on either store, with the same database."""
    ran = lading("import", "--from", str(pushed), *to_bucket)

    assert (ran.code, ran.err) == (0, "")
    assert ran.out.startswith("copied 1, 5 bytes; 0 were there already: restart the server with the new store")
    assert asyncio.run(_read(settings(pushed, to_bucket))) == b"hello"

    (pushed / "blobs").rename(tmp_path / "away")
    back = lading("import", "--from", f"s3://{BUCKET}/{pushed.parent.name}", *to_bucket[2:], "--json")

    assert back.document == {
        "copied": 1,
        "copied_bytes": 5,
        "there_already": 0,
        "unchecked": [],
        "failed": [],
    }
    assert asyncio.run(_read(settings(pushed))) == b"hello"


def test_sealed_content_moves_into_a_bucket_and_back(
    lading: Run, mixed: Path, server: S3Server, to_bucket: list[str], tmp_path: Path
) -> None:
    """As it is sealed, beside what is plain: what lies in the bucket is what lay on the disk."""
    sealed = sealed_file(mixed).read_bytes()

    there = lading("import", "--from", str(mixed), *to_bucket, "--json")
    again = lading("import", "--from", str(mixed), *to_bucket, "--json")

    assert (there.document["copied"], there.document["copied_bytes"]) == (2, 5 + len(SEALED))
    assert again.document["there_already"] == 2
    key = sealed_file(mixed).relative_to(mixed / "blobs").as_posix()
    assert server.bucket(BUCKET).objects[f"{mixed.parent.name}/blobs/{key}"].content == sealed
    assert asyncio.run(_read(settings(mixed, to_bucket), BETA, Digest.of(SEALED))) == SEALED

    (mixed / "blobs").rename(tmp_path / "away")
    back = lading("import", "--from", f"s3://{BUCKET}/{mixed.parent.name}", *to_bucket[2:], "--json")

    assert back.document["copied"] == 2
    assert sealed_file(mixed).read_bytes() == sealed
    assert asyncio.run(_read(settings(mixed), BETA, Digest.of(SEALED))) == SEALED
    assert asyncio.run(_read(settings(mixed))) == b"hello"


def test_sealed_content_that_is_damaged_is_named(lading: Run, mixed: Path, to_bucket: list[str]) -> None:
    file = sealed_file(mixed)
    content = bytearray(file.read_bytes())
    content[300_000] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)

    ran = lading("import", "--from", str(mixed), *to_bucket)

    assert ran.code == 1
    assert f"{Digest.of(SEALED)}: it is damaged in the source, or is not what its digest names\n" in ran.out
    assert "copied 1, 5 bytes; 0 were there already; 1 failed: see to them, then run this again\n" in ran.out


def test_without_the_root_key_no_sealed_content_moves(lading: Run, mixed: Path, to_bucket: list[str]) -> None:
    """What is plain needs none."""
    (mixed / "root.key").rename(mixed / "elsewhere.key")

    without = lading("import", "--from", str(mixed), *to_bucket)
    (mixed / "elsewhere.key").rename(mixed / "root.key")

    assert without.code == 1
    assert "version 1 of the key of the encryption domain AES256 does not open: " in without.err
    assert "; see to it, then run this again: what is copied stays\n" in without.err
    assert lading("import", "--from", str(mixed), *to_bucket, "--json").document["failed"] == []


def test_what_can_be_opened_no_more_moves_unchecked(lading: Run, mixed: Path, to_bucket: list[str]) -> None:
    """A registry that destroyed a domain can move, and is told what was not looked at."""
    with closing(sqlite3.connect(mixed / "registry.db")) as database, database:
        database.execute("UPDATE encryption_domain SET destroy_at = 1")

    ran = lading("import", "--from", str(mixed), *to_bucket)

    assert ran.code == 0
    assert f"{Digest.of(SEALED)}: it was copied as it is, for it cannot be opened: the keys of " in ran.out
    assert "; 1 were copied unchecked: restart the server with the new store" in ran.out


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
