"""Identity tokens: which are believed, and the attacks that are not."""

import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from auth.errors import WebIdentityInvalid
from auth.foreign_keys import read_keys
from auth.identity_providers import IdentityProvider
from auth.identity_tokens import Identity, read_token, verify_token
from tests.auth.issuer import AUDIENCE, NOW, RSA_KEY, PrivateKey, base64url, claims, jwk, signed

ISSUER = "https://issuer.example.com"
PROVIDER = IdentityProvider.of_issuer(ISSUER, ["other", AUDIENCE])
P256 = ec.generate_private_key(ec.SECP256R1())
P384 = ec.generate_private_key(ec.SECP384R1())
P521 = ec.generate_private_key(ec.SECP521R1())
ED25519 = ed25519.Ed25519PrivateKey.generate()
STRANGER = rsa.generate_private_key(65537, 2048)
KEYS = read_keys(
    json.dumps(
        {
            "keys": [
                jwk(RSA_KEY, kid="first"),
                jwk(P256, kid="p256"),
                jwk(P384, kid="p384"),
                jwk(P521, kid="p521"),
                jwk(ED25519, kid="ed25519"),
            ]
        }
    ).encode()
)


def verify(text: str, now: float = NOW) -> Identity:
    return verify_token(read_token(text), PROVIDER, KEYS, now)


def refusal(text: str, now: float = NOW) -> str:
    with pytest.raises(WebIdentityInvalid) as raised:
        verify(text, now)
    return raised.value.reason


def crafted(header: dict[str, Any], said: dict[str, Any], secret: bytes | None = None) -> str:
    """A token with any header, signed with a secret or not at all."""
    signing_input = f"{base64url(json.dumps(header).encode())}.{base64url(json.dumps(said).encode())}"
    signature = b"" if secret is None else hmac.new(secret, signing_input.encode(), hashlib.sha256).digest()
    return f"{signing_input}.{base64url(signature)}"


@pytest.mark.parametrize(
    ("algorithm", "key", "kid"),
    [
        *((f"{family}{bits}", RSA_KEY, "first") for family in ("RS", "PS") for bits in (256, 384, 512)),
        ("ES256", P256, "p256"),
        ("ES384", P384, "p384"),
        ("ES512", P521, "p521"),
        ("EdDSA", ED25519, "ed25519"),
    ],
)
def test_a_good_token_says_who_it_is_about(algorithm: str, key: PrivateKey, kid: str) -> None:
    said = claims(ISSUER, repository="octo/app")

    assert verify(signed(said, key, algorithm, kid=kid)) == Identity(PROVIDER, "somebody", said)


@pytest.mark.parametrize("algorithm", ["none", "None", "nOnE", ""])
def test_a_token_without_a_signature_is_refused(algorithm: str) -> None:
    refusal(crafted({"alg": algorithm, "kid": "first"}, claims(ISSUER)))


@pytest.mark.parametrize("form", ["pem", "der", "jwk"])
def test_a_token_that_is_signed_with_the_public_key_as_a_secret_is_refused(form: str) -> None:
    public_key = RSA_KEY.public_key()
    encoding = {"pem": serialization.Encoding.PEM, "der": serialization.Encoding.DER}.get(form)
    secret = (
        json.dumps(jwk(RSA_KEY, kid="first")).encode()
        if encoding is None
        else public_key.public_bytes(encoding, serialization.PublicFormat.SubjectPublicKeyInfo)
    )

    refusal(crafted({"alg": "HS256", "kid": "first"}, claims(ISSUER), secret))


@pytest.mark.parametrize(
    "members",
    [
        {"jwk": jwk(STRANGER, kid="first")},
        {"jku": "https://evil.example.com/keys"},
        {"x5u": "https://evil.example.com/certificate"},
        {"x5c": ["MIIB"]},
        {"crit": ["exp"]},
        {"crit": ["b64"], "b64": False},
        {"typ": "logout+jwt"},
        {"typ": "secevent+jwt"},
        {"typ": 1},
    ],
)
def test_a_header_that_brings_its_own_rules_is_refused(members: dict[str, Any]) -> None:
    """Also under the provider's own signature."""
    headers = {"alg": "RS256", "kid": "first", **members}
    signing_input = f"{base64url(json.dumps(headers).encode())}.{base64url(json.dumps(claims(ISSUER)).encode())}"
    signature = jwt.algorithms.RSAAlgorithm(jwt.algorithms.RSAAlgorithm.SHA256).sign(signing_input.encode(), RSA_KEY)

    refusal(f"{signing_input}.{base64url(signature)}")


@pytest.mark.parametrize("kid", ["../../dev/null", "' OR 1=1 --", "k" * 10_000, "second", None])
def test_a_key_that_the_issuer_does_not_publish_signs_nothing(kid: str | None) -> None:
    refusal(signed(claims(ISSUER), kid=kid))


