"""The claims of an identity token as condition keys, for trust policies and for what its session may do.

- A claim within another is named with a slash: `kubernetes.io/namespace`.
- No two claims share a key, so that none that somebody may choose can stand in for one that its issuer vouches for.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from auth.errors import WebIdentityInvalid
from auth.principals import Fact

CLAIM_PREFIX: Final = "jwt:"
"""How the condition keys of claims begin."""

_DEEPEST: Final = 4
_MOST_FACT_BYTES: Final = 4096


def facts_of_claims(claims: Mapping[str, Any]) -> dict[str, Fact]:
    """Every claim that a condition can look at: texts, numbers, booleans, and lists of these.

    Raises WebIdentityInvalid where two claims would have one key, whose case does not matter.
    """
    facts: dict[str, Fact] = {}
    seen: set[str] = set()
    for name, value in _flatten(claims, "", _DEEPEST):
        if name.lower() in seen:
            message = "two of its claims go by one name"
            raise WebIdentityInvalid(message)
        seen.add(name.lower())
        facts[name] = value
    return facts


def bound_facts(facts: Mapping[str, Fact]) -> tuple[tuple[str, Fact], ...]:
    """What a session keeps of its claims, 4 KiB at most, as condition keys of its own: `jwt:<claim>`.

    The longest lists are left out until the rest fits. Raises WebIdentityInvalid where it never does: no single value
    that a policy may deny is lost.
    """
    kept = {f"{CLAIM_PREFIX}{name}": value for name, value in facts.items()}
    size = sum(_size(name, value) for name, value in kept.items())
    lists = [name for name, value in kept.items() if isinstance(value, tuple)]
    for name in sorted(lists, key=lambda each: _size(each, kept[each]), reverse=True):
        if size <= _MOST_FACT_BYTES:
            break
        size -= _size(name, kept.pop(name))
    if size > _MOST_FACT_BYTES:
        message = "its claims are longer than a session can keep"
        raise WebIdentityInvalid(message)
    return tuple(sorted(kept.items()))


def _flatten(claims: Mapping[str, Any], prefix: str, depth: int) -> Iterator[tuple[str, Fact]]:
    for name, value in claims.items():
        if isinstance(value, dict):
            if depth > 1:
                yield from _flatten(value, f"{prefix}{name}/", depth - 1)
        elif isinstance(value, list):
            texts = tuple(text for item in value if (text := _text(item)) is not None)
            if texts and len(texts) == len(value):
                yield f"{prefix}{name}", texts
        elif (text := _text(value)) is not None:
            yield f"{prefix}{name}", text


def _text(value: object) -> str | None:
    """A single value as conditions compare it."""
    match value:
        case str():
            return value
        case bool() | int() | float():
            return json.dumps(value)
        case _:
            return None


def _size(name: str, value: Fact) -> int:
    """The bytes that a fact takes in a token of the session."""
    return len(json.dumps([name, value], separators=(",", ":")))
