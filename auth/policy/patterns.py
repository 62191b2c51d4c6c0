"""Sets of patterns, compiled once, that a text matches when it matches any of them.

- What can be a look-up or a prefix test is one; the rest is one regular expression, or templates that a request fills.
- Patterns of ARNs match part by part: a wildcard never reaches across one of the first five colons.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from auth.policy.context import Context
from auth.policy.templates import (
    Token,
    Variable,
    Wild,
    fill,
    matches_filled,
    regex_of,
    split_arn,
    tokenise,
)

ARN_PARTS: Final = 6
"""arn, partition, service, region, account, resource (IAM User Guide, "Amazon Resource Names")."""

_RUN: Final[tuple[Token, ...]] = (Wild.RUN,)
_ANYTHING: Final = (_RUN,)


@dataclass(frozen=True, slots=True)
class PatternSet:
    """Patterns compiled together; with `fold` the case of letters does not matter."""

    everything: bool = False
    exact: frozenset[str] = frozenset()
    prefixes: tuple[str, ...] = ()
    regex: re.Pattern[str] | None = None
    templates: "tuple[Template, ...]" = ()
    fold: bool = False

    def matches(self, text: str, context: Context) -> bool:
        """Whether any of the patterns matches the whole text."""
        if self.everything:
            return True
        if self.fold:
            text = text.lower()
        if text in self.exact or (self.prefixes and text.startswith(self.prefixes)):
            return True
        if self.regex is not None and self.regex.fullmatch(text) is not None:
            return True
        # A generator for every statement would cost more than all the tests before it.
        return bool(self.templates) and any(template.matches(text, context) for template in self.templates)


@dataclass(frozen=True, slots=True)
class Template:
    """A pattern with variables; six parts for an ARN, one otherwise. A literal part is a string."""

    parts: tuple[str | tuple[Token, ...], ...]
    fold: bool = False

    def matches(self, text: str, context: Context) -> bool:
        """Whether the text is what the request makes of the pattern."""
        texts = text.split(":", ARN_PARTS - 1) if len(self.parts) > 1 else [text]
        return len(texts) == len(self.parts) and all(
            self._part_matches(part, piece, context) for part, piece in zip(self.parts, texts, strict=True)
        )

    def _part_matches(self, part: str | tuple[Token, ...], text: str, context: Context) -> bool:
        if isinstance(part, str):
            return part == text
        if part == _RUN:
            return True
        filled = fill(part, context)
        if filled is None:
            return False
        if self.fold:
            filled = [piece.lower() if isinstance(piece, str) else piece for piece in filled]
        return matches_filled(filled, text)


def action_patterns(texts: Iterable[str]) -> PatternSet:
    """Patterns of actions, to be compared with an action in lower case."""
    return _compile([tokenise(text.lower(), variables=False, wildcards=True)] for text in texts)


def string_patterns(texts: Iterable[str], *, variables: bool, wildcards: bool, fold: bool) -> PatternSet:
    """Patterns of whole strings. Raises VariableInvalid."""
    lowered = (text.lower() for text in texts) if fold else texts
    return _compile(([tokenise(text, variables=variables, wildcards=wildcards)] for text in lowered), fold=fold)


def arn_patterns(texts: Iterable[str], *, variables: bool, complete: bool) -> PatternSet:
    """Patterns of ARNs, and `*`. Raises VariableInvalid.

    With `complete` the parts that an ARN lacks are wildcards, as IAM completes a Resource; else it matches nothing.
    """
    patterns = [arn_parts(text, variables=variables) for text in texts]
    if complete:
        patterns = [parts if parts == _ANYTHING else complete_arn(parts) for parts in patterns]
    return _compile(parts for parts in patterns if len(parts) == ARN_PARTS or parts == _ANYTHING)


def complete_arn(parts: tuple[tuple[Token, ...], ...]) -> tuple[tuple[Token, ...], ...]:
    """The same with a wildcard for each part that is missing (IAM User Guide, "Resource", incomplete ARNs)."""
    return parts + (_RUN,) * (ARN_PARTS - len(parts))


def arn_parts(text: str, *, variables: bool) -> tuple[tuple[Token, ...], ...]:
    """The parts of an ARN's pattern, or the one part of `*`. Raises VariableInvalid."""
    tokens = tokenise(text, variables=variables, wildcards=True)
    return _ANYTHING if tokens and all(token is Wild.RUN for token in tokens) else split_arn(tokens)


def _compile(patterns: Iterable[Sequence[tuple[Token, ...]]], *, fold: bool = False) -> PatternSet:
    exact: set[str] = set()
    prefixes: list[str] = []
    regexes: list[str] = []
    templates: list[Template] = []
    for parts in patterns:
        tokens = [token for token in _joined(parts) if token != ""]
        if tokens == [Wild.RUN]:
            return PatternSet(everything=True)
        if any(isinstance(token, Variable) for token in tokens):
            templates.append(Template(tuple(map(_literal, parts)), fold))
        elif all(isinstance(token, str) for token in tokens):
            exact.add("".join(str(token) for token in tokens))
        elif prefix := _prefix(parts):
            prefixes.append(prefix)
        else:
            regexes.append(_regex(parts))
    regex = re.compile("|".join(f"(?:{regex})" for regex in regexes), re.DOTALL) if regexes else None
    return PatternSet(
        exact=frozenset(exact), prefixes=tuple(prefixes), regex=regex, templates=tuple(templates), fold=fold
    )


def _literal(part: tuple[Token, ...]) -> str | tuple[Token, ...]:
    return "".join(map(str, part)) if all(isinstance(token, str) for token in part) else part


def _joined(parts: Sequence[tuple[Token, ...]]) -> Iterator[Token]:
    for number, part in enumerate(parts):
        if number:
            yield ":"
        yield from part


def _prefix(parts: Sequence[tuple[Token, ...]]) -> str:
    """What comes before a wildcard that ends the pattern, if the pattern is no more than that; else empty."""
    *head, last = parts
    if not last or last[-1] is not Wild.RUN or not all(isinstance(token, str) for token in last[:-1]):
        return ""
    if not all(isinstance(token, str) for part in head for token in part):
        return ""
    return "".join(str(token) for token in _joined([*head, last[:-1]]))


def _regex(parts: Sequence[tuple[Token, ...]]) -> str:
    *head, last = parts
    return ":".join([*(regex_of(part, "[^:]") for part in head), regex_of(last, ".")])
