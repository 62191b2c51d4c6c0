"""The secrets key: 32 random bytes that seal the secrets of a registry, and are wrapped by the root key.

Another root key wraps it again, and nothing that it sealed has to be touched.
"""

from typing import Final

from storage.encryption.contexts import secrets_key_context
from storage.errors import KeyFileInvalid, WrongKey
from storage.metadata.database import Database
from storage.metadata.secrets_key import adopt_secrets_key
from storage.roots.interface import FoundingKeys, RootKeys, Wrapped

SECRETS_KEY_BYTES: Final = 32


async def wrap_secrets_key(key: bytes, registry_id: str, roots: RootKeys) -> Wrapped:
    """Wrap it with the root key of now; raises KeyFileInvalid or KeyUnavailable."""
    return await roots.wrap(key, secrets_key_context(registry_id))


async def unwrap_secrets_key(wrapped: Wrapped, registry_id: str, roots: RootKeys) -> bytes:
    """Have it from the root key; raises KeyFileInvalid for a key that is missing or wrong, or KeyUnavailable."""
    try:
        return await roots.unwrap(wrapped, secrets_key_context(registry_id))
    except WrongKey as error:
        message = (
            f"{wrapped.root} does not open the secrets key of this registry ({registry_id}): "
            "put back the database, or the key, that it was made with"
        )
        raise KeyFileInvalid(message) from error


async def rewrap_secrets_key(wrapped: Wrapped, registry_id: str, roots: RootKeys) -> Wrapped:
    """The same key, wrapped with the root key of now; `replace_secrets_key` records it. Raises as the two above do."""
    return await wrap_secrets_key(await unwrap_secrets_key(wrapped, registry_id, roots), registry_id, roots)


async def adopt_root_key(database: Database, fingerprint: str, registry_id: str, roots: FoundingKeys) -> bytes:
    """Go on with what an earlier version sealed under the root key itself: its bytes become the secrets key.

    Raises KeyFileInvalid where that root key is not at hand, KeyUnavailable, or DatabaseUnavailable.
    """
    key = await roots.bare(fingerprint)
    wrapped = await wrap_secrets_key(key, registry_id, roots)
    await database.write(lambda connection: adopt_secrets_key(connection, wrapped))
    return key
