"""Where the settings let the root key come from, from the first start on."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest
from sqlalchemy import create_engine

from auth.bootstrap import Prepared, prepare
from registry.config import Settings
from registry.databases import open_databases
from registry.preflight import problems
from registry.preparation import Preparation, StartFailed
from registry.roots import open_roots
from storage.errors import KeyFileInvalid, KeyUnavailable
from storage.keyfile import fingerprint
from storage.metadata import schema
from tests.http.cheap_passwords import CheapPasswords
from tests.kms.server import ACCESS_KEY, REGION, SECRET_KEY, Key, KmsServer

ONE = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
TWO = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="
KEY_ONE = bytes(range(32))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A data directory with an empty database."""
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    schema.REGISTRY.create_all(engine)
    engine.dispose()
    return tmp_path


def settings(root: Path, **encryption: Any) -> Settings:
    return Settings.model_validate({"storage": {"root": root}, "encryption": encryption})


async def start(given: Settings) -> Prepared:
    """The first start, or a later one."""
    databases, passwords = open_databases(given), CheapPasswords()
    try:
        with open_roots(given) as roots:
            return await prepare(databases.registry, roots, passwords=passwords, admin_password="secret", now=1.0)
    finally:
        passwords.close()
        await databases.close()


def wrapped_by(root: Path) -> str:
    """What wraps the secrets key."""
    with sqlite3.connect(root / "registry.db") as database:
        row = database.execute("SELECT value FROM registry_setting WHERE name = 'secrets_key'").fetchone()[0]
    database.close()
    wrapping: str = json.loads(row)["root"]
    return wrapping


def key_files(root: Path) -> list[Path]:
    return list(root.glob("*.key"))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[KmsServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_REGION", REGION)
    with KmsServer() as server:
        yield server


def in_kms(server: KmsServer, key: Key) -> dict[str, str]:
    return {"mode": "aws-kms", "kms_key_id": key.arn, "kms_endpoint_url": server.url}


@pytest.mark.parametrize("mode", ["local", "off"])
async def test_key_file_is_made_at_the_first_start(root: Path, mode: str) -> None:
    """Where content is not encrypted, the registry's own secrets are."""
    await start(settings(root, mode=mode))

    assert key_files(root) == [root / "root.key"]
    assert wrapped_by(root).startswith("local:")


async def test_environment_needs_no_file(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_ROOT_KEY", ONE)

    await start(settings(root, mode="environment"))

    assert key_files(root) == []
    assert wrapped_by(root) == f"environment:{fingerprint(KEY_ONE)}"


async def test_environment_takes_the_next_key_before_the_last_one(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_ROOT_KEY", ONE)
    made = await start(settings(root, mode="environment"))
    monkeypatch.setenv("LADING_ROOT_KEY", f"{TWO},{ONE}")

    assert (await start(settings(root, mode="environment"))).secrets_key == made.secrets_key


async def test_environment_without_its_key_stops_the_start(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_ROOT_KEY", ONE)
    await start(settings(root, mode="environment"))
    monkeypatch.setenv("LADING_ROOT_KEY", TWO)

    with pytest.raises(KeyFileInvalid, match="LADING_ROOT_KEY is not the one this database was made with") as raised:
        await start(settings(root, mode="environment"))
    assert TWO not in str(raised.value)


async def test_registry_moves_from_the_file_to_the_environment(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same key, in another place: nothing has to be wrapped again."""
    made = await start(settings(root, mode="local"))
    monkeypatch.setenv("LADING_ROOT_KEY", take_key(root))

    assert (await start(settings(root, mode="environment"))).secrets_key == made.secrets_key
    assert key_files(root) == []


def take_key(root: Path) -> str:
    text = (root / "root.key").read_text().strip()
    (root / "root.key").unlink()
    return text


async def test_kms_needs_no_file(root: Path, server: KmsServer) -> None:
    key = server.create_key()
    given = settings(root, **in_kms(server, key))

    made = await start(given)

    assert key_files(root) == []
    assert wrapped_by(root) == f"aws-kms:{key.arn}"
    context = server.asked[-1].document["EncryptionContext"]
    assert context == {"registry": made.registry_id, "purpose": "secrets-key"}


async def test_registry_moves_from_kms_to_a_file(root: Path, server: KmsServer) -> None:
    """What KMS wrapped opens as long as KMS is named."""
    key = server.create_key()
    made = await start(settings(root, **in_kms(server, key)))

    assert (await start(settings(root, **in_kms(server, key) | {"mode": "local"}))).secrets_key == made.secrets_key


def test_start_says_in_full_why_there_is_no_key(root: Path) -> None:
    """Whoever starts the server hears what a client does not."""

    async def fail(_: Settings) -> NoReturn:
        raise KeyUnavailable("the key management service refuses a key", "allow kms:Decrypt")

    with pytest.raises(StartFailed, match=r"^the key management service refuses a key: allow kms:Decrypt$"):
        Preparation(settings(root), fail).result()


@pytest.mark.parametrize(
    ("variable", "sentence"),
    [
        (None, "encryption.mode: LADING_ROOT_KEY is not set: set it to 32 bytes in base64"),
        ("canary", "encryption.mode: LADING_ROOT_KEY does not hold 32 bytes in base64"),
    ],
)
def test_variable_is_checked_before_a_start(
    root: Path, monkeypatch: pytest.MonkeyPatch, variable: str | None, sentence: str
) -> None:
    monkeypatch.delenv("LADING_ROOT_KEY", raising=False)
    if variable is not None:
        monkeypatch.setenv("LADING_ROOT_KEY", variable)

    (problem,) = problems(settings(root, mode="environment"))

    assert problem.startswith(sentence)
    assert "canary" not in problem
