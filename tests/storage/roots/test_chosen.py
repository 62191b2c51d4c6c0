"""The root keys of a registry: one place wraps, every place that is configured unwraps."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from storage.errors import KeyFileInvalid, KeyUnavailable
from storage.keyfile import fingerprint, load_root_keys, make_root_key
from storage.roots.chosen import ChosenRoots
from storage.roots.held import EnvironmentKeys, FileKeys, HeldKeys
from storage.roots.interface import Wrapped
from storage.roots.kms import KmsKeys, KmsPlace
from tests.kms.server import ACCESS_KEY, REGION, SECRET_KEY, Key, KmsServer

CONTEXT = {"registry": "one"}
SECRET = b"s" * 32


@pytest.fixture
def server() -> Iterator[KmsServer]:
    with KmsServer() as server:
        yield server


@pytest.fixture
def key(server: KmsServer) -> Key:
    return server.create_key()


@pytest.fixture
def kms(server: KmsServer, key: Key) -> Iterator[KmsKeys]:
    def session() -> Any:
        return boto3.session.Session(aws_access_key_id=ACCESS_KEY, aws_secret_access_key=SECRET_KEY)

    keys = KmsKeys(KmsPlace(key.id, server.url, REGION), session)
    yield keys
    keys.close()


def names(directory: Path) -> list[str]:
    return [each.name for each in directory.iterdir()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


@pytest.fixture
def held(path: Path) -> HeldKeys:
    return HeldKeys(FileKeys(path), EnvironmentKeys(None))


async def test_registry_moves_to_kms_and_back(path: Path, held: HeldKeys, kms: KmsKeys, key: Key) -> None:
    """Whatever wraps now, what was wrapped before opens."""
    make_root_key(path)
    on_disk, in_kms = ChosenRoots(held, kms, kms_wraps=False), ChosenRoots(held, kms, kms_wraps=True)

    before, after = await on_disk.wrap(SECRET, CONTEXT), await in_kms.wrap(SECRET, CONTEXT)

    assert before.root.startswith("local:")
    assert after.root == await in_kms.current() == f"aws-kms:{key.arn}"
    for roots in (on_disk, in_kms):
        assert await roots.unwrap(before, CONTEXT) == await roots.unwrap(after, CONTEXT) == SECRET


async def test_kms_makes_and_needs_no_file(tmp_path: Path, held: HeldKeys, kms: KmsKeys) -> None:
    roots = ChosenRoots(held, kms, kms_wraps=True)

    await roots.make()
    wrapped = await roots.wrap(SECRET, CONTEXT)

    assert await roots.unwrap(wrapped, CONTEXT) == SECRET
    assert names(tmp_path) == []


async def test_key_of_a_domain_counts_where_kms_wraps(
    path: Path, held: HeldKeys, kms: KmsKeys, server: KmsServer
) -> None:
    """Elsewhere such a domain has a key of its own all the same, wrapped as every other."""
    make_root_key(path)
    other = server.create_key()

    in_kms = await ChosenRoots(held, kms, kms_wraps=True).wrap(SECRET, CONTEXT, kms_key=other.id)
    on_disk = await ChosenRoots(held, kms, kms_wraps=False).wrap(SECRET, CONTEXT, kms_key=other.id)

    assert in_kms.root == f"aws-kms:{other.arn}"
    assert on_disk.root.startswith("local:")


async def test_kms_that_is_not_configured_is_named(path: Path, held: HeldKeys) -> None:
    make_root_key(path)
    wrapped = Wrapped("aws-kms:arn:aws:kms:eu-west-1:1:key/2", b"")

    with pytest.raises(KeyUnavailable) as raised:
        await ChosenRoots(held, None, kms_wraps=False).unwrap(wrapped, CONTEXT)

    assert raised.value.in_full == (
        "a key that this registry needs is not configured: "
        "a key is wrapped by the KMS key arn:aws:kms:eu-west-1:1:key/2: set encryption.kms_key_id"
    )


async def test_place_of_a_later_version_is_named(held: HeldKeys) -> None:
    with pytest.raises(KeyUnavailable) as raised:
        await ChosenRoots(held, None, kms_wraps=False).unwrap(Wrapped("vault:lading", b""), CONTEXT)

    assert "a key is wrapped by vault:lading, which this version does not know" in raised.value.words


async def test_file_is_made_where_it_wraps(path: Path, held: HeldKeys) -> None:
    await ChosenRoots(held, None, kms_wraps=False).make()

    assert len(load_root_keys(path)) == 1


async def test_bare_key_that_is_gone_says_so(path: Path, held: HeldKeys, kms: KmsKeys) -> None:
    """Who moves to KMS before the first start of this version keeps the file until then."""
    with pytest.raises(KeyFileInvalid, match=f"key file {path} is missing"):
        await ChosenRoots(held, kms, kms_wraps=True).bare(fingerprint(bytes(32)))
