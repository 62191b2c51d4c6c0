"""Tokens that are kept: refresh tokens, service tokens, the authorization token; and tokens taken back."""

import time
from collections.abc import AsyncIterator
from urllib.parse import urlencode

import pytest

from auth.bootstrap import Prepared
from auth.callers import Caller
from auth.claims import Parties, TokenKind
from auth.key_ring import KeyRing
from auth.principals import Principal, PrincipalKind
from auth.tokens import IssuedToken, TokenIssuer
from tests.http.claims import claims_of, granted
from tests.http.client import ADMIN_PASSWORD, USER, USER_PASSWORD, Answer, Registry, Start, basic
from tests.http.people import PULL, People, administered, allow, document

EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
JWT = "urn:ietf:params:oauth:token-type:jwt"


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def post_form(registry: Registry, **fields: str) -> Answer:
    return await registry.ask("POST", "/auth/token", body=urlencode(fields).encode(), authorization=None)


async def log_in(registry: Registry, authorization: str = USER) -> str:
    """What docker does, and the refresh token that it keeps."""
    query = "account=bob&client_id=docker&offline_token=true&service=lading"
    answer = await registry.get(f"/auth/token?{query}", authorization=authorization)
    assert answer.status == 200
    return str(answer.document["refresh_token"])


async def refresh(registry: Registry, token: str, scope: str = "") -> Answer:
    return await post_form(registry, grant_type="refresh_token", refresh_token=token, scope=scope, service="lading")


def authorization_token(identity: Prepared, name: str = "bob") -> IssuedToken:
    """What GetAuthorizationToken answers."""
    parties = Parties(identity.registry_id, identity.registry_id)
    kind = PrincipalKind.ROOT if name == "admin" else PrincipalKind.USER
    issuer = TokenIssuer(KeyRing(identity.signing_keys), parties, 900, time.time)
    return issuer.mint(Caller(Principal(identity.account_id, name, kind)), kind=TokenKind.AUTHORIZATION)


async def test_docker_keeps_a_refresh_token_in_place_of_the_password(registry: Registry, people: People) -> None:
    """Every client of the machine exchanges it, any number of times, for what the policies say then."""
    token = await log_in(registry)
    assert claims_of((await refresh(registry, token, "repository:a:pull")).document["token"])["access"] == []

    await people.give("bob", allow(*PULL))

    for _ in range(3):
        answer = await refresh(registry, token, "repository:a:pull,push repository:b:pull")
        assert answer.status == 200
        assert answer.document["scope"] == "repository:a:pull repository:b:pull"
        assert "refresh_token" not in answer.document
        claims = claims_of(answer.document["access_token"])
        assert (claims["sub"], claims["access"]) == ("bob", [granted("a", "pull"), granted("b", "pull")])


async def test_password_grant_gives_a_refresh_token_if_asked(registry: Registry) -> None:
    """The OAuth2 way to ask is `access_type=offline`."""
    fields = {"grant_type": "password", "username": "bob", "password": USER_PASSWORD}
    plain = await post_form(registry, **fields)
    offline = await post_form(registry, **fields, access_type="offline")

    assert "refresh_token" not in plain.document
    assert (await refresh(registry, offline.document["refresh_token"])).status == 200


async def test_refresh_token_is_not_given_unasked(registry: Registry) -> None:
    """docker would store it for every client of the machine."""
    for query in ("", "offline_token=false", "offline_token=1"):
        answer = await registry.get(f"/auth/token?{query}", authorization=USER)
        assert "refresh_token" not in answer.document


@pytest.mark.settings(auth={"anonymous": "pull"})
async def test_nobody_keeps_a_token_for_nothing(registry: Registry) -> None:
    """Anonymous callers log in anew."""
    answer = await registry.get("/auth/token?offline_token=true&scope=repository:a:pull", authorization=None)

    assert answer.status == 200
    assert "refresh_token" not in answer.document


async def test_refresh_token_opens_nothing_else(registry: Registry) -> None:
    """Neither as a bearer token nor as a password."""
    token = await log_in(registry)

    for authorization in (f"Bearer {token}", basic("bob", token), basic("token", token), basic("<token>", token)):
        assert (await registry.get("/v2/", authorization=authorization)).refusal == (401, "UNAUTHORIZED")


@pytest.mark.parametrize("token", ["", "x", "ldt_aaaaaaaaaaaaaaaa_" + "A" * 43, "a.b.c"])
async def test_other_refresh_tokens_are_refused(registry: Registry, token: str) -> None:
    """401: the client asks for the password again."""
    answer = await refresh(registry, token)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"] == 'Basic realm="lading"'


async def test_changed_password_ends_refresh_tokens(registry: Registry, people: People) -> None:
    """With the access tokens that they were exchanged for."""
    token = await log_in(registry)
    access = "Bearer " + (await refresh(registry, token)).document["token"]
    assert (await registry.get("/v2/", authorization=access)).status == 200

    await people.accounts.set_password("bob", "another")

    assert (await refresh(registry, token)).refusal == (401, "UNAUTHORIZED")
    assert (await registry.get("/v2/", authorization=access)).refusal == (401, "UNAUTHORIZED")
    again = await log_in(registry, basic("bob", "another"))
    assert (await refresh(registry, again)).status == 200


