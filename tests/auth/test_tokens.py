"""Tokens: what they say, and for how long."""

import base64
import json
from dataclasses import replace
from types import SimpleNamespace

import pytest

from auth.actions import ScopeType
from auth.callers import Caller, CredentialKind
from auth.claims import TokenKind
from auth.errors import ScopeInvalid, SessionInvalid, TokenInvalid
from auth.key_ring import KeyRing
from auth.keys import Algorithm, SigningKey, generate_signing_key
from auth.principals import ANONYMOUS, Principal, PrincipalKind, Session
from auth.scopes import Access, Scope
from auth.tokens import IssuedToken, TokenIssuer, TokenVerifier
from tests.auth.forging import BOB, NOW, PARTIES, PUSH, claims, header, refused, signed


def test_minted_token_says_what_clients_and_we_need(issuer: TokenIssuer) -> None:
    """The claims of distribution's "Token Authentication Implementation"."""
    token = issuer.mint(BOB, [PUSH])

    payload = token.text.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == claims()
    assert (token.issued_at, token.expires_in) == (NOW, 300)


def test_minted_token_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """What one worker signs every worker reads."""
    verified = verifier.verify(issuer.mint(BOB, [PUSH]).text)

    assert (verified.name, verified.access, verified.expires_at) == ("bob", Access((PUSH,)), NOW + 300)


def test_token_put_together_by_hand_is_verified(key: SigningKey, verifier: TokenVerifier) -> None:
    """The corpus below fails for the reason it names and for no other."""
    assert verifier.verify(signed(key, header(key), json.dumps(claims()))).name == "bob"


def test_anonymous_token_without_scopes_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """An empty subject and an empty access are things a token can say."""
    verified = verifier.verify(issuer.mint(Caller(ANONYMOUS)).text)

    assert (verified.name, verified.access) == ("", Access())


def test_token_is_signed_with_the_newest_key(key: SigningKey, other_key: SigningKey, verifier: TokenVerifier) -> None:
    """Keys come oldest first, and each of them verifies."""
    text = TokenIssuer(KeyRing([other_key, key]), PARTIES, 300, lambda: NOW).mint(BOB, []).text

    assert verifier.verify(text).name == "bob"
    assert TokenVerifier(KeyRing([other_key, key]), PARTIES, lambda: NOW).verify(text).name == "bob"


def test_token_that_would_be_refused_is_not_minted(issuer: TokenIssuer) -> None:
    """A client that asks for too much hears so at the token endpoint, not at each request."""
    scopes = [Scope(ScopeType.REPOSITORY, f"{number}/" + "a" * 200, PUSH.actions) for number in range(100)]

    with pytest.raises(ScopeInvalid):
        issuer.mint(BOB, scopes)


def test_token_is_not_in_the_repr() -> None:
    """A token that gets into a log or a traceback stays secret."""
    assert "canary" not in repr(IssuedToken("canary", "", 0, 0))


def test_jwks_holds_public_halves_only(key: SigningKey, other_key: SigningKey) -> None:
    """Anybody may read the document."""
    published = KeyRing([key, other_key]).published()

    assert [set(entry) for entry in published] == [{"kty", "crv", "x", "y", "kid", "alg", "use"}] * 2


def test_remembered_token_still_expires(issuer: TokenIssuer, verifier: TokenVerifier, clock: SimpleNamespace) -> None:
    """A second look at a token is cheap, not blind."""
    text = issuer.mint(BOB, [PUSH]).text
    first = verifier.verify(text)
    clock.time += 300 + 59
    assert verifier.verify(text) is first
    clock.time += 1

    assert refused(verifier, text) == "it has expired"
    assert refused(verifier, text) == "it has expired"


def test_refused_token_is_not_remembered(key: SigningKey, verifier: TokenVerifier, clock: SimpleNamespace) -> None:
    """A token that is not valid yet becomes valid."""
    text = signed(key, header(key), json.dumps(claims(nbf=NOW + 100)))
    refused(verifier, text)
    clock.time += 60

    assert verifier.verify(text).name == "bob"


def test_memory_of_tokens_is_bounded(key: SigningKey, clock: SimpleNamespace) -> None:
    """A crowd of tokens pushes the first one out."""
    verifier = TokenVerifier(KeyRing([key]), PARTIES, lambda: clock.time)
    texts = [signed(key, header(key), json.dumps(claims(jti=str(number)))) for number in range(4097)]
    first = verifier.verify(texts[0])
    second = verifier.verify(texts[1])
    for text in texts[2:]:
        verifier.verify(text)

    assert verifier.verify(texts[1]) is second
    assert verifier.verify(texts[0]) is not first