def test_a_strangers_key_under_a_known_id_signs_nothing() -> None:
    assert refusal(signed(claims(ISSUER), STRANGER)) == "its signature is not that of its issuer"


@pytest.mark.parametrize(("algorithm", "kid"), [("ES256", "first"), ("RS256", "p256"), ("ES256", "p384")])
def test_an_algorithm_that_is_not_the_keys_is_refused(algorithm: str, kid: str) -> None:
    key: PrivateKey = P256 if algorithm == "ES256" else RSA_KEY

    refusal(signed(claims(ISSUER), key, algorithm, kid=kid))


def test_changed_claims_are_refused() -> None:
    header, _, signature = signed(claims(ISSUER)).split(".")
    payload = base64url(json.dumps(claims(ISSUER, sub="admin")).encode())

    assert refusal(f"{header}.{payload}.{signature}") == "its signature is not that of its issuer"


@pytest.mark.parametrize(
    "issuer",
    [
        ISSUER + "/",
        ISSUER.upper(),
        ISSUER[:-1],
        ISSUER + ".evil.com",
        "http://issuer.example.com",
        1,
        [ISSUER],
        None,
        "",
    ],
)
def test_another_issuer_is_refused(issuer: Any) -> None:
    refusal(signed(claims(ISSUER, iss=issuer) | ({"iss": issuer} if issuer == "" else {})))


@pytest.mark.parametrize("audience", [AUDIENCE, [AUDIENCE], ["another", "other"]])
def test_one_audience_of_the_provider_is_enough(audience: Any) -> None:
    assert verify(signed(claims(ISSUER, aud=audience))).subject == "somebody"


@pytest.mark.parametrize("audience", [None, "", [], "ladin", "lading/", ["another"], [AUDIENCE, 1], {AUDIENCE: 1}, 1])
def test_a_token_for_another_service_is_refused(audience: Any) -> None:
    refusal(signed(claims(ISSUER, aud=audience)))


@pytest.mark.parametrize("subject", [None, "", 1, ["somebody"], "s" * 256])
def test_a_token_about_nobody_is_refused(subject: Any) -> None:
    refusal(signed(claims(ISSUER, sub=subject)))


@pytest.mark.parametrize(
    "times",
    [
        {"exp": NOW - 59},
        {"exp": 2**53},
        {"exp": NOW + 0.5},
        {"nbf": NOW + 59},
        {"iat": NOW + 59},
        {"nbf": None, "iat": None},
        {"iat": NOW - 24 * 3600},
    ],
)
def test_clocks_may_differ_by_a_minute(times: dict[str, Any]) -> None:
    assert verify(signed(claims(ISSUER, **times))).subject == "somebody"


@pytest.mark.parametrize(
    "times",
    [
        {"exp": None},
        {"exp": NOW - 60},
        {"nbf": NOW + 61},
        {"iat": NOW + 61},
        {"iat": NOW - 26 * 3600},
        {"exp": True},
        {"exp": "2099-01-01"},
        {"exp": str(NOW + 300)},
        {"exp": -1},
        {"exp": 2**53 + 2},
        {"exp": [NOW + 300]},
        {"nbf": "now"},
        {"iat": False},
    ],
)
def test_a_token_that_is_not_current_is_refused(times: dict[str, Any]) -> None:
    refusal(signed(claims(ISSUER, **times)))


@pytest.mark.parametrize("number", ["1e400", "NaN", "Infinity", "1" + "0" * 5000])
def test_a_number_that_is_no_time_is_refused(number: str) -> None:
    said = json.dumps(claims(ISSUER)).replace(f'"exp": {NOW + 300}', f'"exp": {number}')
    assert number in said

    refusal(jwt.api_jws.encode(said.encode(), RSA_KEY, "RS256", headers={"kid": "first"}))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b'{"iss": "a", "iss": "b"}',
        b'{"iss": "a", "sub": "\\ud800"}',
        b'{"iss": "a\\u0000"}',
        b'{"iss": "a", "\\ud800": 1}',
        b'{"a":' * 3000,
        b"{" + b" " * 9000 + b"}",
    ],
)
def test_claims_that_cannot_be_read_are_refused(payload: bytes) -> None:
    refusal(jwt.api_jws.encode(payload, RSA_KEY, "RS256", headers={"kid": "first"}))


@pytest.mark.parametrize("text", ["", ".", "..", "a.b", "." * 100_000, "a.b.c.d", "é.é.é", "a" * 20_000])
def test_what_is_no_token_is_refused(text: str) -> None:
    refusal(text)


def test_a_token_of_more_than_16_kib_is_refused() -> None:
    assert refusal(signed(claims(ISSUER, padding="p" * 16_384))) == "it is malformed or too long"
