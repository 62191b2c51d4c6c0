"""Patterns against an independent matcher: wildcards, ARNs part by part, variables."""

import time
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.policy.context import NO_CONTEXT, Context
from auth.policy.patterns import arn_patterns, string_patterns
from auth.policy.templates import VariableInvalid, tokenise

PATTERNS = st.text("ab*?.", max_size=9)
TEXTS = st.text("ab.\n", max_size=9)
ARN_PATTERNS = st.lists(st.text("ab*?", max_size=3), min_size=6, max_size=6).map(":".join) | st.text(
    "ab:*?", max_size=14
)
ARNS = st.lists(st.text("ab", max_size=3), min_size=6, max_size=8).map(":".join)


def matches(pattern: str, text: str) -> bool:
    """The definition of a wildcard match, by recursion."""

    @cache
    def rest(p: int, t: int) -> bool:
        if p == len(pattern):
            return t == len(text)
        if pattern[p] == "*":
            return rest(p + 1, t) or (t < len(text) and rest(p, t + 1))
        return t < len(text) and pattern[p] in {"?", text[t]} and rest(p + 1, t + 1)

    return rest(0, 0)


def like(pattern: str, text: str, context: Context = NO_CONTEXT) -> bool:
    return string_patterns([pattern], variables=True, wildcards=True, fold=False).matches(text, context)


@given(PATTERNS, TEXTS)
def test_wildcards_match_as_defined(pattern: str, text: str) -> None:
    """The compiled pattern, whatever test it became, agrees with the definition."""
    assert like(pattern, text) is matches(pattern, text)


@given(st.lists(PATTERNS, max_size=4), TEXTS)
def test_a_set_matches_if_one_of_its_patterns_does(patterns: list[str], text: str) -> None:
    """Compiling patterns together changes nothing."""
    together = string_patterns(patterns, variables=False, wildcards=True, fold=False)

    assert together.matches(text, NO_CONTEXT) is any(matches(pattern, text) for pattern in patterns)


@given(PATTERNS, TEXTS, st.text("ab*?.", max_size=3))
def test_patterns_with_variables_match_as_defined(pattern: str, text: str, value: str) -> None:
    """A variable is literal text, so an escaped value at the end changes nothing else."""
    filled = like(pattern + "${jwt:sub}", text, Context({"jwt:sub": value}))

    assert filled is (text.endswith(value) and matches(pattern, text.removesuffix(value)))


@given(ARN_PATTERNS, ARNS)
def test_arns_match_part_by_part(pattern: str, arn: str) -> None:
    """The first five colons separate, whatever wildcards stand around them."""
    parts, texts = pattern.split(":", 5), arn.split(":", 5)
    whole = bool(pattern) and set(pattern) == {"*"}
    expected = whole or (len(parts) == 6 and all(map(matches, parts, texts)))

    assert arn_patterns([pattern], variables=False, complete=False).matches(arn, NO_CONTEXT) is expected


@given(ARN_PATTERNS, ARNS)
def test_arns_with_variables_match_part_by_part(pattern: str, arn: str) -> None:
    """A template of an ARN agrees with the compiled pattern."""
    plain = arn_patterns([pattern], variables=False, complete=False)
    template = arn_patterns([pattern + "${jwt:empty, ''}"], variables=True, complete=False)

    assert pattern.strip("*") == "" or template.matches(arn, NO_CONTEXT) is plain.matches(arn, NO_CONTEXT)


@given(text=st.text("${}*?', ab:"), variables=st.booleans(), wildcards=st.booleans())
def test_any_text_is_a_pattern_or_refused(text: str, *, variables: bool, wildcards: bool) -> None:
    """Only what looks like a variable and is none is refused."""
    try:
        tokenise(text, variables=variables, wildcards=wildcards)
    except VariableInvalid:
        assert variables
        assert "${" in text


@pytest.mark.parametrize("pattern", ["*a" * 400 + "b", "?*" * 400 + "b", "*${jwt:a, 'a'}" * 100 + "b"])
def test_no_pattern_takes_long(pattern: str) -> None:
    """A hostile pattern against a hostile text ends in well under a second."""
    began = time.thread_time()

    assert not like(pattern, "a" * 2000)

    assert time.thread_time() - began < 1


@pytest.mark.parametrize("segment", ["?a" * 1500, "a?" * 1500, "?" * 3000, "a" * 3000 + "?b"])
def test_no_pattern_with_a_variable_takes_long(segment: str) -> None:
    """Whoever opens a session may write one, and sends the text that it is compared with."""
    patterns = string_patterns([f"${{jwt:a}}*{segment}b*"], variables=True, wildcards=True, fold=False)
    context = Context({"jwt:a": "q"})
    began = time.thread_time()

    assert not patterns.matches("q" + "a" * 8000, context)

    assert time.thread_time() - began < 0.5
