"""Docker's token flow, from the endpoint to the request that uses the token."""

import asyncio
import base64
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from auth.actions import ScopeType, ScopeWord
from auth.bootstrap import Prepared, open_registry
from auth.keys import generate_signing_key
from auth.scopes import Scope
from auth.tokens import TokenIssuer
from registry.app import open_databases
from registry.config import Settings
from tests.http.client import ADMIN_PASSWORD, USER, Answer, Registry, basic
from tests.http.documents import sha256

EVERYTHING = [Scope(ScopeType.REPOSITORY, "a", frozenset({ScopeWord.ALL}))]
Mint = Callable[..., str]


def claims_of(token: str) -> dict[str, Any]:
    payload = token.removeprefix("Bearer ").split(".")[1]
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return claims


async def asked_for(registry: Registry, query: str) -> list[dict[str, Any]]:
    """What a token for the root user grants."""
    answer = await registry.get(f"/auth/token?{query}")
    assert answer.status == 200
    access: list[dict[str, Any]] = claims_of(answer.document["token"])["access"]
    return access


async def post_form(registry: Registry, fields: list[tuple[str, str]]) -> Answer:
    return await registry.ask("POST", "/auth/token", body=urlencode(fields).encode(), authorization=None)


def granted(name: str, *actions: str) -> dict[str, Any]:
    return {"type": "repository", "name": name, "actions": list(actions)}


@pytest.fixture
async def identity(registry: Registry) -> Prepared:
    """Who the registry is, its keys included."""
    settings = Settings(storage={"root": registry.root})  # type: ignore[arg-type]  # pydantic reads the dictionary
    databases = open_databases(settings)
    prepared = await open_registry(databases.registry, settings.key_file)
    await databases.close()
    return prepared


@pytest.fixture
def mint(identity: Prepared) -> Mint:
    """Sign a token with the registry's own key, at another time or for another registry."""

    def sign(*, age: float = 0, issuer: str | None = None, audience: str | None = None, subject: str = "admin") -> str:
        issuing = TokenIssuer(
            identity.signing_keys,
            issuer or identity.registry_id,
            audience or identity.registry_id,
            900,
            now=lambda: time.time() - age,
        )
        return "Bearer " + issuing.mint(subject, EVERYTHING).text

    return sign


