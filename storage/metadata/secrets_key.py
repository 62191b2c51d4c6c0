"""The secrets key of a registry as its database has it: wrapped, with the name of the root key that wraps it."""

import base64

import orjson
from sqlalchemy import Connection, delete, select, update

from storage.metadata.accounts import add_setting, find_setting
from storage.metadata.database import insert
from storage.metadata.schema import registry_setting
from storage.roots.interface import Wrapped

_NAME = "secrets_key"
_FINGERPRINT = "root_key_fingerprint"


def read_secrets_key(connection: Connection, *, hold: bool = False) -> Wrapped | None:
    """The wrapped secrets key; None before a registry is founded, or while its root key still seals the secrets.

    With `hold`, no root key is rotated until the transaction ends. SQLite has one writer at a time in any case.
    """
    query = select(registry_setting.c.value).where(registry_setting.c.name == _NAME)
    text: str | None = connection.execute(query.with_for_update() if hold else query).scalar_one_or_none()
    if text is None:
        return None
    stored = orjson.loads(text)
    return Wrapped(stored["root"], base64.b64decode(stored["wrapped"]))


def add_secrets_key(connection: Connection, wrapped: Wrapped) -> None:
    """Record the key of a registry that is being founded; raises where there is one."""
    add_setting(connection, _NAME, _text(wrapped))


def replace_secrets_key(connection: Connection, before: Wrapped, after: Wrapped) -> bool:
    """Record how the key is wrapped from now on; False, and nothing done, where it is not as `before` any more."""
    is_as_before = (registry_setting.c.name == _NAME) & (registry_setting.c.value == _text(before))
    return connection.execute(update(registry_setting).where(is_as_before).values(value=_text(after))).rowcount > 0


def read_root_key_fingerprint(connection: Connection) -> str | None:
    """Which root key sealed the secrets itself, in a database that was made before there was a secrets key."""
    return find_setting(connection, _FINGERPRINT)


def adopt_secrets_key(connection: Connection, wrapped: Wrapped) -> None:
    """Record the secrets key of such a database; does nothing where another process was first."""
    row = insert(connection, registry_setting).values(name=_NAME, value=_text(wrapped))
    connection.execute(row.on_conflict_do_nothing())
    connection.execute(delete(registry_setting).where(registry_setting.c.name == _FINGERPRINT))


def _text(wrapped: Wrapped) -> str:
    return orjson.dumps({"root": wrapped.root, "wrapped": base64.b64encode(wrapped.secret).decode()}).decode()
