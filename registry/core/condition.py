"""Lost updates: what a request expects to find before it changes something (RFC 9110 section 13.1)."""

from dataclasses import dataclass
from typing import Final

from registry.core.errors import ConditionFailed

ANY: Final = "*"
"""Stands for whatever is there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Digests of which one must be that of what is there, and those of which none may be; `*` is any.

    None sets no condition: what names no digest at all is an empty set of wanted ones, which nothing meets.
    """

    wanted: frozenset[str] | None = None
    unwanted: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether it has to be looked at what is there."""
        return self.wanted is not None or bool(self.unwanted)

    def check(self, reference: str, digest: str | None) -> None:
        """Return if what a reference names, or None for nothing, is as expected; raises ConditionFailed."""
        names = set() if digest is None else {ANY, digest}
        if self.wanted is not None and self.wanted.isdisjoint(names):
            raise ConditionFailed("If-Match", reference, digest)
        if not self.unwanted.isdisjoint(names):
            raise ConditionFailed("If-None-Match", reference, digest)


NO_CONDITION: Final = Condition()
