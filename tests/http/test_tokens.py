"""Docker's token flow, from the endpoint to the request that uses the token."""

import time
from typing import Any
from urllib.parse import quote, urlencode

import jwt
import pytest

from auth.bootstrap import Prepared
from tests.http.claims import claims_of, granted
from tests.http.client import ADMIN_PASSWORD, USER, Answer, Registry, basic


async def asked_for(registry: Registry, query: str) -> list[dict[str, Any]]:
    """What a token for the root user grants."""
    answer = await registry.get(f"/auth/token?{query}")
    assert answer.status == 200
    access: list[dict[str, Any]] = claims_of(answer.document["token"])["access"]
    return access


async def post_form(registry: Registry, fields: list[tuple[str, str]]) -> Answer:
    return await registry.ask("POST", "/auth/token", body=urlencode(fields).encode(), authorization=None)


async def test_token_is_given_for_a_password(registry: Registry) -> None:
    """Under both names, with when it was made and how long it lasts."""
    answer = await registry.get("/auth/token?service=lading&scope=repository:a:pull&account=admin")

    document = answer.document
    assert (answer.status, answer.headers["Cache-Control"]) == (200, "no-store")
    assert document.keys() == {"token", "access_token", "token_type", "scope", "expires_in", "issued_at"}
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
        b"grant_type=urn:ietf:params:oauth:grant-type:device_code",
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


async def test_scope_is_not_reflected(registry: Registry) -> None:
    """What cannot be read is not shown back as a header or a page."""
    answer = await registry.get("/auth/token?scope=" + quote("<script>\r\nX: y"))

    assert answer.status == 400
    assert b"<script>" not in answer.body
    assert "X" not in answer.headers
