"""Who gets through, on every route, and what a stranger learns."""

import re
import ssl

import pytest
import trustme

from registry.http.routes import PUBLIC, Route
from registry.oci.routes import ROUTES
from tests.http.client import ADMIN, USER, Answer, Registry, Start
from tests.http.documents import ABSENT, IMAGE

UPLOAD_ID = "00000000-0000-4000-8000-000000000000"
_VALUES = {"digest": ABSENT, "reference": "latest", "upload": UPLOAD_ID, "slash": "/"}
_PLACE = re.compile(r"\{(\w+):[^{}]*\}")
_ANONYMOUS = {
    # method, path: with anonymous = none, with anonymous = pull, with --dev
    ("GET", "/v2/"): (401, 401, 200),
    ("GET", "/v2/_catalog"): (401, 200, 200),
    ("POST", "/v2/team/app/blobs/uploads/"): (401, 401, 202),
    ("GET", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): (401, 401, 404),
    ("PATCH", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): (401, 401, 404),
    ("PUT", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): (401, 401, 400),
    ("DELETE", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): (401, 401, 404),
    ("GET", f"/v2/team/app/blobs/{ABSENT}"): (401, 404, 404),
    ("HEAD", f"/v2/team/app/blobs/{ABSENT}"): (401, 404, 404),
    ("DELETE", f"/v2/team/app/blobs/{ABSENT}"): (401, 401, 404),
    ("GET", "/v2/team/app/manifests/latest"): (401, 404, 404),
    ("HEAD", "/v2/team/app/manifests/latest"): (401, 404, 404),
    ("PUT", "/v2/team/app/manifests/latest"): (401, 401, 400),
    ("DELETE", "/v2/team/app/manifests/latest"): (401, 401, 404),
    ("GET", "/v2/team/app/tags/list"): (401, 404, 404),
    ("GET", f"/v2/team/app/referrers/{ABSENT}"): (401, 200, 200),
    ("GET", "/auth/token"): (401, 200, 200),
    ("POST", "/auth/token"): (400, 400, 400),
    ("GET", "/auth/jwks.json"): (200, 200, 200),
}
_SCOPES = {
    # what the challenge asks for
    ("GET", "/v2/"): None,
    ("GET", "/v2/_catalog"): "registry:catalog:*",
    ("POST", "/v2/team/app/blobs/uploads/"): "repository:team/app:pull,push",
    ("GET", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): "repository:team/app:pull,push",
    ("PATCH", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): "repository:team/app:pull,push",
    ("PUT", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): "repository:team/app:pull,push",
    ("DELETE", f"/v2/team/app/blobs/uploads/{UPLOAD_ID}"): "repository:team/app:pull,push",
    ("GET", f"/v2/team/app/blobs/{ABSENT}"): "repository:team/app:pull",
    ("HEAD", f"/v2/team/app/blobs/{ABSENT}"): "repository:team/app:pull",
    ("DELETE", f"/v2/team/app/blobs/{ABSENT}"): "repository:team/app:delete",
    ("GET", "/v2/team/app/manifests/latest"): "repository:team/app:pull",
    ("HEAD", "/v2/team/app/manifests/latest"): "repository:team/app:pull",
    ("PUT", "/v2/team/app/manifests/latest"): "repository:team/app:pull,push",
    ("DELETE", "/v2/team/app/manifests/latest"): "repository:team/app:delete",
    ("GET", "/v2/team/app/tags/list"): "repository:team/app:pull",
    ("GET", f"/v2/team/app/referrers/{ABSENT}"): "repository:team/app:pull",
}


def path_of(route: Route, name: str = "team/app") -> str:
    return _PLACE.sub(lambda place: {**_VALUES, "name": name}[place[1]], route.path)


GUARDED = [route for route in ROUTES if route.actions != PUBLIC]


async def ask(registry: Registry, route: Route, authorization: str | None, name: str = "team/app") -> Answer:
    return await registry.ask(route.method, path_of(route, name), authorization=authorization)


def test_table_names_every_route() -> None:
    """A route that is added is decided here."""
    assert sorted(_ANONYMOUS) == sorted((route.method, path_of(route)) for route in ROUTES)
    assert sorted(_SCOPES) == sorted((route.method, path_of(route)) for route in GUARDED)


async def test_every_route_challenges_without_credentials(registry: Registry) -> None:
    """401, never anything else, with the scope that a token needs."""
    for route in GUARDED:
        answer = await ask(registry, route, None)

        asked = _SCOPES[route.method, path_of(route)]
        scope = "" if asked is None else f',scope="{asked}"'
        realm = f"http://{registry.host}/auth/token"
        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"] == f'Bearer realm="{realm}",service="lading"{scope}'
        assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
        assert answer.body == b"" if route.method == "HEAD" else answer.codes == ["UNAUTHORIZED"]


@pytest.mark.parametrize(
    ("column", "sections"),
    [(0, {}), (1, {"auth": {"anonymous": "pull"}}), (2, {"dev": True})],
    ids=["none", "pull", "dev"],
)
async def test_anonymous_callers_may_what_the_mode_says(start: Start, column: int, sections: dict[str, object]) -> None:
    """Nothing; reading; everything."""
    async with start(**sections) as registry:
        found = {(route.method, path_of(route)): (await ask(registry, route, None)).status for route in ROUTES}

    assert found == {row: statuses[column] for row, statuses in _ANONYMOUS.items()}


