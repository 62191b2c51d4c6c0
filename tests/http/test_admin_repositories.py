"""Repositories, and the registry as a whole, over the admin API."""

from typing import Final

import pytest

from tests.http.admin import ANYBODY, READERS, call, code, done, problem
from tests.http.client import ADMIN_PASSWORD, Registry
from tests.http.documents import CONFIG_BYTES, sha256
from tests.http.people import administered, allow

APP: Final = "/repositories/team%2Fapp"


async def test_repository_is_made_ahead_of_the_first_push(registry: Registry) -> None:
    async with administered(registry.root) as people:
        arn = people.repository("team/app")

    made = await call(registry, "POST", "/repositories", {"name": "team/app", "tags": {"stage": "dev"}})

    assert made.status == 201
    document = made.document
    assert document.pop("created_at").endswith("Z")
    encryption = {"type": "AES256", "kms_key": None}
    assert document == {"name": "team/app", "arn": arn, "tags": {"stage": "dev"}, "encryption": encryption}
    assert made.location == "/admin/v1/repositories/team%2Fapp"
    await registry.push_image("team/app", "latest")
    assert (await done(registry, "GET", APP))["tags"] == {"stage": "dev"}


@pytest.mark.parametrize("name", ["", "A", "a//b", "/a", "a/", "a..b", "x" * 256, "é", "a b", "a\x00", "_catalog"])
async def test_name_that_no_client_could_push_to_is_refused(registry: Registry, name: str) -> None:
    answer = await call(registry, "POST", "/repositories", {"name": name})

    assert problem(answer)["status"] == 400
    assert (await done(registry, "GET", "/repositories"))["items"] == []


@pytest.mark.parametrize("name", ["nothing", "team", "team%2Fapp%2Fmore", "TEAM%2Fapp"])
async def test_repository_that_is_not_there_is_not_found(registry: Registry, name: str) -> None:
    """A slash is a part of the name: team and team/app are two."""
    await done(registry, "POST", "/repositories", {"name": "team/app"})

    for method, path, document in (
        ("GET", "", None),
        ("GET", "/contents", None),
        ("GET", "/image-tags", None),
        ("GET", "/policy", None),
        ("PATCH", "", {"tags": {}}),
        ("PUT", "/policy", {"document": ANYBODY}),
        ("DELETE", "/policy", None),
        ("DELETE", "", None),
    ):
        answer = await call(registry, method, f"/repositories/{name}{path}", document)
        assert problem(answer)["status"] in ({404} if name.islower() else {400, 404}), (method, path)


async def test_contents_are_counted(registry: Registry) -> None:
    await registry.push_image("team/app", "latest", b"one", b"two")
    await registry.push_image("team/app", "other", b"one", b"two")

    counted = await done(registry, "GET", f"{APP}/contents")

    assert counted == {"manifests": 1, "image_tags": 2, "blobs": 3, "blob_bytes": len(CONFIG_BYTES) + 6}


async def test_image_tags_show_what_they_point_to(registry: Registry) -> None:
    manifest = await registry.push_image("team/app", "latest", b"one")

    (found,) = (await done(registry, "GET", f"{APP}/image-tags"))["items"]

    assert (found["tag"], found["digest"]) == ("latest", sha256(manifest))
    assert found["updated_at"].endswith("Z")


async def test_tags_of_a_repository_are_what_policies_ask_for(registry: Registry) -> None:
    """Given again they are the same; changed they count at the next request."""
    await registry.push_image("team/app", "latest")
    condition = {"StringEquals": {"aws:ResourceTag/stage": "dev"}}
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow("ecr:BatchGetImage", Condition=condition))
    manifest = "/v2/team/app/manifests/latest"
    assert (await registry.get(manifest, authorization=carol)).status == 403

    for _twice in range(2):
        changed = await done(registry, "PATCH", APP, {"tags": {"stage": "dev"}})
        assert changed["tags"] == {"stage": "dev"}

    assert (await registry.get(manifest, authorization=carol)).status == 200
    await done(registry, "PATCH", APP, {"tags": {}})
    assert (await registry.get(manifest, authorization=carol)).status == 403


async def test_change_of_a_repository_says_which_tags(registry: Registry) -> None:
    """Left out could mean none."""
    await done(registry, "POST", "/repositories", {"name": "team/app"})

    assert code(await call(registry, "PATCH", APP, {})) == (400, "RequestInvalid")


@pytest.mark.parametrize("query", ["", "?force=false"])
async def test_repository_with_images_goes_only_when_forced(registry: Registry, query: str) -> None:
    await registry.push_image("team/app", "latest")
    await done(registry, "PUT", f"{APP}/policy", {"document": ANYBODY})

    assert code(await call(registry, "DELETE", f"{APP}{query}")) == (409, "RepositoryNotEmpty")
    assert (await registry.get("/v2/team/app/manifests/latest")).status == 200

    await done(registry, "DELETE", f"{APP}?force=true")

    assert (await registry.get("/v2/team/app/manifests/latest")).status == 404
    await done(registry, "POST", "/repositories", {"name": "team/app"})
    assert code(await call(registry, "GET", f"{APP}/policy")) == (404, "NotThere")


