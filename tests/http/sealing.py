"""What tests of encryption at rest look at: sealed files, their headers, and rows of the database."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any, Final

from storage.encryption.header import MAGIC, Header
from tests.http.admin import done
from tests.http.client import Registry
from tests.http.uploading import stored

SEGMENT: Final = 256 * 1024
LARGE: Final = b"".join(bytes([letter]) * SEGMENT for letter in b"ABC") + b"the end"
TEAM: Final = "alias/team"


def query(root: Path, statement: str, *values: Any) -> list[Any]:
    """Ask or change the database of a registry behind its back."""
    with closing(sqlite3.connect(root / "registry.db")) as database, database:
        return database.execute(statement, values).fetchall()


def domain_id(registry: Registry, name: str) -> bytes:
    ((found,),) = query(registry.root, "SELECT id FROM encryption_domain WHERE name = ?", name)
    return bytes(found)


def sealed_in(path: Path) -> bytes:
    """The id of the domain that a file is sealed in, none for a plain one."""
    content = path.read_bytes()
    return Header.parse(content[:128]).domain_id if content.startswith(MAGIC) else b""


def domains_of_files(registry: Registry) -> list[bytes]:
    """In which domain each stored copy is sealed."""
    return sorted(sealed_in(path) for path in stored(registry))


def plain_anywhere(root: Path, content: bytes) -> list[Path]:
    """Files that hold some bytes as they are."""
    return [path for path in root.rglob("*") if path.is_file() and content in path.read_bytes()]


async def make_team(registry: Registry, name: str) -> None:
    """Make a repository of the domain of a KMS key."""
    await done(registry, "POST", "/repositories", {"name": name, "encryption": {"type": "KMS", "kms_key": TEAM}})


async def destroy_team(registry: Registry) -> None:
    await done(registry, "POST", "/encryption/domains/alias%2Fteam/destruction", {"after_seconds": 3600})


async def keep_team(registry: Registry) -> None:
    await done(registry, "DELETE", "/encryption/domains/alias%2Fteam/destruction")
