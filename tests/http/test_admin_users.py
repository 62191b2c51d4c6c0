"""Users and groups over the admin API."""

import pytest

from tests.http.admin import READERS, call, code, done, names_of
from tests.http.client import ADMIN, ADMIN_PASSWORD, Registry, basic
from tests.http.people import PULL, administered, allow


async def test_user_that_was_made_can_log_in_and_do_nothing(registry: Registry) -> None:
    async with administered(registry.root) as people:
        account = people.account_id

    made = await call(registry, "POST", "/users", {"name": "carol", "password": "first", "tags": {"team": "web"}})

    assert made.status == 201
    document = made.document
    assert document.pop("created_at").endswith("Z")
    assert document == {
        "name": "carol",
        "arn": f"arn:aws:iam::{account}:user/carol",
        "kind": "user",
        "disabled": False,
        "has_password": True,
        "groups": [],
        "access_keys": [],
        "inline_policies": [],
        "attached_policies": [],
        "permissions_boundary": None,
        "tags": {"team": "web"},
    }
    carol = basic("carol", "first")
    assert (await registry.get("/v2/", authorization=carol)).status == 200
    assert (await call(registry, "GET", "/users/carol", authorization=carol)).status == 403


async def test_user_without_a_password_cannot_log_in(registry: Registry) -> None:
    assert not (await done(registry, "POST", "/users", {"name": "carol"}))["has_password"]

    for password in ("", "None", "null"):
        assert (await registry.get("/v2/", authorization=basic("carol", password))).status == 401


async def test_list_of_users_has_the_root_user(registry: Registry) -> None:
    listed = (await done(registry, "GET", "/users"))["items"]

    assert [(user["name"], user["kind"], user["disabled"]) for user in listed] == [
        ("admin", "root", False),
        ("bob", "user", False),
    ]
    assert listed[0]["arn"].endswith(":root")


@pytest.mark.furnished
async def test_user_shows_all_that_hangs_on_it(registry: Registry) -> None:
    names = names_of(registry)
    await done(registry, "PUT", "/users/alice/permissions-boundary", {"policy": "readers"})

    found = await done(registry, "GET", "/users/alice")

    assert found["groups"] == ["crew"]
    assert found["access_keys"] == [{"access_key_id": names["access_key"], "active": True}]
    assert found["inline_policies"] == ["readers"]
    assert found["attached_policies"] == ["readers"]
    assert found["permissions_boundary"] == "readers"


async def test_disabled_user_is_out_at_the_next_request(registry: Registry) -> None:
    """And in again when enabled; what is left out of a change stays as it is."""
    await registry.push_image("app", "latest")
    async with administered(registry.root) as people:
        carol = await people.add("carol", allow(*PULL))
    token = await registry.token("repository:app:pull", authorization=carol)
    await done(registry, "PATCH", "/users/carol", {"tags": {"team": "web"}})

    for _twice in range(2):
        disabled = await done(registry, "PATCH", "/users/carol", {"disabled": True})
        assert disabled["disabled"]
        assert disabled["tags"] == {"team": "web"}
        for credentials in (carol, token):
            answer = await registry.get("/v2/app/manifests/latest", authorization=credentials)
            assert answer.status == 401

    assert not (await done(registry, "PATCH", "/users/carol", {"disabled": False}))["disabled"]
    assert (await registry.get("/v2/app/manifests/latest", authorization=carol)).status == 200


async def test_change_of_nothing_changes_nothing(registry: Registry) -> None:
    before = await done(registry, "GET", "/users/bob")

    for nothing in ({}, {"disabled": None}, {"tags": None}):
        assert await done(registry, "PATCH", "/users/bob", nothing) == before


@pytest.mark.furnished
async def test_deleted_user_takes_everything_with_it(registry: Registry) -> None:
    """One of the same name begins with nothing."""
    names = names_of(registry)

    await done(registry, "DELETE", "/users/alice")

    assert code(await call(registry, "DELETE", "/users/alice")) == (404, "NotThere")
    assert code(await call(registry, "GET", f"/access-keys/{names['access_key']}")) == (404, "NotThere")
    assert (await done(registry, "GET", "/groups/crew"))["members"] == []
    again = await done(registry, "POST", "/users", {"name": "alice"})
    assert again["inline_policies"] == again["attached_policies"] == again["groups"] == again["access_keys"] == []


