"""The first start of a registry: drawing who it is, once, and finding it again at every later start.

- Everything is drawn in one write transaction: a registry is there whole or not at all.
- When several processes start on an empty database, one of them draws and all go on with what it drew.
- A database never starts without the root key that it was made with.
"""

import asyncio
import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from auth.keys import SigningKey, generate_signing_key, open_private_key, seal_private_key
from auth.passwords import Passwords, generate_password
from auth.principals import PrincipalKind
from storage.errors import DatabaseUnavailable, KeyFileInvalid, SchemaOutdated
from storage.keyfile import fingerprint, load_or_create_root_key
from storage.metadata.accounts import add_account, add_setting, find_setting
from storage.metadata.database import Database
from storage.metadata.principals import NewPrincipal, add_principal
from storage.metadata.signing_keys import StoredSigningKey, add_signing_key, list_signing_keys

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOT_USER: Final = "admin"
"""The name of the account's root user."""

_ACCOUNT_ID = "account_id"
_REGISTRY_ID = "registry_id"
_FINGERPRINT = "root_key_fingerprint"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What chance decides at the first start."""

    account_id: str
    registry_id: str
    password: str = field(repr=False)
    signing_key: SigningKey


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a registry is, ready to serve; `generated_password` is there only when this call made it.

    Signing keys come oldest first; the root key seals whatever secrets are made later.
    """

    account_id: str
    registry_id: str
    signing_keys: tuple[SigningKey, ...]
    root_key: bytes = field(repr=False)
    generated_password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Stored:
    account_id: str
    registry_id: str
    fingerprint: str
    signing_keys: list[StoredSigningKey]


@dataclass(frozen=True, slots=True)
class _Founding:
    """The first rows of a registry."""

    account_id: str
    registry_id: str
    fingerprint: str
    admin: NewPrincipal
    signing_key: StoredSigningKey


def draw() -> Drawn:
    """Draw an account id of 12 digits as AWS has them, a registry id, a password and a signing key."""
    account_id = f"{secrets.randbelow(9 * 10**11) + 10**11}"
    return Drawn(account_id, str(uuid.uuid4()), generate_password(), generate_signing_key())


async def prepare(
    database: Database,
    root_key_path: Path,
    *,
    passwords: Passwords,
    admin_password: str | None,
    now: float,
    draw: Callable[[], Drawn] = draw,
) -> Prepared:
    """Make the registry in an empty database, or find the one that is there.

    `admin_password` counts only in the first case, and an empty one as none: then one is drawn. Raises KeyFileInvalid
    when the root key is missing, unsafe, or not the one of this database.
    """
    generated_password = None
    stored = await database.read(_read)
    root_key = await asyncio.to_thread(load_or_create_root_key, root_key_path, create=stored is None)
    if stored is None:
        drawn = draw()
        password_hash = await passwords.hash(admin_password or drawn.password)
        is_ours = await _found(database, _founding(drawn, root_key, password_hash, now), now)
        generated_password = drawn.password if is_ours and not admin_password else None
        stored = await database.read(_read)
    return _open(stored, root_key, root_key_path, generated_password)


async def registry_id_of(database: Database) -> str | None:
    """The id of the registry that a database holds, None before it is founded."""
    return await database.read(lambda connection: find_setting(connection, _REGISTRY_ID))


async def open_registry(database: Database, root_key_path: Path) -> Prepared:
    """Find the registry that a database holds, making nothing; raises KeyFileInvalid or SchemaOutdated."""
    stored = await database.read(_read)
    if stored is None:
        message = "the database holds no registry yet: start `lading serve` once"
        raise SchemaOutdated(message)
    root_key = await asyncio.to_thread(load_or_create_root_key, root_key_path, create=False)
    return _open(stored, root_key, root_key_path, None)


async def _found(database: Database, founding: _Founding, now: float) -> bool:
    """Write the first rows; False when another process did so first."""
    try:
        await database.write(lambda connection: _write(connection, founding, now))
    except DatabaseUnavailable:
        # The fingerprint's row is there already for the loser of a race: both databases refuse a second one.
        if await database.read(_read) is None:
            raise
        return False
    return True


def _founding(drawn: Drawn, root_key: bytes, password_hash: str, now: float) -> _Founding:
    key = drawn.signing_key
    return _Founding(
        account_id=drawn.account_id,
        registry_id=drawn.registry_id,
        fingerprint=fingerprint(root_key),
        admin=NewPrincipal(drawn.account_id, ROOT_USER, PrincipalKind.ROOT.value, password_hash),
        signing_key=StoredSigningKey(key.kid, key.algorithm, seal_private_key(key, root_key), now),
    )


def _write(connection: "Connection", founding: _Founding, now: float) -> None:
    # First the row that a second founder collides with: it has written nothing else yet, and undoes nothing.
    add_setting(connection, _FINGERPRINT, founding.fingerprint)
    add_setting(connection, _ACCOUNT_ID, founding.account_id)
    add_setting(connection, _REGISTRY_ID, founding.registry_id)
    add_account(connection, founding.account_id, now)
    add_principal(connection, founding.admin, now)
    add_signing_key(connection, founding.signing_key)


def _read(connection: "Connection") -> _Stored | None:
    account_id, registry_id, stored_fingerprint = (
        find_setting(connection, name) for name in (_ACCOUNT_ID, _REGISTRY_ID, _FINGERPRINT)
    )
    if account_id is None or registry_id is None or stored_fingerprint is None:
        return None
    return _Stored(account_id, registry_id, stored_fingerprint, list_signing_keys(connection))


def _open(stored: _Stored | None, root_key: bytes, path: Path, generated_password: str | None) -> Prepared:
    if stored is None:
        message = "the metadata database lost what was just written to it"
        raise DatabaseUnavailable(message)
    if stored.fingerprint != fingerprint(root_key):
        message = f"key file {path} is not the one this database was made with: put that one back, or share it"
        raise KeyFileInvalid(message)
    signing_keys = tuple(open_private_key(key.kid, key.sealed_private_key, root_key) for key in stored.signing_keys)
    return Prepared(stored.account_id, stored.registry_id, signing_keys, root_key, generated_password)
