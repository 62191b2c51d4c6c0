"""Tokens: what they say, and the corpus of those that must not pass."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

from auth.actions import ScopeType, ScopeWord
from auth.errors import ScopeInvalid, TokenInvalid
from auth.keys import SigningKey
from auth.scopes import Access, Scope
from auth.tokens import IssuedToken, TokenIssuer, TokenVerifier, jwks_document

ISSUER, AUDIENCE = "https://registry.example", "registry.example"
NOW = 1_700_000_000
PUSH = Scope(ScopeType.REPOSITORY, "a/b", frozenset({ScopeWord.PULL, ScopeWord.PUSH}))


def encode(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


def signed(key: SigningKey, header: object, payload: str | bytes) -> str:
    """A token put together by hand, with a true signature of this key."""
    content = payload.encode() if isinstance(payload, str) else payload
    signing_input = f"{encode(json.dumps(header).encode())}.{encode(content)}"
    r, s = decode_dss_signature(key.private_key.sign(signing_input.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{signing_input}.{encode(r.to_bytes(32, 'big') + s.to_bytes(32, 'big'))}"


def claims(**changes: object) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": "bob",
        "aud": AUDIENCE,
        "exp": NOW + 300,
        "nbf": NOW,
        "iat": NOW,
        "jti": "1",
        "access": [{"type": "repository", "name": "a/b", "actions": ["pull", "push"]}],
    } | changes


def header(key: SigningKey, **changes: object) -> dict[str, Any]:
    return {"alg": "ES256", "typ": "JWT", "kid": key.kid} | changes


@pytest.fixture
def issuer(key: SigningKey, clock: SimpleNamespace) -> TokenIssuer:
    return TokenIssuer([key], ISSUER, AUDIENCE, 300, lambda: clock.time, lambda: "1")


@pytest.fixture
def verifier(key: SigningKey, clock: SimpleNamespace) -> TokenVerifier:
    return TokenVerifier([key], ISSUER, AUDIENCE, lambda: clock.time)


def refused(verifier: TokenVerifier, text: str) -> str:
    """The reason for which this token is refused."""
    with pytest.raises(TokenInvalid) as raised:
        verifier.verify(text)
    return raised.value.reason


def test_minted_token_says_what_clients_and_we_need(issuer: TokenIssuer) -> None:
    """The claims of distribution's "Token Authentication Implementation"."""
    token = issuer.mint("bob", [PUSH])

    payload = token.text.split(".")[1]
    assert json.loads(base64.urlsafe_b64decode(payload + "==")) == claims()
    assert (token.issued_at, token.expires_in) == (NOW, 300)


def test_minted_token_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """What one worker signs every worker reads."""
    verified = verifier.verify(issuer.mint("bob", [PUSH]).text)

    assert (verified.subject, verified.access, verified.expires_at) == ("bob", Access((PUSH,)), NOW + 300)


def test_token_put_together_by_hand_is_verified(key: SigningKey, verifier: TokenVerifier) -> None:
    """The corpus below fails for the reason it names and for no other."""
    assert verifier.verify(signed(key, header(key), json.dumps(claims()))).subject == "bob"


