"""Signed tokens that must not pass: forged, edited, of another kind, for another registry, out of their time."""

import hashlib
import hmac
import json
import time
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization

from auth.claims import Parties, TokenKind
from auth.key_ring import KeyRing
from auth.keys import SigningKey, generate_signing_key
from auth.tokens import TokenIssuer, TokenVerifier
from tests.auth.forging import AUDIENCE, BOB, ISSUER, NOW, PARTIES, PUSH, claims, encode, header, refused, signed


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
    verifier = TokenVerifier(KeyRing([other_key]), PARTIES, lambda: NOW)

    assert refused(verifier, issuer.mint(BOB, []).text) == "it names no signing key of this registry"


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
    assert verifier.verify(signed(key, header(key), json.dumps(claims(**changes)))).name == "bob"


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
    head, _, signature = issuer.mint(BOB, [PUSH]).text.split(".")
    wider = claims(access=[{"type": "repository", "name": "secret", "actions": ["*"]}])

    reason = refused(verifier, f"{head}.{encode(json.dumps(wider).encode())}.{signature}")

    assert reason == "it was not signed by this registry"


def test_edited_signature(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Every byte of the signature counts, and so does its length."""
    signing_input, _, signature = issuer.mint(BOB, [PUSH]).text.rpartition(".")
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


@pytest.mark.parametrize("confused", ["ES256", "EdDSA", "RS256", "HS256"])
@pytest.mark.parametrize("algorithm", ["EdDSA", "RS256"])
def test_key_of_one_kind_verifies_no_other_algorithm(algorithm: str, confused: str, key: SigningKey) -> None:
    """Every key has one algorithm, whatever others the ring holds."""
    own = generate_signing_key(algorithm)  # type: ignore[arg-type]  # one of the literals
    verifier = TokenVerifier(KeyRing([key, own]), PARTIES, lambda: NOW)
    text = signed(key, header(key, kid=own.kid, alg=confused), json.dumps(claims()))

    refused(verifier, text)


@pytest.mark.parametrize("encoding", [serialization.Encoding.PEM, serialization.Encoding.DER])
def test_public_rsa_key_is_no_shared_secret(encoding: serialization.Encoding) -> None:
    """The confusion that most libraries once had."""
    own = generate_signing_key("RS256")
    head = encode(json.dumps(header(own, alg="HS256")).encode())
    signing_input = f"{head}.{encode(json.dumps(claims()).encode())}"
    signature = hmac.digest(public_bytes(own, encoding), signing_input.encode(), hashlib.sha256)
    verifier = TokenVerifier(KeyRing([own]), PARTIES, lambda: NOW)

    assert refused(verifier, f"{signing_input}.{encode(signature)}") == "its algorithm is not the one of its key"


def test_token_of_another_registry(key: SigningKey, other_key: SigningKey, verifier: TokenVerifier) -> None:
    """With the same names by another key, and by the same key for other names."""
    same_names = TokenIssuer(KeyRing([other_key]), PARTIES, 300, lambda: NOW)
    same_key = TokenIssuer(KeyRing([key]), Parties(f"{ISSUER}:5000", f"{AUDIENCE}:5000"), 300, lambda: NOW)

    assert refused(verifier, same_names.mint(BOB, [PUSH]).text) == "it names no signing key of this registry"
    assert refused(verifier, same_key.mint(BOB, [PUSH]).text) == "another registry issued it"


def test_tokens_of_two_kinds_do_not_stand_for_each_other(issuer: TokenIssuer, verifier: TokenVerifier) -> None:
    """Neither at first sight nor when they are remembered."""
    bearer, password = issuer.mint(BOB, [PUSH]).text, issuer.mint(BOB, kind=TokenKind.AUTHORIZATION).text

    for _ in range(2):
        assert "authorization token" in refused(verifier, password)
        assert "bearer token" in refused(verifier, bearer, TokenKind.AUTHORIZATION)
        verifier.verify(bearer)
        verifier.verify(password, TokenKind.AUTHORIZATION)


def test_type_that_was_edited(issuer: TokenIssuer, verifier: TokenVerifier, key: SigningKey) -> None:
    """The header is signed as well."""
    _, payload, signature = issuer.mint(BOB, kind=TokenKind.AUTHORIZATION).text.split(".")
    head = encode(json.dumps(header(key)).encode())

    assert refused(verifier, f"{head}.{payload}.{signature}") == "it was not signed by this registry"


def test_authorization_token_with_scopes(key: SigningKey, verifier: TokenVerifier) -> None:
    """What we never write is not read, though our key signed it."""
    text = signed(key, header(key, typ="authorization+jwt"), json.dumps(claims()))

    assert refused(verifier, text, TokenKind.AUTHORIZATION) == "its access claim cannot be read"


@pytest.mark.parametrize("sub", ["role/", "role/ci", "role/ci/", "role//s"])
def test_role_without_a_session(key: SigningKey, verifier: TokenVerifier, sub: str) -> None:
    """A role acts in a session only."""
    refused(verifier, signed(key, header(key), json.dumps(claims(sub=sub, session={"facts": [], "policies": []}))))


@pytest.mark.parametrize(
    "session",
    [
        None,
        [],
        "s",
        {},
        {"facts": []},
        {"policies": []},
        {"facts": {}, "policies": []},
        {"facts": [["a"]], "policies": []},
        {"facts": [["a", 1]], "policies": []},
        {"facts": ["ab"], "policies": []},
        {"facts": [], "policies": [{}]},
        {"facts": [], "policies": "p"},
    ],
)
def test_session_that_we_never_write(key: SigningKey, verifier: TokenVerifier, session: object) -> None:
    """Policies that cannot be read limit nothing, so the token opens nothing."""
    refused(verifier, signed(key, header(key), json.dumps(claims(sub="role/ci/s", session=session))))


@pytest.mark.parametrize("claim", ["access_key", "stored_token"])
@pytest.mark.parametrize("value", [1, True, [], {}])
def test_what_it_was_fetched_with_is_a_text(
    key: SigningKey, verifier: TokenVerifier, claim: str, value: object
) -> None:
    """A token does not end with what cannot be looked up."""
    refused(verifier, signed(key, header(key), json.dumps(claims(**{claim: value}))))


@pytest.mark.parametrize("claim", ["authorizations", "opened_by"])
@pytest.mark.parametrize("value", [None, 1, "a", [1], {}])
def test_what_lies_between_it_and_a_login_is_a_list_of_texts(
    key: SigningKey, verifier: TokenVerifier, claim: str, value: object
) -> None:
    """The same."""
    refused(verifier, signed(key, header(key), json.dumps(claims(**{claim: value}))))


HUGE = {
    "dots": lambda _key: "." * 100_000,
    "16 KiB": lambda _key: "a.b." + "c" * 16_381,
    "long key id": lambda key: signed(key, header(key, kid="k" * 10_000), json.dumps(claims())),
    "nested header": lambda _key: f"{encode(b'[' * 9000)}.e30.AAAA",
    "nested claims": lambda key: signed(key, header(key), "[" * 9000),
    "10,000 entries": lambda key: signed(key, header(key), json.dumps(claims(access=claims()["access"] * 10_000))),
    "500 bad entries": lambda key: signed(key, header(key), json.dumps(claims(access=[{"type": "x"}] * 500))),
}


@pytest.mark.parametrize("make", HUGE.values(), ids=HUGE.keys())
def test_refusal_is_quick(key: SigningKey, verifier: TokenVerifier, make: Callable[[SigningKey], str]) -> None:
    """Less than 5 ms of work, whatever is sent: the best of five, for others use the machine too."""
    text, took = make(key), []

    for _ in range(5):
        began = time.thread_time()
        refused(verifier, text)
        took.append(time.thread_time() - began)

    assert min(took) < 0.005
