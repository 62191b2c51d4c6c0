"""Rewriting what earlier keys of a domain seal, so that only its newest key is needed."""

from registry.core.errors import EncryptionInvalid
from storage.metadata.database import Database


async def begin(database: Database, domain: str) -> None:  # noqa: ARG001  what it will work with
    """Have everything in a domain that is not sealed with its newest key rewritten in the background.

    Raises EncryptionInvalid where that cannot be done.
    """
    raise EncryptionInvalid(
        f"what is stored in {domain} stays sealed with the keys of before, which open it: rotate without --reencrypt"
    )