@pytest.mark.parametrize("force", ["", "maybe", "2"])
async def test_force_is_true_or_false(registry: Registry, force: str) -> None:
    await done(registry, "POST", "/repositories", {"name": "team/app"})

    assert code(await call(registry, "DELETE", f"{APP}?force={force}")) == (400, "RequestInvalid")
    assert (await call(registry, "GET", APP)).status == 200


async def test_policy_of_a_repository_is_written_read_and_removed(registry: Registry) -> None:
    await done(registry, "POST", "/repositories", {"name": "team/app"})
    for _twice in range(2):
        written = await done(registry, "PUT", f"{APP}/policy", {"document": ANYBODY})
        assert written["name"] == "team/app"
        assert await done(registry, "GET", f"{APP}/policy") == written

    await done(registry, "DELETE", f"{APP}/policy")

    for method in ("GET", "DELETE"):
        assert code(await call(registry, method, f"{APP}/policy")) == (404, "NotThere")


async def test_settings_show_no_password(registry: Registry) -> None:
    items = (await done(registry, "GET", "/settings"))["items"]

    settings = {item["key"]: item for item in items}
    assert settings["auth.admin_password"].keys() == {"key", "value", "is_default", "description"}
    assert settings["storage.root"]["value"] == str(registry.root)
    assert not settings["storage.root"]["is_default"]
    assert ADMIN_PASSWORD not in str(items)


@pytest.mark.furnished
async def test_statistics_count_what_there_is(registry: Registry) -> None:
    await registry.push_image("team/app", "latest", b"one")
    await registry.start_upload("team/app")

    assert await done(registry, "GET", "/statistics") == {
        "repositories": 1,
        "manifests": 1,
        "image_tags": 1,
        "blobs": 2,
        "blob_bytes": len(CONFIG_BYTES) + 3,
        "users": 3,
        "roles": 1,
        "groups": 1,
        "policies": 1,
        "access_keys": 1,
        "open_uploads": 1,
    }


async def test_simulation_says_what_would_be_decided_and_why(registry: Registry) -> None:
    await done(registry, "PUT", "/users/bob/inline-policies/own", {"document": READERS})

    allowed = await ask(registry, user="bob", action="ecr:BatchGetImage", resource="team/app")
    refused = await ask(registry, user="bob", action="ecr:PutImage", resource="team/app")
    nobody = await ask(registry, action="ecr:BatchGetImage", resource="team/app")

    assert allowed["decision"] == "allowed"
    assert allowed["statements"] == [{"policy": "user/bob/inline/own", "sid": "read", "index": 0, "effect": "Allow"}]
    assert (refused["decision"], refused["statements"]) == ("implicitDeny", [])
    assert nobody["decision"] == "implicitDeny"
    for answer in (allowed, refused, nobody):
        assert answer["reason"]
        assert not answer["disabled"]


@pytest.mark.furnished
async def test_simulation_knows_roles_context_and_disabled_users(registry: Registry) -> None:
    await done(registry, "PATCH", "/users/alice", {"disabled": True})

    role = await ask(registry, role="builder", action="ecr:BatchGetImage", resource="team/app")
    alice = await ask(registry, user="alice", action="ecr:BatchGetImage", resource="team/app")

    assert role["decision"] == "allowed"
    assert (alice["decision"], alice["disabled"]) == ("allowed", True)
    statement = allow("ecr:PutImage", Condition={"StringLike": {"ecr:ImageTag": "dev-*"}})
    document = {"Version": "2012-10-17", "Statement": [statement]}
    await done(registry, "PUT", "/users/bob/inline-policies/own", {"document": document})
    for tag, decision in (("dev-1", "allowed"), ("latest", "implicitDeny")):
        answer = await ask(
            registry, user="bob", action="ecr:PutImage", resource="team/app", context={"ecr:ImageTag": tag}
        )
        assert answer["decision"] == decision


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ({"user": "eve", "action": "ecr:PutImage"}, (404, "NotThere")),
        ({"role": "eve", "action": "ecr:PutImage"}, (404, "NotThere")),
        ({"user": "bob", "role": "builder", "action": "ecr:PutImage"}, (400, "RequestInvalid")),
        ({"user": "bob"}, (400, "RequestInvalid")),
        ({"user": "bob", "action": "PutImage"}, (400, "RequestInvalid")),
        ({"user": "bob", "action": "ecr:PutImage", "context": {"a": 1}}, (400, "RequestInvalid")),
        ({"user": "bob", "action": "ecr:PutImage", "resource": "x" * 513}, (400, "RequestInvalid")),
    ],
)
async def test_question_that_cannot_be_answered_is_refused(
    registry: Registry, question: dict[str, object], expected: tuple[int, str]
) -> None:
    assert code(await call(registry, "POST", "/simulation", question)) == expected


async def ask(registry: Registry, **question: object) -> dict[str, object]:
    answer: dict[str, object] = await done(registry, "POST", "/simulation", question)
    return answer
