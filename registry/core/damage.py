"""Stored objects that turn out to be bad when somebody reads them, and who hears of it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from registry.core.metrics import Metric
from registry.core.names import RepositoryName
from storage.errors import SealBroken, StoredBytesMissing

DAMAGED_OBJECTS: Final = Metric(
    "lading_damaged_objects_total",
    "Stored objects that were found damaged when they were read, and are not served any more.",
    "counter",
    labels=("kind",),
)


class DamageKind(StrEnum):
    """What is wrong with an object."""

    MISSING = "missing"
    """Its bytes are gone, or are not as many as they were."""
    SEAL = "seal"
    """It does not open, or is not the one that belongs in its place."""


@dataclass(frozen=True, slots=True)
class Damage:
    """An object that was found bad, and the repository that was asked for it."""

    repository: RepositoryName
    digest: str
    kind: DamageKind
    reason: str

    @classmethod
    def seen(cls, repository: RepositoryName, digest: str, error: SealBroken | StoredBytesMissing) -> "Damage":
        """What an error says of an object."""
        if isinstance(error, SealBroken):
            return cls(repository, digest, DamageKind.SEAL, error.reason)
        return cls(repository, digest, DamageKind.MISSING, "its bytes are gone, or are not as many as they were")


HearOfDamage = Callable[[Damage], Awaitable[None]]
"""Hears of each object once, when it has just been taken out of service."""


async def unheard(_damage: Damage) -> None:
    """Nobody hears of it: for who reads once and tells by itself."""