async def test_root_user_is_given_another_password_and_nothing_else(registry: Registry) -> None:
    await done(registry, "POST", "/groups", {"name": "crew"})
    await done(registry, "PUT", "/policies/readers", {"document": READERS})
    for method, path, document in (
        ("PATCH", "/users/admin", {"disabled": True}),
        ("PATCH", "/users/admin", {"tags": {"a": "b"}}),
        ("DELETE", "/users/admin", None),
        ("PUT", "/groups/crew/members/admin", None),
        ("PUT", "/users/admin/inline-policies/own", {"document": READERS}),
        ("PUT", "/users/admin/attached-policies/readers", None),
        ("PUT", "/users/admin/permissions-boundary", {"policy": "readers"}),
    ):
        assert code(await call(registry, method, path, document)) == (409, "RootProtected"), path

    await done(registry, "PUT", "/users/admin/password", {"password": "another"})

    assert (await call(registry, "GET", "/users", authorization=ADMIN)).status == 401
    another = basic("admin", "another")
    body = {"password": ADMIN_PASSWORD}
    assert (await call(registry, "PUT", "/users/admin/password", body, authorization=another)).status == 200


async def test_password_that_is_given_is_not_told_back(registry: Registry) -> None:
    answer = await call(registry, "PUT", "/users/bob/password", {"password": "given"})

    assert answer.document == {"name": "bob", "password": None}
    assert (await registry.get("/v2/", authorization=basic("bob", "given"))).status == 200


@pytest.mark.parametrize("body", [{}, {"password": None}])
async def test_password_that_is_left_out_is_generated(registry: Registry, body: object) -> None:
    password = (await done(registry, "PUT", "/users/bob/password", body))["password"]

    assert len(password) >= 20
    assert (await registry.get("/v2/", authorization=basic("bob", password))).status == 200
    assert (await done(registry, "PUT", "/users/bob/password", body))["password"] != password


@pytest.mark.parametrize("password", ["", "a\x00b", "line\nbreak", "x" * 1025])
async def test_password_that_nobody_could_type_is_refused(registry: Registry, password: str) -> None:
    before = basic("bob", "battery-staple")

    refused = await call(registry, "PUT", "/users/bob/password", {"password": password})
    not_made = await call(registry, "POST", "/users", {"name": "carol", "password": password})

    assert code(refused) == code(not_made) == (400, "PasswordRefused")
    assert (await registry.get("/v2/", authorization=before)).status == 200
    assert code(await call(registry, "GET", "/users/carol")) == (404, "NotThere")


@pytest.mark.parametrize(
    "tags",
    [{str(number): "" for number in range(51)}, {"x" * 129: ""}, {"a": "x" * 257}, {"": "a"}, {"a\n": "b"}],
    ids=["51", "long name", "long value", "empty name", "control"],
)
async def test_tags_out_of_bounds_are_refused(registry: Registry, tags: dict[str, str]) -> None:
    for method, path, document in (
        ("POST", "/users", {"name": "carol", "tags": tags}),
        ("PATCH", "/users/bob", {"tags": tags}),
        ("POST", "/repositories", {"name": "app", "tags": tags}),
    ):
        assert (await call(registry, method, path, document)).status == 400
    assert (await done(registry, "GET", "/users/bob"))["tags"] == {}


async def test_tags_may_be_in_any_script(registry: Registry) -> None:
    tags = {"équipe": "café ☕", "チーム": "x" * 256}

    assert (await done(registry, "PATCH", "/users/bob", {"tags": tags}))["tags"] == tags
    assert (await done(registry, "GET", "/users/bob"))["tags"] == tags


@pytest.mark.furnished
async def test_group_shows_its_members_and_policies(registry: Registry) -> None:

    assert await done(registry, "GET", "/groups/crew") == {
        "name": "crew",
        "members": ["alice"],
        "inline_policies": ["readers"],
        "attached_policies": ["readers"],
    }
    assert (await done(registry, "GET", "/groups"))["items"] == ["crew"]


async def test_member_can_be_put_in_and_taken_out_twice(registry: Registry) -> None:
    await done(registry, "POST", "/groups", {"name": "crew"})
    for method, members in (("PUT", ["bob"]), ("DELETE", [])):
        for _twice in range(2):
            await done(registry, method, "/groups/crew/members/bob")
            assert (await done(registry, "GET", "/groups/crew"))["members"] == members


@pytest.mark.parametrize("path", ["/groups/crew/members/eve", "/groups/eve/members/bob"])
async def test_member_and_group_must_be_there(registry: Registry, path: str) -> None:
    await done(registry, "POST", "/groups", {"name": "crew"})

    for method in ("PUT", "DELETE"):
        assert code(await call(registry, method, path)) == (404, "NotThere")


@pytest.mark.furnished
async def test_deleted_group_leaves_its_members(registry: Registry) -> None:

    await done(registry, "DELETE", "/groups/crew")

    assert (await done(registry, "GET", "/users/alice"))["groups"] == []
    for method, path in (("GET", "/groups/crew"), ("DELETE", "/groups/crew")):
        assert code(await call(registry, method, path)) == (404, "NotThere")
