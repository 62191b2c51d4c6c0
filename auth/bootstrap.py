"""The first start of a registry: drawing who it is, once, and finding it again at every later start.

- Everything is drawn in one write transaction: a registry is there whole or not at all.
- When several processes start on an empty database, one of them draws and all go on with what it drew.
- A database never starts without the root key that wraps its secrets key.
"""

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from auth.keys import SigningKey, generate_signing_key, open_private_key, seal_private_key
from auth.passwords import Passwords, generate_password
from auth.principals import PrincipalKind
from auth.secrets_key import SECRETS_KEY_BYTES, adopt_root_key, unwrap_secrets_key, wrap_secrets_key
from storage.errors import DatabaseUnavailable, SchemaOutdated
from storage.metadata.accounts import add_account, add_setting, find_setting
from storage.metadata.database import Database
from storage.metadata.principals import NewPrincipal, add_principal
from storage.metadata.secrets_key import add_secrets_key, read_root_key_fingerprint, read_secrets_key
from storage.metadata.signing_keys import StoredSigningKey, add_signing_key, list_signing_keys
from storage.roots.interface import FoundingKeys, Wrapped

if TYPE_CHECKING:
    from sqlalchemy import Connection

ROOT_USER: Final = "admin"
"""The name of the account's root user."""

_ACCOUNT_ID = "account_id"
_REGISTRY_ID = "registry_id"


@dataclass(frozen=True, slots=True)
class Drawn:
    """What chance decides at the first start."""

    account_id: str
    registry_id: str
    password: str = field(repr=False)
    signing_key: SigningKey
    secrets_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Prepared:
    """What a registry is, ready to serve; `generated_password` is there only when this call made it.

    Signing keys come oldest first; the secrets key seals whatever secrets are made later.
    """

    account_id: str
    registry_id: str
    signing_keys: tuple[SigningKey, ...]
    secrets_key: bytes = field(repr=False)
    generated_password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Stored:
    account_id: str
    registry_id: str
    secrets_key: Wrapped | None
    root_key_fingerprint: str | None
    """Only where there is no secrets key yet."""
    signing_keys: list[StoredSigningKey]


@dataclass(frozen=True, slots=True)
class _Founding:
    """The first rows of a registry."""

    account_id: str
    registry_id: str
    secrets_key: Wrapped
    admin: NewPrincipal
    signing_key: StoredSigningKey


def draw() -> Drawn:
    """Draw an account id of 12 digits as AWS has them, a registry id, a password, a signing key and a secrets key."""
    account_id = f"{secrets.randbelow(9 * 10**11) + 10**11}"
    secrets_key = secrets.token_bytes(SECRETS_KEY_BYTES)
    return Drawn(account_id, str(uuid.uuid4()), generate_password(), generate_signing_key(), secrets_key)


async def prepare(
    database: Database,
    roots: FoundingKeys,
    *,
    passwords: Passwords,
    admin_password: str | None,
    now: float,
    draw: Callable[[], Drawn] = draw,
) -> Prepared:
    """Make the registry in an empty database, or find the one that is there.

    `admin_password` counts only in the first case, and an empty one as none: then one is drawn. Raises KeyFileInvalid
    when the root key is missing, unsafe, or not the one of this database, and KeyUnavailable.
    """
    generated_password = None
    stored = await database.read(_read)
    if stored is None:
        await roots.make()
        drawn = draw()
        password_hash = await passwords.hash(admin_password or drawn.password)
        wrapped = await wrap_secrets_key(drawn.secrets_key, drawn.registry_id, roots)
        is_ours = await _found(database, _founding(drawn, wrapped, password_hash, now), now)
        generated_password = drawn.password if is_ours and not admin_password else None
        stored = await database.read(_read)
    return await _open(database, stored, roots, generated_password)


async def registry_id_of(database: Database) -> str | None:
    """The id of the registry that a database holds, None before it is founded."""
    return await database.read(lambda connection: find_setting(connection, _REGISTRY_ID))


async def open_registry(database: Database, roots: FoundingKeys) -> Prepared:
    """Find the registry that a database holds, making none.

    A database of before the secrets key gets one, wrapped. Raises KeyFileInvalid, KeyUnavailable or SchemaOutdated.
    """
    stored = await database.read(_read)
    if stored is None:
        message = "the database holds no registry yet: start `lading serve` once"
        raise SchemaOutdated(message)
    return await _open(database, stored, roots, None)


async def _found(database: Database, founding: _Founding, now: float) -> bool:
    """Write the first rows; False when another process did so first."""
    try:
        await database.write(lambda connection: _write(connection, founding, now))
    except DatabaseUnavailable:
        # The row of the secrets key is there already for the loser of a race: both databases refuse a second one.
        if await database.read(_read) is None:
            raise
        return False
    return True


def _founding(drawn: Drawn, secrets_key: Wrapped, password_hash: str, now: float) -> _Founding:
    key = drawn.signing_key
    return _Founding(
        account_id=drawn.account_id,
        registry_id=drawn.registry_id,
        secrets_key=secrets_key,
        admin=NewPrincipal(drawn.account_id, ROOT_USER, PrincipalKind.ROOT.value, password_hash),
        signing_key=StoredSigningKey(key.kid, key.algorithm, seal_private_key(key, drawn.secrets_key), now),
    )


def _write(connection: "Connection", founding: _Founding, now: float) -> None:
    # First the row that a second founder collides with: it has written nothing else yet, and undoes nothing.
    add_secrets_key(connection, founding.secrets_key)
    add_setting(connection, _ACCOUNT_ID, founding.account_id)
    add_setting(connection, _REGISTRY_ID, founding.registry_id)
    add_account(connection, founding.account_id, now)
    add_principal(connection, founding.admin, now)
    add_signing_key(connection, founding.signing_key)


def _read(connection: "Connection") -> _Stored | None:
    account_id, registry_id = (find_setting(connection, name) for name in (_ACCOUNT_ID, _REGISTRY_ID))
    # In this order: between the two another process may put the one in the place of the other.
    fingerprint, secrets_key = read_root_key_fingerprint(connection), read_secrets_key(connection)
    if account_id is None or registry_id is None or (secrets_key is None and fingerprint is None):
        return None
    return _Stored(account_id, registry_id, secrets_key, fingerprint, list_signing_keys(connection))


async def _open(
    database: Database, stored: _Stored | None, roots: FoundingKeys, generated_password: str | None
) -> Prepared:
    if stored is None:
        message = "the metadata database lost what was just written to it"
        raise DatabaseUnavailable(message)
    secrets_key = await _secrets_key_of(database, stored, roots)
    signing_keys = tuple(open_private_key(key.kid, key.sealed_private_key, secrets_key) for key in stored.signing_keys)
    return Prepared(stored.account_id, stored.registry_id, signing_keys, secrets_key, generated_password)


async def _secrets_key_of(database: Database, stored: _Stored, roots: FoundingKeys) -> bytes:
    if stored.secrets_key is not None:
        return await unwrap_secrets_key(stored.secrets_key, stored.registry_id, roots)
    return await adopt_root_key(database, stored.root_key_fingerprint or "", stored.registry_id, roots)
