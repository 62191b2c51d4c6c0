"""What users of different policies may do, over HTTP; every change is made on another connection to the database."""

from collections.abc import AsyncIterator

import pytest

from auth.policy_documents import Owner, OwnerKind
from tests.http.claims import claims_of, granted
from tests.http.client import ADMIN, USER, Registry
from tests.http.documents import CONFIG_BYTES, IMAGE, image, sha256
from tests.http.people import PULL, PUSH, People, administered, allow, deny, document, of_resource


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def put(registry: Registry, path: str, authorization: str | None) -> tuple[int, str]:
    """Push the smallest image under a reference; status, and the message of a refusal."""
    answer = await registry.put(
        f"/v2/{path}", image(()), headers=[("Content-Type", IMAGE)], authorization=authorization
    )
    return answer.status, "" if answer.status == 201 else answer.message


async def get(registry: Registry, path: str, authorization: str | None) -> int:
    return (await registry.get(f"/v2/{path}", authorization=authorization)).status


async def test_user_who_may_pull_pulls_and_no_more(registry: Registry, people: People) -> None:
    """The refusal names the action that is missing; listing tags is no part of pulling."""
    await registry.push_image("team/app", "latest")
    alice = await people.add("alice", allow(*PULL))

    assert await get(registry, "team/app/manifests/latest", alice) == 200
    assert await get(registry, f"team/app/blobs/{sha256(CONFIG_BYTES)}", alice) == 200
    refused = await registry.post("/v2/team/app/blobs/uploads/", authorization=alice)
    assert refused.refusal == (403, "DENIED")
    assert refused.detail["action"] == "ecr:InitiateLayerUpload"
    assert refused.message.endswith("because no identity-based or resource-based policy allows it")
    assert await get(registry, "team/app/tags/list", alice) == 403
    assert (await registry.delete("/v2/team/app/manifests/latest", authorization=alice)).status == 403


async def test_pusher_who_may_not_make_repositories_is_told_so(registry: Registry, people: People) -> None:
    """403 with the action that is missing; where the repository is there, the push goes on."""
    await registry.push_blob("there", b"x")
    alice = await people.add("alice", allow(*PUSH[:-1]))

    assert (await registry.post("/v2/there/blobs/uploads/", authorization=alice)).status == 202
    refused = await registry.post("/v2/missing/blobs/uploads/", authorization=alice)
    assert (refused.refusal, refused.detail["action"]) == ((403, "DENIED"), "ecr:CreateRepository")
    assert "ecr:CreateRepository" in (await put(registry, "missing/manifests/latest", alice))[1]


async def test_token_carries_what_the_policies_allow(registry: Registry, people: People) -> None:
    """Of three words asked for, one; and it opens what the policies open."""
    await registry.push_image("team/app", "latest")
    alice = await people.add("alice", allow(*PULL, Resource=people.repository("team/*")))

    token = await registry.token("repository:team/app:pull,push", "repository:other:pull", authorization=alice)

    assert claims_of(token)["access"] == [granted("team/app", "pull")]
    assert await get(registry, "team/app/manifests/latest", token) == 200


async def test_refusal_of_a_token_names_the_action_that_the_policies_lack(registry: Registry, people: People) -> None:
    """403 and no challenge: docker and podman hide what a 401 says, and no other token would help."""
    await registry.push_image("team/app", "latest")
    alice = await people.add("alice", allow(*PULL))
    token = await registry.token("repository:team/app:pull,push", authorization=alice)

    refused = await registry.post("/v2/team/app/blobs/uploads/", authorization=token)

    assert (refused.refusal, refused.detail["action"]) == ((403, "DENIED"), "ecr:InitiateLayerUpload")
    assert "user/alice is not allowed to perform ecr:InitiateLayerUpload" in refused.message
    assert "WWW-Authenticate" not in refused.headers


async def test_token_that_lacks_one_of_two_ways_in_is_told_which_token_helps(
    registry: Registry, people: People
) -> None:
    """Looking for a blob takes either of two actions: one is denied, the other wants a token with pull."""
    digest = await registry.push_blob("team/app", b"x")
    alice = await people.add("alice", allow("ecr:BatchCheckLayerAvailability"))
    path = f"/v2/team/app/blobs/{digest}"

    poor = await registry.head(path, authorization=await registry.token(authorization=alice))
    rich = await registry.head(
        path, authorization=await registry.token("repository:team/app:pull", authorization=alice)
    )

    assert (poor.status, rich.status) == (401, 200)
    assert 'scope="repository:team/app:pull",error="insufficient_scope"' in poor.headers["WWW-Authenticate"]


