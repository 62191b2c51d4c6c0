"""The text of patterns: literals, wildcards and policy variables, and how they match when a request fills them in.

- A value that a variable brings is literal: a user named `*` matches nothing but the name `*`.
- A variable without a value matches nothing (IAM User Guide, "Policy variables with no value").
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final

from auth.policy.context import Context


class Wild(Enum):
    """A wildcard: any run of characters, or any one."""

    RUN = "*"
    ONE = "?"


@dataclass(frozen=True, slots=True)
class Variable:
    """A place that the request fills in: the condition key in lower case, and what stands there without a value."""

    key: str
    default: str | None


Token = str | Wild | Variable


class VariableInvalid(ValueError):
    """The text holds `${` that begins no policy variable."""


_SPECIAL = re.compile(r"\$\{(?P<inner>[^'{}]*(?:'[^']*'[^'{}]*)?)\}|(?P<wild>[*?])|(?P<open>\$\{)")
_VARIABLE = re.compile(r"(?P<key>[^\s,']+)(?:, *'(?P<default>[^']*)')?")
_ESCAPED: Final = frozenset({"*", "?", "$"})
_MOST_ARN_COLONS = 5


def tokenise(text: str, *, variables: bool, wildcards: bool) -> tuple[Token, ...]:
    """The parts of a pattern. Without `variables` (version 2008-10-17) `${` is text. Raises VariableInvalid."""
    return tuple(_join(_tokens(text, variables=variables, wildcards=wildcards)))


def has_variable_syntax(text: str) -> bool:
    """Whether the text would hold a variable under a version that knows them."""
    return "${" in text


def split_arn(tokens: Iterable[Token]) -> tuple[tuple[Token, ...], ...]:
    """A pattern cut at its own first five colons, never at one that a variable brings."""
    parts: list[list[Token]] = [[]]
    for token in tokens:
        if not isinstance(token, str):
            parts[-1].append(token)
            continue
        first, *rest = token.split(":", _MOST_ARN_COLONS + 1 - len(parts))
        parts[-1].extend([first] if first else [])
        parts.extend([piece] if piece else [] for piece in rest)
    return tuple(tuple(part) for part in parts)


def regex_of(tokens: Iterable[Token], one: str) -> str:
    """A regular expression for literals and wildcards; `one` matches a single character.

    Each run but the last is atomic: the leftmost place is as good as any other, so no text makes it backtrack.
    """
    first, *rest = ("".join(_piece_regex(piece, one) for piece in segment) for segment in _segments(tokens))
    if not rest:
        return first
    middle = "".join(f"(?>{one}*?{segment})" for segment in rest[:-1] if segment)
    return f"{first}{middle}{one}*{rest[-1]}"


def fill(tokens: Iterable[Token], context: Context) -> list[str | Wild] | None:
    """The pattern for one request; None when a variable has neither a value nor a default."""
    filled: list[str | Wild] = []
    for token in tokens:
        piece = _value(token, context) if isinstance(token, Variable) else token
        if piece is None:
            return None
        filled.append(piece)
    return filled


def matches_filled(tokens: Iterable[str | Wild], text: str) -> bool:
    """Whether literals and wildcards match the whole text: the first segment at its start, the last at its end."""
    first, *rest = _segments(_join(tokens))
    if not rest:
        return len(text) == _width(first) and _stands_at(first, text, 0)
    last = rest.pop()
    if not _stands_at(first, text, 0):
        return False
    position, end = _width(first), len(text) - _width(last)
    for segment in rest:
        found = _find(segment, text, position, end)
        if found is None:
            return False
        position = found + _width(segment)
    return position <= end and _stands_at(last, text, end)


def _tokens(text: str, *, variables: bool, wildcards: bool) -> Iterator[Token]:
    position = 0
    for special in _SPECIAL.finditer(text) if variables or wildcards else ():
        token = _token(special, wildcards=wildcards) if variables else _wildcard(special.group(), wildcards=wildcards)
        yield text[position : special.start()]
        yield from token
        position = special.end()
    yield text[position:]


def _token(special: re.Match[str], *, wildcards: bool) -> tuple[Token, ...]:
    inner = special["inner"]
    if inner is None:
        if special["open"]:
            raise VariableInvalid("the policy variable is missing a closing brace, or its default a closing quote")
        return _wildcard(special.group(), wildcards=wildcards)
    if inner in _ESCAPED:
        return (inner,)
    variable = _VARIABLE.fullmatch(inner)
    if variable is None:
        raise VariableInvalid(f"${{{inner}}} is no policy variable: write ${{key}} or ${{key, 'default'}}")
    return (Variable(variable["key"].lower(), variable["default"]),)


def _wildcard(text: str, *, wildcards: bool) -> tuple[Token, ...]:
    """The wildcards of a text without variables, such as `${*}` under version 2008-10-17."""
    if not wildcards:
        return (text,)
    return tuple(Wild(character) if character in {"*", "?"} else character for character in text)


def _join(tokens: Iterable[Token]) -> Iterator[Token]:
    """The same tokens, literals that follow each other joined, empty ones left out."""
    literal = ""
    for token in tokens:
        if isinstance(token, str):
            literal += token
            continue
        if literal:
            yield literal
        literal = ""
        yield token
    if literal:
        yield literal


def _segments(tokens: Iterable[Token]) -> list[list[Token]]:
    """What stands between runs."""
    segments: list[list[Token]] = [[]]
    for token in tokens:
        if token is Wild.RUN:
            segments.append([])
        else:
            segments[-1].append(token)
    return segments


def _piece_regex(piece: Token, one: str) -> str:
    return re.escape(piece) if isinstance(piece, str) else one


def _value(variable: Variable, context: Context) -> str | None:
    value = context.value(variable.key)
    return variable.default if value is None else value


def _width(segment: list[Token]) -> int:
    return sum(len(piece) if isinstance(piece, str) else 1 for piece in segment)


def _stands_at(segment: list[Token], text: str, position: int) -> bool:
    for piece in segment:
        if isinstance(piece, str):
            if not text.startswith(piece, position):
                return False
            position += len(piece)
        else:
            position += 1
    return position <= len(text)


def _find(segment: list[Token], text: str, start: int, end: int) -> int | None:
    """The leftmost place for a segment between two positions."""
    if len(segment) == 1 and isinstance(segment[0], str):
        place = text.find(segment[0], start, end)
        return None if place < 0 else place
    # A loop over places and pieces takes a hundred times as long, and whoever wrote the pattern may choose the text.
    found = re.compile("".join(_piece_regex(piece, ".") for piece in segment), re.DOTALL).search(text, start, end)
    return None if found is None else found.start()
