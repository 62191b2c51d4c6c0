"""Lost updates: what a request expects to find before it changes something (RFC 9110 section 13.1)."""

from dataclasses import dataclass
from typing import Final

from registry.core.errors import ConditionFailed

ANY: Final = "*"
"""Stands for whatever is there."""


@dataclass(frozen=True, slots=True)
class Condition:
    """Entity tags of which one must be that of what is there, and those of which none may be; `*` is any.

    No tags set no condition.
    """

    wanted: frozenset[str] = frozenset()
    unwanted: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        """Whether it has to be looked at what is there."""
        return bool(self.wanted or self.unwanted)

    def broken_by(self, tag: str | None) -> str | None:
        """The header that does not hold of what has this tag, or None for nothing; None where both hold."""
        tags = set() if tag is None else {ANY, tag}
        if self.wanted and self.wanted.isdisjoint(tags):
            return "If-Match"
        return None if self.unwanted.isdisjoint(tags) else "If-None-Match"

    def check(self, reference: str, digest: str | None) -> None:
        """Return if it holds of what a reference names, whose tag is its digest in quotes; raises ConditionFailed."""
        header = self.broken_by(None if digest is None else f'"{digest}"')
        if header is not None:
            raise ConditionFailed(header, reference, digest)


NO_CONDITION: Final = Condition()