async def test_user_of_a_prefix_has_no_other_repository(registry: Registry, people: People) -> None:
    """Pushing, and making repositories, below team/ only; a mount does not reach across either."""
    secret = await registry.push_blob("other/app", b"secret")
    await registry.push_image("other/app", "latest")
    alice = await people.add("alice", allow("ecr:*", Resource=people.repository("team/*")))

    location = await registry.start_upload("team/app", authorization=alice)
    pushed = await registry.put(f"{location}?digest={sha256(CONFIG_BYTES)}", CONFIG_BYTES, authorization=alice)
    assert pushed.status == 201
    assert (await put(registry, "team/app/manifests/latest", alice))[0] == 201
    assert (await put(registry, "other/app/manifests/latest", alice))[0] == 403
    assert (await put(registry, "team/manifests/latest", alice))[0] == 403
    assert await get(registry, "other/app/manifests/latest", alice) == 403
    for query in (f"mount={secret}&from=other/app", f"mount={secret}"):
        mount = await registry.post(f"/v2/team/app/blobs/uploads/?{query}", authorization=alice)
        assert mount.status == 202
    assert await get(registry, f"team/app/blobs/{secret}", alice) == 404


async def test_user_pushes_only_tags_that_the_policy_names(registry: Registry, people: People) -> None:
    """Every tag of a push counts, however it is named; a digest alone has no tag to compare."""
    await registry.push_image("app", "prod")
    only_dev = allow("ecr:PutImage", Condition={"StringLike": {"ecr:ImageTag": "dev-*"}})
    alice = await people.add("alice", allow(*PULL, *PUSH[:3]), only_dev)
    digest = sha256(image(()))

    assert (await put(registry, "app/manifests/dev-1", alice))[0] == 201
    assert (await put(registry, "app/manifests/dev-2?tag=dev-3&tag=dev-4", alice))[0] == 201
    for path in (
        "prod",
        "dev-5?tag=prod",
        f"{digest}?tag=dev-6",
        f"{digest}?tag=prod",
        digest,
        "dev-7?tag=dev-8&tag=p",
    ):
        status, message = await put(registry, f"app/manifests/{path}", alice)
        assert (status, "ecr:PutImage" in message) == (403, True)
    tags = (await registry.get("/v2/app/tags/list")).document["tags"]
    assert tags == ["dev-1", "dev-2", "dev-3", "dev-4", "prod"]


async def test_tag_condition_with_if_exists_lets_digests_through(registry: Registry, people: People) -> None:
    """An index needs its images pushed by digest first."""
    await registry.push_image("app", "prod")
    only_dev = allow("ecr:PutImage", Condition={"StringLikeIfExists": {"ecr:ImageTag": "dev-*"}})
    alice = await people.add("alice", only_dev)
    digest = sha256(image(()))

    assert (await put(registry, f"app/manifests/{digest}", alice))[0] == 201
    assert (await put(registry, f"app/manifests/{digest}?tag=dev-1", alice))[0] == 201
    assert (await put(registry, f"app/manifests/{digest}?tag=prod", alice))[0] == 403


async def test_token_is_granted_where_only_the_tag_is_unknown(registry: Registry, people: People) -> None:
    """A token is fetched before the tag is said; the request decides."""
    await registry.push_image("app", "dev-1")
    await registry.push_image("app", "prod")
    may_delete = allow("ecr:BatchDeleteImage", Condition={"StringLike": {"ecr:ImageTag": "dev-*"}})
    alice = await people.add("alice", may_delete)

    token = await registry.token("repository:app:delete", authorization=alice)

    assert (await registry.delete("/v2/app/manifests/prod", authorization=token)).status == 403
    assert (await registry.delete("/v2/app/manifests/dev-1", authorization=token)).status == 202


