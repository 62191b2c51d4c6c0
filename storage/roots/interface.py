"""What every source of a root key can do: wrap the keys that the database keeps, and unwrap them again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A secret that only one root key can give back; `root` names that key and tells nothing about it."""

    root: str
    secret: bytes = field(repr=False)


class RootKeys(Protocol):
    """The root keys that the settings give: one that wraps from now on, and others that still unwrap.

    `context` is bound to what is wrapped: it must be the same when it is unwrapped. It is no secret.
    """

    @property
    def current(self) -> str:
        """The name of the key that wraps."""

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:
        """Wrap a secret; with `kms_key`, by that key of the key management service where there is one.

        Raises KeyFileInvalid or KeyUnavailable.
        """

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """The secret; raises KeyFileInvalid for a key that is not at hand, KeyUnavailable, or WrongKey."""