def test_anonymous_token_without_scopes_is_verified(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """An empty subject and an empty access are things a token can say."""
    verified = verifier.verify(issuer.mint("", []).text)

    assert (verified.subject, verified.access) == ("", Access())


def test_token_is_signed_with_the_newest_key(key: SigningKey, other_key: SigningKey, verifier: TokenVerifier) -> None:
    """Keys come oldest first, and each of them verifies."""
    text = TokenIssuer([other_key, key], ISSUER, AUDIENCE, 300, lambda: NOW).mint("bob", []).text

    assert verifier.verify(text).subject == "bob"
    assert TokenVerifier([other_key, key], ISSUER, AUDIENCE, lambda: NOW).verify(text).subject == "bob"


def test_token_that_would_be_refused_is_not_minted(issuer: TokenIssuer) -> None:
    """A client that asks for too much hears so at the token endpoint, not at each request."""
    scopes = [Scope(ScopeType.REPOSITORY, f"{number}/" + "a" * 200, PUSH.actions) for number in range(100)]

    with pytest.raises(ScopeInvalid):
        issuer.mint("bob", scopes)


def test_token_is_not_in_the_repr() -> None:
    """A token that gets into a log or a traceback stays secret."""
    assert "canary" not in repr(IssuedToken("canary", 0, 0))


def test_jwks_holds_public_halves_only(key: SigningKey, other_key: SigningKey) -> None:
    """Anybody may read the document."""
    document = jwks_document([key, other_key])

    assert [set(entry) for entry in document["keys"]] == [{"kty", "crv", "x", "y", "kid", "alg", "use"}] * 2


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", "NONE", "", None, [], {}, True, "ES384", "es256"])
def test_algorithm_is_the_keys_own(key: SigningKey, verifier: TokenVerifier, algorithm: object) -> None:
    """A token cannot choose how it is checked."""
    text = signed(key, header(key, alg=algorithm), json.dumps(claims()))

    for forged in (text, text.rpartition(".")[0] + "."):
        assert refused(verifier, forged) == "its algorithm is not the one of its key"


def public_bytes(key: SigningKey, encoding: serialization.Encoding) -> bytes:
    return key.public_key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)


@pytest.mark.parametrize("algorithm", ["HS256", "ES256"])
@pytest.mark.parametrize(
    "secret_of",
    [
        lambda key: public_bytes(key, serialization.Encoding.PEM),
        lambda key: public_bytes(key, serialization.Encoding.DER),
        lambda key: json.dumps(key.jwk).encode(),
        lambda _key: b"",
    ],
    ids=["pem", "der", "jwk", "empty"],
)
def test_public_key_is_no_shared_secret(
    key: SigningKey, verifier: TokenVerifier, algorithm: str, secret_of: Callable[[SigningKey], bytes]
) -> None:
    """Algorithm confusion: the public key, known to all, used as an HMAC key (CVE-2022-29217)."""
    head = encode(json.dumps(header(key, alg=algorithm)).encode())
    signing_input = f"{head}.{encode(json.dumps(claims()).encode())}"
    signature = hmac.digest(secret_of(key), signing_input.encode(), hashlib.sha256)

    refused(verifier, f"{signing_input}.{encode(signature)}")


@pytest.mark.parametrize(
    "kid",
    ["unknown", "", "../../../../dev/null", "' OR 1=1 --", "k" * 10_000, "a\n", None, 1, True, [], ["kid"], {}],
)
def test_key_id_names_one_of_our_keys(key: SigningKey, verifier: TokenVerifier, kid: object) -> None:
    """A key id is looked up among ours and goes nowhere else."""
    refused(verifier, signed(key, header(key, kid=kid), json.dumps(claims())))


def test_key_id_is_required(key: SigningKey, verifier: TokenVerifier) -> None:
    """No key is tried on the chance that it fits."""
    refused(verifier, signed(key, {"alg": "ES256", "typ": "JWT"}, json.dumps(claims())))


def test_trusted_key_id_with_another_key(key: SigningKey, other_key: SigningKey, verifier: TokenVerifier) -> None:
    """The id says which key to try; only the signature convinces."""
    refused(verifier, signed(other_key, header(key), json.dumps(claims())))


def test_key_that_was_removed(issuer: TokenIssuer, other_key: SigningKey) -> None:
    """A registry that does not know the key refuses its tokens."""
    verifier = TokenVerifier([other_key], ISSUER, AUDIENCE, lambda: NOW)

    assert refused(verifier, issuer.mint("bob", []).text) == "it names no signing key of this registry"


@pytest.mark.parametrize("member", ["jwk", "jku", "x5u", "x5c", "x5t", "crit", "b64", "cty", "zip", "enc"])
def test_header_brings_no_keys_and_no_extensions(
    key: SigningKey, other_key: SigningKey, verifier: TokenVerifier, member: str
) -> None:
    """distribution CVE-2025-24976: a key in the header, under a trusted id, was believed."""
    values = {"jwk": other_key.jwk, "jku": "http://127.0.0.1/", "x5c": ["AAAA"], "crit": ["exp"], "b64": False}
    value = values.get(member, "x")

    refused(verifier, signed(other_key, header(key, **{member: value}), json.dumps(claims())))
    refused(verifier, signed(key, header(key, **{member: value}), json.dumps(claims())))