async def test_service_token_pulls(registry: Registry, people: People) -> None:
    """As a password, as a bearer token, and exchanged; never more than its policy says."""
    await registry.push_image("app", "latest")
    await people.give("bob", allow("ecr:*"))
    token = str((await people.stored.create_service("bob", "ci", policy=document(allow(*PULL))))[0])
    fetched = await registry.token("repository:app:pull,push", authorization=basic("token", token))
    answer = await registry.get("/auth/token?offline_token=true", authorization=basic("bob", token))

    assert claims_of(fetched)["access"] == [granted("app", "pull")]
    assert "refresh_token" not in answer.document
    for authorization in (basic("bob", token), basic("token", token), f"Bearer {token}", fetched):
        assert (await registry.get("/v2/app/manifests/latest", authorization=authorization)).status == 200
        pushing = await registry.post("/v2/app/blobs/uploads/", authorization=authorization)
        assert pushing.status == 403


async def test_deleted_service_token_is_out_on_every_worker(start: Start) -> None:
    """With what was fetched with it."""
    async with start() as one, start() as other, administered(one.root) as people:
        token = str((await people.stored.create_service("bob", "ci"))[0])
        fetched = await one.token(authorization=basic("bob", token))
        for worker in (one, other):
            for authorization in (f"Bearer {token}", fetched):
                assert (await worker.get("/v2/", authorization=authorization)).status == 200

        await people.stored.delete_service("bob", "ci")

        for worker in (one, other):
            for authorization in (f"Bearer {token}", fetched):
                assert (await worker.get("/v2/", authorization=authorization)).status == 401


async def test_authorization_token_works_wherever_a_password_does(
    registry: Registry, identity: Prepared, people: People
) -> None:
    """Basic with the user AWS, on the registry's paths and at the token endpoint, GET and POST."""
    await registry.push_image("app", "latest")
    await people.give("bob", allow(*PULL, "ecr:ListImages"))
    token = authorization_token(identity)
    aws = basic("AWS", token.text)
    bearer = await registry.token("repository:app:pull", authorization=aws)
    posted = await post_form(registry, grant_type="password", username="AWS", password=token.text)

    assert token.expires_in == 43_200
    assert claims_of(bearer)["authorizations"] == [token.id]
    assert posted.status == 200
    for path in ("/v2/", "/v2/app/manifests/latest", "/v2/app/tags/list"):
        for authorization in (aws, bearer):
            assert (await registry.get(path, authorization=authorization)).status == 200
    assert (await registry.post("/v2/app/blobs/uploads/", authorization=aws)).refusal == (403, "DENIED")


async def test_kinds_of_tokens_do_not_stand_for_each_other(registry: Registry, identity: Prepared) -> None:
    """An authorization token as bearer, an access token as the password of AWS."""
    password, bearer = authorization_token(identity, "admin").text, await registry.token("repository:a:pull,push")
    assert (await registry.get("/v2/", authorization=basic("AWS", password))).status == 200

    for authorization in (f"Bearer {password}", basic("AWS", bearer.removeprefix("Bearer "))):
        answer = await registry.post("/v2/a/blobs/uploads/", authorization=authorization)
        assert answer.refusal == (401, "UNAUTHORIZED")
    posted = await post_form(registry, grant_type="refresh_token", refresh_token=bearer.removeprefix("Bearer "))
    assert posted.refusal == (401, "UNAUTHORIZED")


async def test_token_that_was_taken_back_is_out_on_every_worker(start: Start) -> None:
    """At the next request; the user's other tokens go on."""
    async with start() as one, start() as other, administered(one.root) as people:
        token, spared = await one.token(), await one.token()
        for worker in (one, other):
            assert (await worker.get("/v2/", authorization=token)).status == 200

        claims = claims_of(token)
        await people.revocations.revoke(claims["jti"], claims["exp"])

        for worker in (one, other):
            answer = await worker.get("/v2/", authorization=token)
            assert answer.refusal == (401, "UNAUTHORIZED")
            assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
            assert (await worker.get("/v2/", authorization=spared)).status == 200


async def test_password_may_hold_colons(registry: Registry, people: People) -> None:
    """The user name ends at the first one."""
    await people.accounts.create_user("carol", "a:b::c")

    assert (await registry.get("/auth/token", authorization=basic("carol", "a:b::c"))).status == 200
    posted = await post_form(registry, grant_type="password", username="carol", password="a:b::c")
    assert posted.status == 200


async def test_life_of_a_token_is_cut_by_what_it_was_fetched_with(registry: Registry, people: People) -> None:
    """Never to less than a minute, which clients take for a token without end."""
    now = time.time()
    short = str((await people.stored.create_service("bob", "short", expires_at=now + 90))[0])
    ending = str((await people.stored.create_service("bob", "ending", expires_at=now + 50))[0])

    answer = await registry.get("/auth/token", authorization=basic("bob", short))
    refused = await registry.get("/auth/token", authorization=basic("bob", ending))

    assert 60 <= answer.document["expires_in"] <= 90
    assert refused.refusal == (401, "UNAUTHORIZED")


async def test_exchange_is_refused_where_no_issuer_is_trusted(registry: Registry) -> None:
    """As a grant that is not offered; or before that, for want of a role or a type."""
    fields = {"grant_type": EXCHANGE, "subject_token": "a.b.c", "subject_token_type": JWT, "role": "ci"}

    assert (await post_form(registry, **fields)).status in {400, 401}
    for missing in ("subject_token_type", "role"):
        answer = await post_form(registry, **{name: value for name, value in fields.items() if name != missing})
        assert answer.refusal == (401, "UNAUTHORIZED")


async def test_bearer_is_given_no_refresh_token(registry: Registry) -> None:
    """A stolen one ends with its own expiry."""
    bearer = await registry.token(authorization=basic("admin", ADMIN_PASSWORD))

    answer = await registry.get("/auth/token?offline_token=true", authorization=bearer)

    assert answer.refusal == (401, "UNAUTHORIZED")
