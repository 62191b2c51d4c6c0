"""Small blobs that are asked for again and again: their bytes are remembered, and the file is looked at each time."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from storage.blobs.filesystem import FilesystemStore
from tests.http.client import Registry
from tests.http.documents import image, sha256
from tests.http.kept_connection import LAYER, Kept, kept
from tests.http.sealing import destroy_team, keep_team, make_team
from tests.http.trail import recorded
from tests.http.uploading import stored

_BLOB = f"/v2/team/app/blobs/{sha256(LAYER)}"
_VAULT = f"/v2/vault/blobs/{sha256(LAYER)}"
_PLAIN = pytest.mark.settings(encryption={"mode": "off"})
_BOTH = pytest.mark.parametrize("mode", [pytest.param("off", marks=_PLAIN), "local"])


async def _remembered(connection: Kept, path: str = _BLOB) -> None:
    """Have it read in the ordinary way, and then where the request arrives."""
    assert [(await connection.took("GET", path))[1] for _ in range(3)] == [False, True, True]


def _file(registry: Registry) -> Path:
    """The file of the layer, beside that of the configuration: plain or sealed, the longer one."""
    return max(stored(registry), key=lambda path: path.stat().st_size)


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the files that were opened."""
    keys: list[str] = []
    open_really: Callable[[FilesystemStore, str], int] = FilesystemStore.open

    def counted(store: FilesystemStore, key: str) -> int:
        keys.append(key)
        return open_really(store, key)

    monkeypatch.setattr(FilesystemStore, "open", counted)
    return keys


@_BOTH
async def test_file_is_opened_no_more(connection: Kept, opened: list[str], mode: str) -> None:
    """Whether it is sealed or not."""
    await _remembered(connection)
    opened.clear()

    reply, took = await connection.took("GET", _BLOB)

    assert (reply.body, took, opened) == (LAYER, True, []), mode


@_PLAIN
async def test_file_that_was_written_to_is_read_anew(registry: Registry, connection: Kept) -> None:
    """Though it is as long as before, and says that it was not touched since."""
    await _remembered(connection)
    file, other = _file(registry), LAYER.swapcase()
    before = file.stat()
    file.chmod(0o600)
    file.write_bytes(other)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))

    assert (await connection.ask("GET", _BLOB)).body == other


@_BOTH
async def test_file_that_went_is_missed(registry: Registry, connection: Kept, mode: str) -> None:
    """And pushed again, it is there again."""
    await _remembered(connection)
    _file(registry).unlink()

    assert (await connection.took("GET", _BLOB))[0].status == 404, mode
    assert len(await recorded(registry.root, "damage")) == 1
    await registry.push_blob("team/app", LAYER)
    assert (await connection.ask("GET", _BLOB)).body == LAYER


async def test_sealed_file_that_was_damaged_is_found_out(registry: Registry, connection: Kept) -> None:
    """What was read of it before is served no more."""
    await _remembered(connection)
    file = _file(registry)
    content = bytearray(file.read_bytes())
    content[200] ^= 1
    file.chmod(0o600)
    file.write_bytes(content)

    assert (await connection.took("GET", _BLOB))[0].status == 404
    (event,) = await recorded(registry.root, "damage")
    assert event["resource"].endswith("repository/team/app")


async def test_key_is_needed_for_what_is_remembered(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    """While it waits for its destruction, nobody reads what it seals."""
    await make_team(registry, "vault")
    await registry.push_blob("vault", LAYER)
    async with kept(registry, await registry.token("repository:vault:pull"), monkeypatch) as connection:
        await _remembered(connection, _VAULT)
        await destroy_team(registry)

        assert (await connection.ask("GET", _VAULT)).status == 403

        await keep_team(registry)
        assert (await connection.ask("GET", _VAULT)).body == LAYER


async def test_blob_that_was_deleted_is_gone(registry: Registry, connection: Kept) -> None:
    """At the next request, whatever is remembered of it."""
    await _remembered(connection)
    await registry.delete(f"/v2/team/app/manifests/{sha256(image((LAYER,)))}")
    await registry.delete(_BLOB)

    assert (await connection.ask("GET", _BLOB)).status == 404
