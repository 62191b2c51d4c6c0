"""Tokens in use: what they open, until when, and which are refused."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.actions import ScopeType, ScopeWord
from auth.bootstrap import Prepared
from auth.callers import Caller
from auth.claims import Parties
from auth.key_ring import KeyRing
from auth.keys import PrivateKey, generate_signing_key
from auth.principals import Principal, PrincipalKind
from auth.scopes import Scope
from auth.tokens import TokenIssuer
from tests.http.claims import claims_of, granted
from tests.http.client import Registry
from tests.http.documents import sha256

EVERYTHING = [Scope(ScopeType.REPOSITORY, "a", frozenset({ScopeWord.ALL}))]
Mint = Callable[..., str]


@pytest.fixture
def mint(identity: Prepared) -> Mint:
    """Sign a token with the registry's own key, at another time or for another registry."""

    def sign(*, age: float = 0, issuer: str | None = None, audience: str | None = None, subject: str = "admin") -> str:
        parties = Parties(issuer or identity.registry_id, audience or identity.registry_id)
        issuing = TokenIssuer(KeyRing(identity.signing_keys), parties, 900, now=lambda: time.time() - age)
        caller = Caller(Principal(identity.account_id, subject, PrincipalKind.USER))
        return "Bearer " + issuing.mint(caller, EVERYTHING).text

    return sign


async def test_token_pushes_and_pulls(registry: Registry) -> None:
    """What it was asked for."""
    token = await registry.token("repository:a:pull,push")
    location = await registry.start_upload("a", authorization=token)
    pushed = await registry.put(f"{location}?digest={sha256(b'x')}", b"x", authorization=token)

    assert pushed.status == 201
    assert (await registry.get(pushed.location, authorization=token)).body == b"x"


@pytest.mark.parametrize(
    "held", ["repository:a:pull", "repository:ab:push", "repository:a/b:push", "registry:catalog:*"]
)
async def test_token_is_a_ceiling(registry: Registry, held: str) -> None:
    """The root user may push; this token may not. The challenge says which would."""
    token = await registry.token(held)

    answer = await registry.post("/v2/a/blobs/uploads/", authorization=token)

    assert answer.refusal == (401, "DENIED")
    realm = f"http://{registry.host}/auth/token"
    assert answer.headers["WWW-Authenticate"] == (
        f'Bearer realm="{realm}",service="lading",scope="repository:a:pull,push",error="insufficient_scope"'
    )
    assert answer.detail["action"] == "ecr:InitiateLayerUpload"


async def test_token_to_pull_does_not_delete(registry: Registry) -> None:
    """Nor does one to push."""
    payload = await registry.push_image("a", "latest")
    token = await registry.token("repository:a:pull,push")

    answer = await registry.delete(f"/v2/a/manifests/{sha256(payload)}", authorization=token)

    assert answer.refusal == (401, "DENIED")
    assert 'scope="repository:a:delete"' in answer.headers["WWW-Authenticate"]
    assert (await registry.get("/v2/a/manifests/latest")).status == 200


@pytest.mark.parametrize(
    ("age", "status"), [(0, 202), (940, 202), (961, 401), (10_000_000, 401), (-59, 202), (-65, 401)]
)
async def test_token_is_valid_in_its_time(registry: Registry, mint: Mint, age: float, status: int) -> None:
    """15 minutes, and a minute of leeway for clocks on either side."""
    answer = await registry.post("/v2/a/blobs/uploads/", authorization=mint(age=age))

    assert answer.status == status
    if status == 401:
        assert answer.refusal == (401, "UNAUTHORIZED")
        assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_expiry_is_judged_when_the_request_begins(registry: Registry, mint: Mint) -> None:
    """An upload that takes longer than its token is finished."""
    location = await registry.start_upload("a")
    reader, writer = await registry.connect()
    path = f"{location}?digest={sha256(b'x')}"
    token = mint(age=958.5)
    writer.write(registry.request_head("PUT", path, "Content-Length: 1", "Expect: 100-continue", authorization=token))
    await reader.readuntil(b"\r\n\r\n")

    async with asyncio.timeout(10):
        while (await registry.get("/v2/", authorization=token)).status == 200:  # noqa: ASYNC110 (waits for a clock)
            await asyncio.sleep(0.05)
    writer.write(b"x")

    assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 201 ")
    writer.close()


