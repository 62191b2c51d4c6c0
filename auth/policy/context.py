"""The facts about one request that conditions and variables look at."""

from collections.abc import Iterable, Mapping
from typing import Final


class Context:
    """Condition keys and their values; the case of a key does not matter, and a key without values is absent.

    Keys that differ only in case hold their values together.
    """

    __slots__ = ("_values",)

    def __init__(self, facts: Mapping[str, str | Iterable[str]]) -> None:
        values: dict[str, tuple[str, ...]] = {}
        for key, given in facts.items():
            several = (given,) if isinstance(given, str) else tuple(given)
            if several:
                lowered = key.lower()
                values[lowered] = values[lowered] + several if lowered in values else several
        self._values = values

    def values(self, key: str) -> tuple[str, ...]:
        """Every value of a key written in lower case; none if the request lacks it."""
        return self._values.get(key, ())

    def value(self, key: str) -> str | None:
        """The one value of a key written in lower case; None if there is none or more than one.

        A multivalued key cannot stand in a variable (IAM User Guide, "Variables and tags").
        """
        values = self._values.get(key, ())
        return values[0] if len(values) == 1 else None


NO_CONTEXT: Final = Context({})
"""A request that carries no fact at all."""