@pytest.mark.parametrize("typ", ["refresh+jwt", "at+jwt", "jwt", "", None, []])
def test_other_types_of_token(key: SigningKey, verifier: TokenVerifier, typ: object) -> None:
    """A token that was signed for another purpose is no access token."""
    refused(verifier, signed(key, header(key, typ=typ), json.dumps(claims())))


@pytest.mark.parametrize("claim", ["exp", "nbf", "iat"])
@pytest.mark.parametrize(
    "value", ["null", '"1700000300"', "true", "false", "[]", "{}", "1e400", "-1e400", "NaN", "Infinity", "-1"]
)
def test_dates_are_numbers(key: SigningKey, verifier: TokenVerifier, claim: str, value: str) -> None:
    """Not text, not a bool, not infinity: none of them ever ends."""
    payload = json.dumps(claims(**{claim: "?"})).replace('"?"', value)

    assert refused(verifier, signed(key, header(key), payload)) == "its dates are missing or not numbers"


@pytest.mark.parametrize("value", ["9" * 400, "9" * 5000, "1" + "0" * 16])
def test_dates_are_not_huge(key: SigningKey, verifier: TokenVerifier, value: str) -> None:
    """A number that no clock will show is refused without an overflow."""
    payload = json.dumps(claims(exp="?")).replace('"?"', value)

    refused(verifier, signed(key, header(key), payload))


@pytest.mark.parametrize("claim", ["iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"])
def test_every_claim_is_required(key: SigningKey, verifier: TokenVerifier, claim: str) -> None:
    """A claim that is left out allows nothing."""
    payload = {name: value for name, value in claims().items() if name != claim}

    refused(verifier, signed(key, header(key), json.dumps(payload)))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"exp": NOW - 61}, "it has expired"),
        ({"exp": NOW - 60}, "it has expired"),
        ({"nbf": NOW + 61}, "it is not valid yet: compare the clocks"),
        ({"iat": NOW + 61}, "it is not valid yet: compare the clocks"),
    ],
)
def test_dates_past_the_leeway(key: SigningKey, verifier: TokenVerifier, changes: dict[str, int], reason: str) -> None:
    """A minute of difference between two clocks is forgiven, no more."""
    assert refused(verifier, signed(key, header(key), json.dumps(claims(**changes)))) == reason


@pytest.mark.parametrize("changes", [{"exp": NOW - 59}, {"exp": NOW - 59.5}, {"nbf": NOW + 59}, {"iat": NOW + 59}])
def test_dates_within_the_leeway(key: SigningKey, verifier: TokenVerifier, changes: dict[str, float]) -> None:
    """Nodes whose clocks differ by less than a minute read each other's tokens."""
    assert verifier.verify(signed(key, header(key), json.dumps(claims(**changes)))).subject == "bob"


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://registry.exampl"},
        {"iss": "https://registry.example/"},
        {"iss": "https://registry.example.evil"},
        {"iss": ""},
        {"iss": [ISSUER]},
        {"iss": {ISSUER: 1}},
        {"aud": "registry"},
        {"aud": "registry.example.evil"},
        {"aud": ""},
        {"aud": [AUDIENCE]},
        {"aud": [AUDIENCE, "other"]},
        {"aud": {AUDIENCE: 1}},
        {"sub": 1},
        {"jti": 1},
    ],
)
def test_names_are_compared_whole(key: SigningKey, verifier: TokenVerifier, changes: dict[str, object]) -> None:
    """Substrings and lists are not the name (PyJWT CVE-2024-53861)."""
    refused(verifier, signed(key, header(key), json.dumps(claims(**changes))))


