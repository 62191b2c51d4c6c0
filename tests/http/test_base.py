"""`GET /v2/` (end-1), and what every answer below it has."""

import pytest

from tests.http.client import ADMIN, USER, Registry, basic


@pytest.mark.parametrize("path", ["/v2/", "/v2"])
async def test_base_answers_who_has_logged_in(registry: Registry, path: str) -> None:
    """Clients ask this first, some without the slash."""
    answer = await registry.get(path)

    assert (answer.status, answer.body) == (200, b"{}")
    assert answer.headers["Content-Type"].partition(";")[0] == "application/json"
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


async def test_base_is_open_to_a_user_with_no_rights(registry: Registry) -> None:
    """Logging in is no right to anything."""
    answer = await registry.get("/v2/", authorization=USER)

    assert answer.status == 200


async def test_base_takes_a_token_without_scopes(registry: Registry) -> None:
    """regctl logs in with one."""
    answer = await registry.get("/v2/", authorization=await registry.token())

    assert answer.status == 200


async def test_base_challenges_without_a_scope(registry: Registry) -> None:
    """The realm is on the host that was asked, and nothing is asked for before a repository is named."""
    answer = await registry.get("/v2/", authorization=None)

    assert answer.refusal == (401, "UNAUTHORIZED")
    realm = f"http://{registry.host}/auth/token"
    assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{realm}",service="lading"'
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"


@pytest.mark.parametrize(
    "authorization",
    [
        basic("admin", "wrong"),
        basic("nobody", "correct-horse"),
        basic("", ""),
        "Basic ???",
        "Basic YWRtaW4=",
        "Bearer",
        "Digest x",
        ADMIN + "x",
        "Bearer a.b.c",
        basic("admin\x00", "correct-horse"),
    ],
)
async def test_bad_credentials_are_refused_with_the_challenge(registry: Registry, authorization: str) -> None:
    """Whatever is wrong with them, the client learns where to get better ones."""
    answer = await registry.get("/v2/", authorization=authorization)

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert answer.headers["WWW-Authenticate"].startswith(f'Bearer realm="http://{registry.host}/auth/token"')


@pytest.mark.parametrize("host", ["a b", "a/c", 'a"', "a:b", "[::1", "x@y", "a,b:1:2"])
async def test_host_that_is_none_is_refused(registry: Registry, host: str) -> None:
    """What stands there would stand in the challenge (RFC 9112 section 3.2)."""
    answer = await registry.exchange(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 400")
    assert b'{"errors":[{"code":"' in answer


@pytest.mark.parametrize("host", ["", "a", "a.b-c_d", "a:5000", "127.0.0.1:5000", "[::1]", "[::1]:5000", "a:"])
async def test_host_that_is_one_is_challenged(registry: Registry, host: str) -> None:
    answer = await registry.exchange(f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert answer.startswith(b"HTTP/1.1 401")