async def test_token_is_given_for_a_password(registry: Registry) -> None:
    """Under both names, with when it was made and how long it lasts."""
    answer = await registry.get("/auth/token?service=lading&scope=repository:a:pull&account=admin")

    document = answer.document
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert document.keys() == {"token", "access_token", "expires_in", "issued_at"}
    assert document["token"] == document["access_token"]
    assert document["expires_in"] == 900
    claims = claims_of(document["token"])
    assert claims.keys() == {"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "access"}
    assert claims["sub"] == "admin"
    assert claims["exp"] - claims["iat"] == 900
    assert document["issued_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(claims["iat"]))
    assert claims["access"] == [granted("a", "pull")]


@pytest.mark.settings(auth={"token_ttl": 60})
async def test_life_of_a_token_is_a_setting(registry: Registry) -> None:
    """In seconds."""
    assert (await registry.get("/auth/token")).document["expires_in"] == 60


@pytest.mark.parametrize(
    ("query", "access"),
    [
        ("", []),
        ("service=lading", []),
        ("service=elsewhere&scope=repository:a:pull", [granted("a", "pull")]),
        ("scope=repository:a:push,pull", [granted("a", "pull", "push")]),
        ("scope=repository:a:pull,push,delete", [granted("a", "pull", "push", "delete")]),
        ("scope=repository:a:*", [granted("a", "pull", "push", "delete", "*")]),
        ("scope=repository:a:pull&scope=repository:b/c:push", [granted("a", "pull"), granted("b/c", "push")]),
        ("scope=repository:a:pull%20repository:b:pull", [granted("a", "pull"), granted("b", "pull")]),
        ("scope=repository:a:pull+repository:b:pull", [granted("a", "pull"), granted("b", "pull")]),
        ("scope=repository:a:pull&scope=repository:a:push", [granted("a", "pull", "push")]),
        ("scope=repository%3Aa%3Apull", [granted("a", "pull")]),
        ("scope=registry:catalog:*", [{"type": "registry", "name": "catalog", "actions": ["*"]}]),
        ("scope=repository:a:fly,pull", [granted("a", "pull")]),
        ("scope=repository:A:pull", []),
        ("scope=plugin:a:pull", []),
        ("scope=", []),
    ],
)
async def test_scopes_are_read_as_clients_write_them(
    registry: Registry, query: str, access: list[dict[str, Any]]
) -> None:
    """Repeated or with spaces, in any order; what nobody can be granted is left out."""
    found = await asked_for(registry, query)

    assert [{**entry, "actions": sorted(entry["actions"])} for entry in found] == [
        {**entry, "actions": sorted(entry["actions"])} for entry in access
    ]


@pytest.mark.parametrize(
    "query", ["scope=x", "scope=a:b", "scope=::", "&".join(["scope=repository:a:pull"] * 101), "scope=" + "x" * 17_000]
)
async def test_scope_that_cannot_be_read_is_refused(registry: Registry, query: str) -> None:
    """400, for another password would not help."""
    assert (await registry.get(f"/auth/token?{query}")).refusal == (400, "UNSUPPORTED")


@pytest.mark.parametrize("authorization", [None, basic("admin", "wrong"), basic("nobody", ADMIN_PASSWORD), "Basic ?"])
async def test_token_is_not_given_to_strangers(registry: Registry, authorization: str | None) -> None:
    """401 with a challenge to give a password."""
    answer = await registry.get("/auth/token?scope=repository:a:pull", authorization=authorization)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="lading"'


async def test_token_is_not_exchanged_for_another(registry: Registry) -> None:
    """A stolen one ends with its own expiry."""
    answer = await registry.get("/auth/token", authorization=await registry.token("repository:a:pull"))

    assert answer.refusal == (401, "UNAUTHORIZED")


async def test_user_without_rights_gets_a_token_without_any(registry: Registry) -> None:
    """Nothing granted is no error; the request that uses it is refused."""
    token = await registry.token("repository:a:pull,push", "registry:catalog:*", authorization=USER)

    assert claims_of(token)["access"] == []
    assert claims_of(token)["sub"] == "bob"


async def test_no_refresh_token_is_given(registry: Registry) -> None:
    """docker stores it in place of the password, for every client of the machine."""
    answer = await registry.get("/auth/token?account=admin&client_id=docker&offline_token=true&service=lading")

    assert "refresh_token" not in answer.document


PASSWORD_GRANT = [("grant_type", "password"), ("username", "admin"), ("password", ADMIN_PASSWORD)]


async def test_password_grant_gives_a_token(registry: Registry) -> None:
    """docker and crane POST a form, both scopes in one field."""
    scope = ("scope", "repository:a:push,pull repository:b:pull")
    answer = await post_form(registry, [*PASSWORD_GRANT, ("service", "lading"), ("client_id", "docker"), scope])

    assert answer.status == 200
    assert claims_of(answer.document["access_token"])["access"] == [granted("a", "pull", "push"), granted("b", "pull")]


async def test_password_grant_needs_no_scope(registry: Registry) -> None:
    """helm logs in without one."""
    answer = await post_form(registry, PASSWORD_GRANT)

    assert answer.status == 200
    assert (await registry.get("/v2/", authorization="Bearer " + answer.document["token"])).status == 200


@pytest.mark.parametrize(
    ("name", "password"), [("admin", "wrong"), ("nobody", ADMIN_PASSWORD), ("", ""), ("admin", ""), ("admin\0", "x")]
)
async def test_password_grant_for_a_wrong_password_is_refused(registry: Registry, name: str, password: str) -> None:
    """401, the same whichever is wrong."""
    answer = await post_form(registry, [("grant_type", "password"), ("username", name), ("password", password)])

    assert answer.refusal == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    "form",
    [
        b"",
        b"grant_type=refresh_token&refresh_token=x",
        b"grant_type=client_credentials",
        b"grant_type=",
        b"{}",
        b"\xff\xfe",
        b"grant_type=password" + b"&a=b" * 1000,
    ],
)
async def test_other_grants_are_unsupported(registry: Registry, form: bytes) -> None:
    """400: docker falls back to GET."""
    answer = await registry.ask("POST", "/auth/token", body=form, authorization=None)

    assert answer.refusal == (400, "UNSUPPORTED")


async def test_form_is_bounded(registry: Registry) -> None:
    """413, before it is read."""
    answer = await registry.ask("POST", "/auth/token", body=b"x" * 70_000, authorization=None)

    assert answer.refusal == (413, "SIZE_INVALID")


async def test_published_keys_verify_tokens(registry: Registry, identity: Prepared) -> None:
    """Another program needs nothing but the JWKS; issuer and audience are not what the Host header says."""
    published = await registry.get("/auth/jwks.json", authorization=None)
    answer = await registry.get("/auth/token", headers=[("Host", "evil.example")])
    token = answer.document["token"]
    key = jwt.PyJWKSet.from_dict(published.document)[jwt.get_unverified_header(token)["kid"]]

    claims = jwt.decode(
        token, key.key, algorithms=["ES256"], audience=identity.registry_id, issuer=identity.registry_id
    )

    assert claims["sub"] == "admin"
    assert all("d" not in entry for entry in published.document["keys"])


@pytest.mark.settings(server={"public_url": "https://registry.example.com"})
async def test_public_url_names_the_registry(registry: Registry) -> None:
    """Issuer and audience."""
    claims = claims_of(await registry.token())

    assert (claims["iss"], claims["aud"]) == ("https://registry.example.com", "https://registry.example.com")


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
    ("age", "status"), [(0, 202), (959, 202), (961, 401), (10_000_000, 401), (-59, 202), (-65, 401)]
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


def _signed(head: dict[str, Any], body: bytes, key: ec.EllipticCurvePrivateKey) -> str:
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


async def test_scope_is_not_reflected(registry: Registry) -> None:
    """What cannot be read is not shown back as a header or a page."""
    answer = await registry.get("/auth/token?scope=" + quote("<script>\r\nX: y"))

    assert answer.status == 400
    assert b"<script>" not in answer.body
    assert "X" not in answer.headers