@pytest.mark.parametrize("algorithm", ["ES256", "EdDSA", "RS256"])
def test_every_kind_of_key_signs(algorithm: Algorithm) -> None:
    """The token names the algorithm of its key."""
    ring = KeyRing([generate_signing_key(algorithm)])

    text = TokenIssuer(ring, PARTIES, 300, lambda: NOW).mint(BOB, [PUSH]).text

    head = json.loads(base64.urlsafe_b64decode(text.split(".")[0] + "=="))
    assert head == {"typ": "JWT", "alg": algorithm, "kid": ring.signing_key().kid}
    assert TokenVerifier(ring, PARTIES, lambda: NOW).verify(text).name == "bob"


def test_authorization_token_lives_half_a_day(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """It carries no scopes: it stands for its user as a password does."""
    token = issuer.mint(BOB, kind=TokenKind.AUTHORIZATION)

    verified = verifier.verify(token.text, TokenKind.AUTHORIZATION)

    assert token.expires_in == 43_200
    assert ":" not in token.text
    assert (verified.name, verified.access, verified.id, verified.expires_at) == ("bob", None, "1", NOW + 43_200)


def test_token_names_what_it_was_fetched_with(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """So that it ends with it."""
    fetched = [
        Caller(BOB.principal, access_key="LK1"),
        Caller(BOB.principal, stored_token="s"),
        Caller(BOB.principal, authorizations=("a", "b")),
        Caller(BOB.principal, credential=CredentialKind.PASSWORD, credential_id="p"),
    ]

    verified = [verifier.verify(issuer.mint(caller).text) for caller in fetched]

    assert [(each.access_key, each.stored_token, each.authorizations) for each in verified] == [
        ("LK1", None, ()),
        (None, "s", ()),
        (None, None, ("a", "b")),
        (None, None, ()),
    ]


def test_token_for_ourselves_by_name_is_limited_as_without_it(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Where the settings list this registry among the others that trust it."""
    bob = Caller(replace(BOB.principal, session=Session(policies=('{"Statement": []}',))), access_key="LK1")

    verified = verifier.verify(issuer.mint(bob, audience=PARTIES.audience).text)

    assert (verified.session, verified.access_key) == (bob.principal.session, "LK1")


def test_session_travels_with_its_token(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Facts, policies, and the name that it was given."""
    session = Session("build-7", (("jwt:sub", "repo:a/b"), ("jwt:ref", "main")), ('{"Statement": []}',))
    ci = Caller(Principal("123456789012", "ci", PrincipalKind.ROLE, session))
    text = issuer.mint(ci).text

    verified = verifier.verify(text)

    assert json.loads(base64.urlsafe_b64decode(text.split(".")[1] + "=="))["sub"] == "role/ci/build-7"
    assert (verified.name, verified.is_role, verified.session) == ("ci", True, session)


def test_session_of_a_user_travels_too(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """It has no name."""
    session = Session(policies=("{}",))
    limited = Caller(Principal("123456789012", "bob", PrincipalKind.USER, session))

    verified = verifier.verify(issuer.mint(limited).text)

    assert (verified.name, verified.is_role, verified.session) == ("bob", False, session)


def test_session_that_is_too_long_gets_no_token(issuer: TokenIssuer) -> None:
    """Half of the longest token is left for scopes."""
    session = Session("s", (("jwt:sub", "x" * 8192),))

    with pytest.raises(SessionInvalid):
        issuer.mint(Caller(Principal("123456789012", "ci", PrincipalKind.ROLE, session)))


def test_role_outside_a_session_gets_no_token(issuer: TokenIssuer) -> None:
    """Nobody is a role."""
    with pytest.raises(SessionInvalid):
        issuer.mint(Caller(Principal("123456789012", "ci", PrincipalKind.ROLE)))


def test_token_ends_with_what_it_was_fetched_with(issuer: TokenIssuer) -> None:
    """Its life is cut, never to less than a minute, which clients take for no end at all."""
    assert issuer.mint(Caller(BOB.principal, expires_at=NOW + 100.9)).expires_in == 100
    assert issuer.mint(Caller(BOB.principal, expires_at=NOW + 60), kind=TokenKind.AUTHORIZATION).expires_in == 60
    with pytest.raises(TokenInvalid, match="less than a minute"):
        issuer.mint(Caller(BOB.principal, expires_at=NOW + 59.9))


def test_token_of_a_key_that_retires_is_refused_from_then_on(
    issuer: TokenIssuer, key: SigningKey, clock: SimpleNamespace
) -> None:
    """Though it was remembered as valid."""
    ring = KeyRing([key], lambda: clock.time)
    verifier = TokenVerifier(ring, PARTIES, lambda: clock.time)
    text = issuer.mint(BOB).text
    verifier.verify(text)

    ring._set([replace(each, retires_at=NOW + 10.0) for each in ring._keys])
    assert verifier.verify(text).name == "bob"
    clock.time += 10

    assert refused(verifier, text) == "it names no signing key of this registry"
    assert refused(verifier, text) == "it names no signing key of this registry"