async def test_explicit_deny_wins_and_names_its_statement(registry: Registry, people: People) -> None:
    """Over any allow; whoever is refused hears which statement of which policy it was."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow("*"), deny("ecr:PutImage", Sid="Frozen"))

    answer = await registry.put("/v2/app/manifests/latest", b"", authorization=alice)

    assert answer.refusal == (403, "DENIED")
    assert answer.message.endswith("because statement Frozen of policy user/alice/inline/own says Deny")
    assert answer.detail["denied_by"] == {"policy": "user/alice/inline/own", "sid": "Frozen", "statement": 1}
    assert await get(registry, "app/manifests/latest", alice) == 200


async def test_repository_policy_lets_another_user_in(registry: Registry, people: People) -> None:
    """bob, who has no policy at all, pulls from this repository and from no other."""
    for name in ("shared", "private"):
        await registry.push_image(name, "latest")
    policy = document(of_resource("Allow", {"AWS": people.arn("bob")}, *PULL))
    await people.policies.put_of_repository("shared", policy)

    assert await get(registry, "shared/manifests/latest", USER) == 200
    assert await get(registry, "private/manifests/latest", USER) == 403
    token = await registry.token("repository:shared:pull", "repository:private:pull", authorization=USER)
    assert claims_of(token)["access"] == [granted("shared", "pull")]

    await people.policies.delete_of_repository("shared")

    assert await get(registry, "shared/manifests/latest", token) == 403


async def test_repository_policy_denies_even_the_root_user(registry: Registry, people: People) -> None:
    """A repository that is frozen is frozen; the root user may still take the policy away."""
    await registry.push_image("frozen", "latest")
    await people.policies.put_of_repository("frozen", document(of_resource("Deny", "*", "ecr:PutImage")))

    assert (await put(registry, "frozen/manifests/latest", ADMIN))[0] == 403
    assert await get(registry, "frozen/manifests/latest", ADMIN) == 200

    await people.policies.delete_of_repository("frozen")

    assert (await put(registry, "frozen/manifests/latest", ADMIN))[0] == 201


async def test_repository_policy_lets_everybody_in(registry: Registry, people: People) -> None:
    """Anonymous callers too, though anonymous access is off elsewhere; docker's way, with a token, as well."""
    for name in ("public", "private"):
        await registry.push_image(name, "latest")
    await people.policies.put_of_repository("public", document(of_resource("Allow", "*", *PULL)))

    assert await get(registry, "public/manifests/latest", None) == 200
    assert await get(registry, "private/manifests/latest", None) == 401
    assert await get(registry, "", None) == 401
    token = await registry.token("repository:public:pull", authorization=None)
    assert await get(registry, "public/manifests/latest", token) == 200
    refused = await registry.get("/auth/token?scope=repository:private:pull", authorization=None)
    assert refused.status == 401


@pytest.mark.settings(auth={"anonymous": "pull"})
async def test_repository_policy_shuts_anonymous_callers_out(registry: Registry, people: People) -> None:
    """Where everybody may read, one repository may be kept from them."""
    await registry.push_image("private", "latest")
    stranger = {"Null": {"aws:PrincipalArn": "true"}, "StringEquals": {"aws:PrincipalType": "Anonymous"}}
    nobody = of_resource("Deny", "*", "ecr:*", Condition=stranger)
    await people.policies.put_of_repository("private", document(nobody))

    assert await get(registry, "private/manifests/latest", None) == 401
    assert await get(registry, "private/manifests/latest", ADMIN) == 200
    assert (await registry.get("/v2/_catalog", authorization=None)).document == {"repositories": []}


