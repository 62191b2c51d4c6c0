"""What every source of a root key can do: wrap the keys that the database keeps, and unwrap them again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Wrapped:
    """A secret that only one root key can give back; `root` names that key and tells nothing about it.

    A root is `local:` or `environment:` and the key's fingerprint, or `aws-kms:` and the key's ARN.
    """

    root: str
    secret: bytes = field(repr=False)


class RootKeys(Protocol):
    """The root keys that the settings give: one that wraps from now on, and others that still unwrap.

    `context` is bound to what is wrapped: it must be the same when it is unwrapped. It is no secret.
    """

    async def current(self) -> str:
        """The root that `wrap` will name without `kms_key`; raises as `wrap` does."""

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:
        """Wrap a secret; with `kms_key`, by that key where a key management service wraps.

        Raises KeyFileInvalid or KeyUnavailable.
        """

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """The secret; raises KeyFileInvalid for a key that is not at hand, KeyUnavailable, or WrongKey."""


class FoundingKeys(RootKeys, Protocol):
    """Root keys as the start of a registry needs them."""

    async def make(self) -> None:
        """See that there is a key to wrap with: the file is made where it is missing and nothing else wraps.

        Only for a registry that is being founded. Raises KeyFileInvalid or OSError.
        """

    async def bare(self, fingerprint: str) -> bytes:
        """The root key itself, for a database in which it sealed the secrets; raises KeyFileInvalid."""
