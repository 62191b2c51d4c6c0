"""Service tokens, signed tokens and signing keys by the admin API."""

import json
from typing import Any

from tests.http.claims import claims_of
from tests.http.client import Answer, Registry, basic
from tests.http.people import PULL, allow

POLICY = {"Version": "2012-10-17", "Statement": [allow(*PULL)]}


async def send(registry: Registry, method: str, path: str, **body: Any) -> Answer:
    headers = [("Content-Type", "application/json")]
    return await registry.ask(method, f"/admin/v1{path}", body=json.dumps(body).encode(), headers=headers)


async def test_service_token_logs_in_until_it_is_deleted(registry: Registry) -> None:
    """Its text is in the one answer that made it."""
    made = await send(registry, "POST", "/users/bob/service-tokens", name="ci", policy=POLICY)
    token = made.document["token"]
    listed = await registry.get("/admin/v1/users/bob/service-tokens")

    assert made.status == 201
    assert [(each["name"], each["expires_at"]) for each in listed.document["items"]] == [("ci", None)]
    assert token not in listed.body.decode()
    assert (await registry.get("/v2/", authorization=basic("bob", token))).status == 200
    assert (await registry.delete("/admin/v1/users/bob/service-tokens/ci")).status == 204
    assert (await registry.get("/v2/", authorization=basic("bob", token))).status == 401
    assert (await registry.delete("/admin/v1/users/bob/service-tokens/ci")).status == 404


async def test_service_token_is_checked_before_it_is_made(registry: Registry) -> None:
    """Its name is free, its end to come, its policy one."""
    path = "/users/bob/service-tokens"
    assert (await send(registry, "POST", path, name="ci", expires_at="2100-01-01T00:00:00+02:00")).status == 201

    answers = [
        await send(registry, "POST", path, name="ci"),
        await send(registry, "POST", path, name="past", expires_at="2001-01-01T00:00:00Z"),
        await send(registry, "POST", path, name="late", expires_at="9999-12-31T23:59:59-12:00"),
        await send(registry, "POST", path, name="soon", expires_at="soon"),
        await send(registry, "POST", path, name="broken", policy={"Version": "2012-10-17"}),
        await send(registry, "POST", path, name="long", policy=" " * 4097),
        await send(registry, "POST", "/users/nobody/service-tokens", name="ci"),
    ]

    assert [answer.status for answer in answers] == [409, 400, 400, 400, 400, 400, 404]
    assert [each["name"] for each in (await registry.get(f"/admin/v1{path}")).document["items"]] == ["ci"]


async def test_signed_token_is_taken_back(registry: Registry) -> None:
    """By the id that it says."""
    token = await registry.token()

    answer = await send(registry, "POST", "/revoked-tokens", id=claims_of(token)["jti"])

    assert answer.status == 204
    assert (await registry.get("/v2/", authorization=token)).status == 401
    assert (await send(registry, "POST", "/revoked-tokens", id="no id")).status == 404


async def test_signing_keys_take_turns(registry: Registry) -> None:
    """What was signed before stays valid until its key is retired."""
    token = await registry.token()
    (before,) = (await registry.get("/admin/v1/signing-keys")).document["items"]
    refused = await registry.delete(f"/admin/v1/signing-keys/{before['kid']}")

    made = await send(registry, "POST", "/signing-keys", algorithm="EdDSA")

    assert refused.status == 409
    assert (made.status, made.document["state"], made.document["algorithm"]) == (201, "signing", "EdDSA")
    assert (await registry.get("/v2/", authorization=token)).status == 200
    assert (await registry.delete(f"/admin/v1/signing-keys/{before['kid']}")).status == 204
    assert (await registry.get("/v2/", authorization=token)).status == 401
    assert (await send(registry, "POST", "/signing-keys", algorithm="HS256")).status == 400
    assert (await registry.delete("/admin/v1/signing-keys/unknown")).status == 404