async def test_boundary_limits_what_policies_allow(registry: Registry, people: People) -> None:
    """It grants nothing itself; the refusal says that the boundary lacks it."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow("ecr:*"))
    await people.policies.put_managed("readers", document(allow(*PULL)))
    await people.policies.set_boundary(Owner(OwnerKind.USER, "alice"), "readers")

    assert await get(registry, "app/manifests/latest", alice) == 200
    status, message = await put(registry, "app/manifests/latest", alice)
    assert status == 403
    assert message.endswith("because no permissions boundary allows it")

    await people.policies.set_boundary(Owner(OwnerKind.USER, "alice"), None)

    assert (await put(registry, "app/manifests/latest", alice))[0] == 201


async def test_group_and_managed_policies_count(registry: Registry, people: People) -> None:
    """A member has what its group has, for as long as it is a member."""
    await registry.push_image("app", "latest")
    await people.accounts.create_group("readers")
    await people.policies.put_managed("read", document(allow(*PULL)))
    await people.policies.attach("read", Owner(OwnerKind.GROUP, "readers"))

    assert await get(registry, "app/manifests/latest", USER) == 403
    await people.accounts.add_member("readers", "bob")
    assert await get(registry, "app/manifests/latest", USER) == 200
    await people.policies.put_managed("read", document(allow("ecr:ListImages")))
    assert await get(registry, "app/manifests/latest", USER) == 403
    assert await get(registry, "app/tags/list", USER) == 200
    await people.accounts.remove_member("readers", "bob")
    assert await get(registry, "app/tags/list", USER) == 403


async def test_registry_policy_counts_for_every_repository(registry: Registry, people: People) -> None:
    """A deny for the whole registry."""
    await registry.push_image("app", "latest")
    alice = await people.add("alice", allow("*"))
    frozen = of_resource("Deny", {"AWS": people.arn("alice")}, "ecr:PutImage", Resource="*", Sid="Frozen")
    await people.policies.put_of_registry(document(frozen))

    status, message = await put(registry, "app/manifests/latest", alice)

    assert (status, message.endswith("because statement Frozen of policy registry says Deny")) == (403, True)
    assert await get(registry, "app/manifests/latest", alice) == 200


async def test_catalog_shows_what_the_caller_may_describe(registry: Registry, people: People) -> None:
    """One prefix by its own policy, and a repository whose policy hides it from everybody."""
    for name in ("other", "team/a", "team/b", "team/secret"):
        await registry.push_blob(name, b"x")
    hidden = of_resource("Deny", "*", "ecr:DescribeRepositories")
    await people.policies.put_of_repository("team/secret", document(hidden))
    alice = await people.add("alice", allow("ecr:DescribeRepositories", Resource=people.repository("team/*")))

    answer = await registry.get("/v2/_catalog", authorization=alice)

    assert answer.document == {"repositories": ["team/a", "team/b"]}
    assert (await registry.get("/v2/_catalog")).document == {"repositories": ["other", "team/a", "team/b"]}


async def test_user_denied_to_log_in_is_refused(registry: Registry, people: People) -> None:
    """Every user may log in, unless a statement says no."""
    alice = await people.add("alice", deny("ecr:GetAuthorizationToken"))

    assert await get(registry, "", alice) == 403
    assert (await registry.get("/auth/token", authorization=alice)).status == 403
    assert await get(registry, "", USER) == 200


@pytest.mark.settings(server={"trusted_proxies": ["127.0.0.0/8"]})
@pytest.mark.parametrize(
    ("condition", "headers", "status"),
    [
        ({"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, [("X-Forwarded-For", "10.1.2.3")], 404),
        ({"IpAddress": {"aws:SourceIp": "10.1.0.0/16"}}, [("X-Forwarded-For", "10.2.2.3")], 403),
        ({"IpAddress": {"aws:SourceIp": "127.0.0.1"}}, [], 404),
        ({"Bool": {"aws:SecureTransport": "true"}}, [("X-Forwarded-Proto", "https")], 404),
        ({"Bool": {"aws:SecureTransport": "true"}}, [], 403),
        ({"StringLike": {"aws:UserAgent": "docker/*"}}, [("User-Agent", "docker/28")], 404),
        ({"StringLike": {"aws:UserAgent": "docker/*"}}, [("User-Agent", "crane")], 403),
        ({"DateGreaterThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, [], 404),
        ({"DateLessThan": {"aws:CurrentTime": "2020-01-01T00:00:00Z"}}, [], 403),
        ({"NumericGreaterThan": {"aws:EpochTime": "1600000000"}}, [], 404),
        ({"NumericLessThan": {"aws:EpochTime": "1600000000"}}, [], 403),
        ({"StringLike": {"aws:UserAgent": "x*y"}}, [("User-Agent", "x" * 511 + "y")], 404),
        ({"StringLike": {"aws:UserAgent": "x*y"}}, [("User-Agent", "x" * 512 + "y")], 403),
        ({"StringLike": {"aws:Referer": "https://ci.example/*"}}, [("Referer", "https://ci.example/run/7")], 404),
        ({"StringLike": {"aws:Referer": "https://ci.example/*"}}, [], 403),
        ({"StringEquals": {"aws:PrincipalType": "User"}}, [], 404),
        ({"StringNotEquals": {"aws:PrincipalType": "User"}}, [], 403),
        ({"StringEquals": {"aws:username": "alice"}}, [], 404),
        ({"StringEquals": {"aws:username": "bob"}}, [], 403),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/alice"}}, [], 404),
        ({"ArnLike": {"aws:PrincipalArn": "arn:aws:iam::*:user/bob"}}, [], 403),
        ({"StringEquals": {"ecr:ImageTag": "latest"}}, [], 404),
        ({"StringEquals": {"ecr:ImageTag": "other"}}, [], 403),
        ({"Null": {"ecr:ImageDigest": "true"}}, [], 404),
    ],
)
async def test_conditions_see_the_request(
    registry: Registry,
    people: People,
    condition: dict[str, dict[str, str]],
    headers: list[tuple[str, str]],
    status: int,
) -> None:
    """Where it comes from, how, when, by whom, and what it is about: 404 is what may be looked for."""
    alice = await people.add("alice", allow("ecr:BatchGetImage", Condition=condition))

    answer = await registry.get("/v2/app/manifests/latest", headers=headers, authorization=alice)

    assert answer.status == status


async def test_policy_variable_stands_for_the_user(registry: Registry, people: People) -> None:
    """One managed policy gives everybody a prefix of their own."""
    await people.policies.put_managed("home", document(allow("ecr:*", Resource=people.repository("${aws:username}/*"))))
    found = []
    for user in ("alice", "carol"):
        credentials = await people.add(user)
        await people.policies.attach("home", Owner(OwnerKind.USER, user))
        found += [await get(registry, f"{name}/app/tags/list", credentials) for name in ("alice", "carol")]

    assert found == [404, 403, 403, 404]