@pytest.mark.parametrize(
    "members",
    [
        {"issuer": "https://elsewhere.example"},
        {"audience": "https://elsewhere.example"},
        {"subject": "nobody"},
        {"subject": ""},
    ],
)
async def test_token_for_another_is_invalid(registry: Registry, mint: Mint, members: dict[str, str]) -> None:
    """Signed by our key, and still not ours: another registry, another audience, a user who is gone."""
    answer = await registry.post("/v2/a/blobs/uploads/", authorization=mint(**members))

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


async def test_forged_token_is_invalid(registry: Registry, identity: Prepared) -> None:
    """No signature, a signature with what is public, another key, a key that the token brings along."""
    own = identity.signing_keys[0]
    pem = own.public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    stranger = generate_signing_key()
    now = int(time.time())
    claims = {
        "iss": identity.registry_id,
        "aud": identity.registry_id,
        "sub": "admin",
        "exp": now + 900,
        "nbf": now,
        "iat": now,
        "jti": "x",
        "access": [granted("a", "pull", "push", "delete", "*")],
    }
    head, body = ({"alg": "ES256", "typ": "JWT", "kid": own.kid}, json.dumps(claims).encode())
    signed = _signed(head, body, own.private_key)
    assert (await registry.post("/v2/a/blobs/uploads/", authorization=f"Bearer {signed}")).status == 202

    forged = [
        signed[:-4] + ("AAAA" if not signed.endswith("AAAA") else "BBBB"),
        signed.rpartition(".")[0] + ".",
        _unsigned({**head, "alg": "none"}, body),
        _unsigned({**head, "alg": "nOnE"}, body),
        _hmac({**head, "alg": "HS256"}, body, pem),
        _hmac({**head, "alg": "HS256"}, body, json.dumps(own.jwk).encode()),
        _signed(head, body, stranger.private_key),
        _signed({**head, "kid": stranger.kid}, body, stranger.private_key),
        _signed({**head, "jwk": stranger.jwk}, body, stranger.private_key),
        _signed({**head, "jku": "http://127.0.0.1/"}, body, own.private_key),
        _signed({**head, "kid": "../../dev/null"}, body, own.private_key),
        _signed({**head, "kid": "x" * 10_000}, body, own.private_key),
        _signed({"alg": "ES256"}, body, own.private_key),
        _signed(head, b"[]", own.private_key),
        _signed(head, json.dumps({**claims, "exp": True}).encode(), own.private_key),
        _signed(head, json.dumps({**claims, "exp": str(now + 900)}).encode(), own.private_key),
        _signed(head, json.dumps({**claims, "access": "all"}).encode(), own.private_key),
        "." * 10_000,
        "x" * 16_500,
    ]
    for token in forged:
        answer = await registry.post("/v2/a/blobs/uploads/", authorization=f"Bearer {token}")

        assert answer.refusal == (401, "UNAUTHORIZED"), token[:100]


def _part(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).decode().rstrip("=")


def _unsigned(head: dict[str, Any], body: bytes) -> str:
    return f"{_part(json.dumps(head).encode())}.{_part(body)}."


def _hmac(head: dict[str, Any], body: bytes, key: bytes) -> str:
    message = _unsigned(head, body)[:-1]
    return f"{message}.{_part(hmac.digest(key, message.encode(), 'sha256'))}"


def _signed(head: dict[str, Any], body: bytes, key: PrivateKey) -> str:
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    message = _unsigned(head, body)[:-1]
    signer = jwt.algorithms.ECAlgorithm(jwt.algorithms.ECAlgorithm.SHA256)
    return f"{message}.{_part(signer.sign(message.encode(), key))}"


@pytest.mark.settings(auth={"anonymous": "pull"})
async def test_anonymous_token_reads_and_no_more(registry: Registry) -> None:
    """Clients fetch one before they pull; what it is not granted is left out."""
    digest = await registry.push_blob("a", b"x")
    token = await registry.token("repository:a:pull,push,delete", authorization=None)

    assert claims_of(token)["sub"] == ""
    assert claims_of(token)["access"] == [granted("a", "pull")]
    assert (await registry.get("/v2/", authorization=token)).status == 200
    assert (await registry.get(f"/v2/a/blobs/{digest}", authorization=token)).body == b"x"
    assert (await registry.post("/v2/a/blobs/uploads/", authorization=token)).status == 401


@pytest.mark.settings(dev=True)
async def test_anonymous_token_pushes_where_anybody_may(registry: Registry) -> None:
    """--dev."""
    token = await registry.token("repository:a:pull,push", authorization=None)

    assert (await registry.post("/v2/a/blobs/uploads/", authorization=token)).status == 202
