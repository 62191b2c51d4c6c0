"""Reading the Authorization header."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.credentials import BasicCredentials, BearerCredentials, parse_authorization
from auth.errors import CredentialsInvalid


def basic(content: bytes) -> str:
    return "Basic " + base64.b64encode(content).decode()


def test_no_header_is_no_credentials() -> None:
    """An anonymous request is not a malformed one."""
    assert parse_authorization(None) is None


@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_scheme_is_read_in_any_case(scheme: str) -> None:
    """RFC 9110, section 11.1."""
    assert parse_authorization(f"{scheme} Ym9iOnNlY3JldA==") == BasicCredentials("bob", "secret")


def test_several_spaces_may_follow_the_scheme() -> None:
    """RFC 9110, section 11.4, allows one or more."""
    assert parse_authorization("bearer   a.b.c ") == BearerCredentials("a.b.c")


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"bob:a:b", BasicCredentials("bob", "a:b")),
        (b"bob:", BasicCredentials("bob", "")),
        ("bob:pässword".encode(), BasicCredentials("bob", "pässword")),
        ("bob:pässword".encode("latin-1"), BasicCredentials("bob", "pässword")),
        ("юля:слово".encode(), BasicCredentials("юля", "слово")),
    ],
)
def test_name_ends_at_the_first_colon(content: bytes, expected: BasicCredentials) -> None:
    """Passwords may hold colons and any script; clients before RFC 7617 send Latin-1."""
    assert parse_authorization(basic(content)) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        " ",
        "Basic",
        "Basic ",
        "Basic !!!!",
        "Basic Ym9i",
        "Basic Ym9iOnNlY3JldA",
        "Basic Ym9iOnNlY3JldA== x",
        "Basic é",
        "Basic \udcff",
        basic(b":secret"),
        basic(b"bo\x00b:secret"),
        basic(b"bob:se\ncret"),
        basic(b"bo\x7fb:secret"),
        "Bearer",
        "Bearer ",
        "Bearer a b",
        "Digest username=bob",
        "AWS4-HMAC-SHA256 Credential=x",
        "Ym9iOnNlY3JldA==",
        "Bearer " + "a" * 17_000,
        basic(b"bob:" + b"a" * 17_000),
    ],
)
def test_malformed_header_is_refused(header: str) -> None:
    """Half-understood credentials are no credentials."""
    with pytest.raises(CredentialsInvalid):
        parse_authorization(header)


def test_secrets_are_not_in_the_repr() -> None:
    """A credential that gets into a log or a traceback stays secret."""
    assert repr(BasicCredentials("bob", "canary")) == "BasicCredentials(name='bob')"
    assert repr(BearerCredentials("canary")) == "BearerCredentials()"


@given(st.text(max_size=60) | st.text("BasicbearerYm9iOnNlY3JldA= ", max_size=60))
def test_any_header_is_read_or_refused(header: str) -> None:
    """No header breaks the server."""
    try:
        parse_authorization(header)
    except CredentialsInvalid:
        return


@given(st.text(st.characters(exclude_characters=":", exclude_categories=["Cc", "Cs"]), min_size=1), st.text())
def test_credentials_survive_the_header(name: str, password: str) -> None:
    """What a client encodes is what is checked."""
    printable = "".join(letter for letter in password if letter.isprintable())

    assert parse_authorization(basic(f"{name}:{printable}".encode())) == BasicCredentials(name, printable)