@pytest.mark.parametrize(
    "access",
    [
        "repository:a/b:pull",
        {"type": "repository"},
        ["repository:a/b:pull"],
        [{"type": "repository", "name": "a/b"}],
        [{"type": "repository", "name": 1, "actions": ["pull"]}],
        [{"type": "repository", "name": "a/b", "actions": 1}],
        [{"type": "repository", "name": "a/b", "actions": ["admin"]}],
        [{"type": "repository", "name": "a/b", "actions": [[]]}],
        [{"type": "everything", "name": "a/b", "actions": ["pull"]}],
        [{"type": [], "name": "a/b", "actions": ["pull"]}],
    ],
)
def test_access_that_we_never_write(key: SigningKey, verifier: TokenVerifier, access: object) -> None:
    """What a token carries is read strictly."""
    refused(verifier, signed(key, header(key), json.dumps(claims(access=access))))


def test_edited_scopes(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """The signature covers what the token carries."""
    head, _, signature = issuer.mint("bob", [PUSH]).text.split(".")
    wider = claims(access=[{"type": "repository", "name": "secret", "actions": ["*"]}])

    reason = refused(verifier, f"{head}.{encode(json.dumps(wider).encode())}.{signature}")

    assert reason == "it was not signed by this registry"


def test_edited_signature(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Every byte of the signature counts, and so does its length."""
    signing_input, _, signature = issuer.mint("bob", [PUSH]).text.rpartition(".")
    flipped = ("A" if signature[0] != "A" else "B") + signature[1:]

    for forged in ("", flipped, signature[:-4], signature + "AAAA", "A" * 86, encode(bytes(64)), encode(bytes(1))):
        refused(verifier, f"{signing_input}.{forged}")


@pytest.mark.parametrize("payload", ["", "null", "[]", "1", '"x"', "{", "\xff", "[" * 9000, "{} {}"])
def test_claims_that_are_no_object(key: SigningKey, verifier: TokenVerifier, payload: str) -> None:
    """Even under a true signature nothing but an object is read."""
    refused(verifier, signed(key, header(key), payload.encode("latin-1")))


@pytest.mark.parametrize(
    "head", [b"", b"null", b"[]", b"1", b"{", b"\xff", b"[" * 9000, b'{"alg":' * 1000, b'{"alg":' + b"9" * 5000 + b"}"]
)
def test_headers_that_are_no_object(verifier: TokenVerifier, head: bytes) -> None:
    """The header is the first thing an attacker writes."""
    refused(verifier, f"{encode(head)}.e30.AAAA")


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "..",
        "...",
        "a",
        "a.b",
        "a.b.c",
        "a.b.c.d",
        "." * 100_000,
        "a" * 16_385,
        "é.b.c",
        "\udcff",
        "\x00.a.b",
        "e30.e30.=",
        "e30=.e30.AAAA",
    ],
    ids=lambda text: ascii(text[:12]),
)
def test_texts_that_are_no_token(verifier: TokenVerifier, text: str) -> None:
    """Whatever stands in the header, the answer is a refusal (golang-jwt CVE-2025-30204 on many dots)."""
    refused(verifier, text)


def test_token_of_more_than_16_kib(key: SigningKey, verifier: TokenVerifier) -> None:
    """The bound holds for tokens that we signed too."""
    refused(verifier, signed(key, header(key), json.dumps(claims(pad="a" * 16_384))))


def test_refusal_repeats_nothing_of_the_token(key: SigningKey, verifier: TokenVerifier) -> None:
    """The reason is shown and logged: it holds no text of an attacker."""
    assert "canary" not in refused(verifier, signed(key, header(key, kid="canary"), json.dumps(claims())))


def test_remembered_token_still_expires(issuer: TokenIssuer, verifier: TokenVerifier, clock: SimpleNamespace) -> None:
    """A second look at a token is cheap, not blind."""
    text = issuer.mint("bob", [PUSH]).text
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

    assert verifier.verify(text).subject == "bob"


def test_memory_of_tokens_is_bounded(key: SigningKey, clock: SimpleNamespace) -> None:
    """A crowd of tokens pushes the first one out."""
    verifier = TokenVerifier([key], ISSUER, AUDIENCE, lambda: clock.time)
    texts = [signed(key, header(key), json.dumps(claims(jti=str(number)))) for number in range(4097)]
    first = verifier.verify(texts[0])
    second = verifier.verify(texts[1])
    for text in texts[2:]:
        verifier.verify(text)

    assert verifier.verify(texts[1]) is second
    assert verifier.verify(texts[0]) is not first