async def test_user_without_rights_is_denied_everywhere(registry: Registry) -> None:
    """403, which no other token would change: no challenge; logging in is all it may."""
    for route in GUARDED[1:]:
        answer = await ask(registry, route, USER)

        assert answer.status == 403
        assert "WWW-Authenticate" not in answer.headers
        if route.method != "HEAD":
            assert answer.refusal == (403, "DENIED")
            assert answer.detail["action"] == route.actions[0]


async def test_token_without_scopes_opens_nothing_but_the_base(registry: Registry) -> None:
    """401, with the scope that it lacks."""
    token = await registry.token()

    for route in GUARDED[1:]:
        answer = await ask(registry, route, token)

        assert answer.status == 401
        assert answer.headers["WWW-Authenticate"].endswith(',error="insufficient_scope"')


@pytest.mark.parametrize("stranger", ["nobody", "user", "token"])
async def test_private_repository_looks_like_a_missing_one(registry: Registry, stranger: str) -> None:
    """Same status, body and headers, but for the name that was asked for and what the time makes."""
    await registry.push_image("real/repository", "latest")
    credentials = {"nobody": None, "user": USER, "token": await registry.token("repository:other:pull")}[stranger]

    for route in GUARDED:
        real = await ask(registry, route, credentials, "real/repository")
        missing = await ask(registry, route, credentials, "fake/repository")

        assert real.status == missing.status
        assert real.body == missing.body.replace(b"fake/", b"real/")
        assert _comparable(real) == {
            name: value.replace("fake/", "real/") for name, value in _comparable(missing).items()
        }


def _comparable(answer: Answer) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name != "Date"}


async def test_body_is_not_looked_at_before_the_caller_is_known(registry: Registry) -> None:
    """Whatever else is wrong with a request, a stranger learns only that it needs credentials."""
    for method, path, body in (
        ("PUT", "/v2/a/manifests/-bad-", b"{"),
        ("PUT", "/v2/a/manifests/latest", b"x" * 5_000_000),
        ("POST", "/v2/a/blobs/uploads/?digest=bad", b"x"),
        ("GET", "/v2/a/tags/list?n=-1", None),
        ("GET", "/v2/a/referrers/bad", None),
    ):
        answer = await registry.ask(method, path, body=body, headers=[("Content-Type", IMAGE)], authorization=None)

        assert answer.refusal == (401, "UNAUTHORIZED")


async def test_denial_tells_who_may_not_do_what(registry: Registry) -> None:
    """For a person to show to whoever gives rights."""
    answer = await registry.post("/v2/team/app/blobs/uploads/", authorization=USER)

    assert answer.detail["resource"].endswith(":repository/team/app")
    assert ":user/bob is not allowed to perform ecr:InitiateLayerUpload on arn:aws:ecr:" in answer.message


def realm_of(answer: Answer) -> str:
    match = re.match(r'Bearer realm="([^"]*)"', answer.headers["WWW-Authenticate"])
    assert match is not None
    return match[1]


@pytest.mark.parametrize("host", ["localhost:1234", "registry.local", "[::1]:5000"])
async def test_realm_is_on_the_host_that_was_asked(registry: Registry, host: str) -> None:
    """crane and cosign refuse any other on a private address."""
    answer = await registry.get("/v2/", headers=[("Host", host)], authorization=None)

    assert realm_of(answer) == f"http://{host}/auth/token"


FORWARDED = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "registry.example.com")]


async def test_forwarded_headers_of_strangers_are_ignored(registry: Registry) -> None:
    """Or anybody could send clients to a realm of their own."""
    answer = await registry.get("/v2/", headers=FORWARDED, authorization=None)

    assert realm_of(answer) == f"http://{registry.host}/auth/token"


@pytest.mark.settings(server={"trusted_proxies": ["127.0.0.0/8"]})
async def test_forwarded_headers_of_a_trusted_proxy_are_believed(registry: Registry) -> None:
    """It knows what the client asked."""
    answer = await registry.get("/v2/", headers=FORWARDED, authorization=None)

    assert realm_of(answer) == "https://registry.example.com/auth/token"


@pytest.mark.settings(server={"public_url": "https://public.example", "trusted_proxies": ["127.0.0.0/8"]})
async def test_public_url_wins(registry: Registry) -> None:
    """Over the host and the proxy."""
    answer = await registry.get("/v2/", headers=FORWARDED, authorization=None)

    assert realm_of(answer) == "https://public.example/auth/token"


async def test_registry_serves_over_tls(start: Start) -> None:
    """The realm is https, and blobs come through encryption whole and in part."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    content = bytes(range(250)) * 8_000
    async with start(tls=context) as registry:
        digest = await registry.push_blob("a", content)

        answer = await registry.get("/v2/", authorization=None)
        whole = await registry.get(f"/v2/a/blobs/{digest}")
        part = await registry.get(f"/v2/a/blobs/{digest}", headers=[("Range", "bytes=100000-1999998")])

    assert realm_of(answer) == f"https://{registry.host}/auth/token"
    assert whole.body == content
    assert part.body == content[100_000:1_999_999]


async def test_credentials_are_needed_at_every_request(registry: Registry) -> None:
    """A connection that was let through once is no credential."""
    reader, writer = await registry.connect()

    writer.write(registry.request_head("GET", "/v2/") + registry.request_head("GET", "/v2/", authorization=None))

    for status in (b"200", b"401"):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 " + status)
        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]))
    writer.close()


async def test_right_password_is_asked_for_by_name(registry: Registry) -> None:
    """The scheme is read without regard to case."""
    answer = await registry.get("/v2/", authorization=ADMIN.replace("Basic", "bASIC"))

    assert answer.status == 200
