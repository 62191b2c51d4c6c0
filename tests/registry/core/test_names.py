"""Names of repositories and tags: the grammar of the specification."""

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.errors import NameInvalid, TagInvalid
from registry.core.names import RepositoryName, Tag, parse_reference, referrers_tag
from storage.digest import Algorithm, Digest
from storage.errors import DigestInvalid

_ALPHANUMERIC = frozenset(string.ascii_lowercase + string.digits)
_TAG_FIRST = frozenset(string.ascii_letters + string.digits + "_")
_TAG_REST = _TAG_FIRST | {".", "-"}
# Texts that are names, or nearly.
NEARLY_NAMES = st.text("ab0._-/A é\n", max_size=12) | st.text(max_size=12)
NEARLY_TAGS = st.text("aZ0._-/:\né", max_size=12) | st.text(max_size=12)


def is_component(text: str) -> bool:
    """Read one component character by character: runs of letters and digits with one separator between each two."""
    runs: list[str] = []
    separators: list[str] = []
    for character in text:
        is_letter = character in _ALPHANUMERIC
        if is_letter == (len(runs) == len(separators)):
            (runs if is_letter else separators).append(character)
        elif is_letter:
            runs[-1] += character
        elif separators:
            separators[-1] += character
        else:
            return False
    return len(runs) == len(separators) + 1 and all(
        separator in {".", "_", "__"} or set(separator) == {"-"} for separator in separators
    )


def is_name(text: str) -> bool:
    return len(text) <= 255 and all(map(is_component, text.split("/")))


def is_tag(text: str) -> bool:
    return 1 <= len(text) <= 128 and text[0] in _TAG_FIRST and set(text) <= _TAG_REST


@given(NEARLY_NAMES)
def test_a_repository_name_is_what_the_grammar_says(text: str) -> None:
    try:
        parsed = RepositoryName.parse(text)
    except NameInvalid:
        assert not is_name(text)
    else:
        assert is_name(text)
        assert str(parsed) == parsed.text == text


@given(NEARLY_TAGS)
def test_a_tag_is_what_the_grammar_says(text: str) -> None:
    try:
        parsed = Tag.parse(text)
    except TagInvalid:
        assert not is_tag(text)
    else:
        assert is_tag(text)
        assert str(parsed) == parsed.text == text


@pytest.mark.parametrize(
    "name", ["a", "0", "library/debian", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b/c/d", "a" * 255, "a.b_c__d-e/0"]
)
def test_a_good_name_is_kept_as_it_is(name: str) -> None:
    assert RepositoryName.parse(name).text == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/",
        "a/",
        "/a",
        "a//b",
        "A",
        "a/B",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a_",
        "a..b",
        "a___b",
        "a._b",
        "a.-b",
        "a b",
        "a\n",
        "a\0",
        "a:b",
        "a@b",
        "é",
        "\u0661",
        "..",
        "a/../b",
        "a" * 256,
        "a/" * 127 + "aa",
    ],
)
def test_a_bad_name_is_refused(name: str) -> None:
    with pytest.raises(NameInvalid):
        RepositoryName.parse(name)


def test_a_refused_name_keeps_little_of_its_text() -> None:
    """An error that is logged stays small, whatever was sent."""
    with pytest.raises(NameInvalid) as caught:
        RepositoryName.parse("x" * 1_000_000)

    assert len(caught.value.name) == 300


@pytest.mark.parametrize("tag", ["a", "_", "A", "0", "v1.0-rc_1", "a..b", "a--", "_.-", "a" * 128])
def test_a_good_tag_is_kept_as_it_is(tag: str) -> None:
    assert Tag.parse(tag).text == tag


@pytest.mark.parametrize("tag", ["", ".a", "-a", "a/b", "a:b", "a b", "a\n", "a\0", "é", "\u0661", "a" * 129])
def test_a_bad_tag_is_refused(tag: str) -> None:
    with pytest.raises(TagInvalid):
        Tag.parse(tag)


def test_a_reference_without_a_colon_is_a_tag() -> None:
    assert parse_reference("latest") == Tag("latest")


def test_a_reference_with_a_colon_is_a_digest() -> None:
    assert parse_reference("sha256:" + "0" * 64) == Digest(Algorithm.SHA256, "0" * 64)


@given(NEARLY_TAGS)
def test_a_reference_is_read_or_refused(text: str) -> None:
    """Nothing else ever comes out of a reference."""
    try:
        parsed = parse_reference(text)
    except (TagInvalid, DigestInvalid):
        return

    assert str(parsed) == text


@pytest.mark.parametrize(
    ("algorithm", "length", "expected"),
    [(Algorithm.SHA256, 64, "sha256-" + "a" * 64), (Algorithm.SHA512, 128, "sha512-" + "a" * 64)],
)
def test_the_tag_for_referrers_fits_a_tag(algorithm: Algorithm, length: int, expected: str) -> None:
    """The specification cuts the encoded part at 64 characters (referrers tag schema)."""
    assert referrers_tag(Digest(algorithm, "a" * length)) == Tag.parse(expected)
