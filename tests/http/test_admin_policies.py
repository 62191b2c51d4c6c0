"""Policies over the admin API: managed ones with their versions, those of owners, of repositories, of the registry."""

import json
from typing import Any, Final

import pytest

from tests.http.admin import ANYBODY, READERS, TRUST, call, code, done, problem
from tests.http.client import USER, Registry
from tests.http.people import PULL, administered, allow

DENY: Final = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
OWNERS: Final = pytest.mark.parametrize("owner", ["users/alice", "groups/crew", "roles/builder"])
LIMITED: Final = pytest.mark.parametrize("owner", ["users/alice", "roles/builder"])
PULLERS: Final = {"Version": "2012-10-17", "Statement": [allow(*PULL)]}


async def versions(registry: Registry, name: str) -> list[tuple[int, bool]]:
    found = await done(registry, "GET", f"/policies/{name}")
    return [(each["version"], each["is_default"]) for each in found["versions"]]


async def pull(registry: Registry, authorization: str | None) -> int:
    return (await registry.get("/v2/app/manifests/latest", authorization=authorization)).status


async def test_policy_is_kept_as_the_text_that_was_sent(registry: Registry) -> None:
    """Its spaces included; an object is written as people write it."""
    text = json.dumps(READERS, indent=7)

    await done(registry, "PUT", "/policies/text", {"document": text})
    await done(registry, "PUT", "/policies/object", {"document": READERS})

    assert (await done(registry, "GET", "/policies/text"))["document"] == text
    found = (await done(registry, "GET", "/policies/object"))["document"]
    assert json.loads(found) == READERS
    assert "\n" in found


async def test_policy_is_made_once_and_written_again_and_again(registry: Registry) -> None:
    made = await call(registry, "POST", "/policies", {"name": "readers", "document": READERS})
    assert made.status == 201
    assert code(await call(registry, "POST", "/policies", {"name": "readers", "document": DENY}))[0] == 409

    written = await done(registry, "PUT", "/policies/readers", {"document": DENY})

    assert json.loads(written["document"]) == DENY
    assert [(each["version"], each["is_default"]) for each in written["versions"]] == [(1, False), (2, True)]


async def test_another_version_can_count_again(registry: Registry) -> None:
    """The versions stay; the one that counts cannot be removed."""
    for document in (READERS, DENY):
        await done(registry, "PUT", "/policies/readers", {"document": document})

    for _twice in range(2):
        chosen = await done(registry, "PUT", "/policies/readers/default-version", {"version": 1})
        assert json.loads(chosen["document"]) == READERS
    assert await versions(registry, "readers") == [(1, True), (2, False)]
    assert code(await call(registry, "DELETE", "/policies/readers/versions/1")) == (409, "VersionInUse")
    assert json.loads((await done(registry, "GET", "/policies/readers/versions/2"))["document"]) == DENY
    await done(registry, "DELETE", "/policies/readers/versions/2")
    assert await versions(registry, "readers") == [(1, True)]


@pytest.mark.parametrize("version", ["0", "3", "01x", "-1", "1.0", "999999999", "9999999999", "%EF%BC%91", "x"])
async def test_version_that_is_not_there_is_not_found(registry: Registry, version: str) -> None:
    await done(registry, "PUT", "/policies/readers", {"document": READERS})

    for method in ("GET", "DELETE"):
        answer = await call(registry, method, f"/policies/readers/versions/{version}")
        assert code(answer) == (404, "NotThere")


@pytest.mark.parametrize(
    ("version", "refused"),
    [(3, 404), (2**31 - 1, 404), (0, 400), (-1, 400), (2**31, 400), ("1", 400), (True, 400), (1.5, 400)],
)
async def test_version_to_count_is_one_that_is_there(registry: Registry, version: object, refused: int) -> None:
    await done(registry, "PUT", "/policies/readers", {"document": READERS})

    answer = await call(registry, "PUT", "/policies/readers/default-version", {"version": version})

    assert problem(answer)["status"] == refused
    assert await versions(registry, "readers") == [(1, True)]


@pytest.mark.furnished
async def test_policy_goes_from_wherever_it_is_attached(registry: Registry) -> None:

    await done(registry, "DELETE", "/policies/readers")

    for owner in ("users/alice", "groups/crew", "roles/builder"):
        assert (await done(registry, "GET", f"/{owner}/policies"))["attached"] == []
    for method, path in (("DELETE", "/policies/readers"), ("GET", "/policies/readers/versions/1")):
        assert code(await call(registry, method, path)) == (404, "NotThere")


@pytest.mark.furnished
async def test_policy_that_limits_somebody_stays(registry: Registry) -> None:
    """Without it the owner would do without a limit."""
    await done(registry, "PUT", "/users/alice/permissions-boundary", {"policy": "readers"})

    assert code(await call(registry, "DELETE", "/policies/readers")) == (409, "PolicyInUse")

    await done(registry, "DELETE", "/users/alice/permissions-boundary")
    await done(registry, "DELETE", "/policies/readers")


@pytest.mark.furnished
@OWNERS
async def test_owner_shows_its_policies(registry: Registry, owner: str) -> None:

    expected = {"inline": ["readers"], "attached": ["readers"], "permissions_boundary": None}
    assert await done(registry, "GET", f"/{owner}/policies") == expected


@pytest.mark.furnished
@OWNERS
async def test_inline_policy_is_written_read_and_removed(registry: Registry, owner: str) -> None:
    path = f"/{owner}/inline-policies/own"

    for _twice in range(2):
        await done(registry, "PUT", path, {"document": DENY})
    assert json.loads((await done(registry, "GET", path))["document"]) == DENY
    await done(registry, "DELETE", path)

    for method in ("GET", "DELETE"):
        assert code(await call(registry, method, path)) == (404, "NotThere")


@pytest.mark.furnished
@OWNERS
async def test_policy_can_be_attached_twice_and_detached_once(registry: Registry, owner: str) -> None:
    path = f"/{owner}/attached-policies/readers"

    for _twice in range(2):
        await done(registry, "PUT", path)
    await done(registry, "DELETE", path)

    assert code(await call(registry, "DELETE", path)) == (404, "NotThere")
    assert code(await call(registry, "PUT", f"/{owner}/attached-policies/nothing")) == (404, "NotThere")


@pytest.mark.furnished
@pytest.mark.parametrize("owner", ["users/eve", "groups/eve", "roles/eve", "users/builder", "roles/alice"])
async def test_policies_want_an_owner_of_that_kind(registry: Registry, owner: str) -> None:
    for method, path, document in (
        ("GET", "policies", None),
        ("GET", "inline-policies/readers", None),
        ("PUT", "inline-policies/own", {"document": READERS}),
        ("DELETE", "inline-policies/readers", None),
        ("PUT", "attached-policies/readers", None),
        ("DELETE", "attached-policies/readers", None),
        *(() if owner.startswith("groups") else (
            ("PUT", "permissions-boundary", {"policy": "readers"}),
            ("DELETE", "permissions-boundary", None),
        )),
    ):  # fmt: skip
        assert code(await call(registry, method, f"/{owner}/{path}", document)) == (404, "NotThere"), path


@pytest.mark.furnished
@LIMITED
async def test_boundary_is_set_replaced_and_lifted(registry: Registry, owner: str) -> None:
    await done(registry, "PUT", "/policies/other", {"document": DENY})
    path = f"/{owner}/permissions-boundary"

    for policy in ("readers", "other", "other"):
        await done(registry, "PUT", path, {"policy": policy})
        assert (await done(registry, "GET", f"/{owner}"))["permissions_boundary"] == policy
    assert code(await call(registry, "PUT", path, {"policy": "nothing"})) == (404, "NotThere")
    for _twice in range(2):
        await done(registry, "DELETE", path)

    assert (await done(registry, "GET", f"/{owner}"))["permissions_boundary"] is None


@pytest.mark.furnished
async def test_group_has_no_boundary(registry: Registry) -> None:

    answer = await call(registry, "PUT", "/groups/crew/permissions-boundary", {"policy": "readers"})

    assert problem(answer)["status"] == 404


async def test_policies_count_at_the_next_request(registry: Registry) -> None:
    """Inline, attached, through a group, limited by a boundary, denied: each in its turn."""
    await registry.push_image("app", "latest")
    async with administered(registry.root) as people:
        carol = await people.add("carol")
    await done(registry, "POST", "/groups", {"name": "crew"})
    await done(registry, "PUT", "/groups/crew/members/carol")
    await done(registry, "PUT", "/policies/pullers", {"document": PULLERS})
    await done(registry, "PUT", "/policies/nothing", {"document": DENY})
    steps: list[tuple[str, str, Any, int]] = [
        ("PUT", "/users/carol/inline-policies/own", {"document": PULLERS}, 200),
        ("DELETE", "/users/carol/inline-policies/own", None, 403),
        ("PUT", "/groups/crew/attached-policies/pullers", None, 200),
        ("DELETE", "/groups/crew/members/carol", None, 403),
        ("PUT", "/users/carol/attached-policies/pullers", None, 200),
        ("PUT", "/users/carol/permissions-boundary", {"policy": "nothing"}, 403),
        ("DELETE", "/users/carol/permissions-boundary", None, 200),
        ("PUT", "/policies/pullers", {"document": DENY}, 403),
        ("PUT", "/policies/pullers/default-version", {"version": 1}, 200),
        ("DELETE", "/policies/pullers", None, 403),
        ("PUT", "/repositories/app/policy", {"document": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Principal": "*", "Action": list(PULL)}]}}, 200),
        ("PUT", "/registry-policy", {"document": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Deny", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}]}}, 403),
        ("DELETE", "/registry-policy", None, 200),
        ("DELETE", "/repositories/app/policy", None, 403),
    ]  # fmt: skip
    assert await pull(registry, carol) == 403
    for method, path, document, expected in steps:
        await done(registry, method, path, document)
        assert await pull(registry, carol) == expected, (method, path)


async def test_registry_has_one_policy(registry: Registry) -> None:
    for method in ("GET", "DELETE"):
        assert code(await call(registry, method, "/registry-policy")) == (404, "NotThere")

    written = await done(registry, "PUT", "/registry-policy", {"document": ANYBODY})

    assert await done(registry, "GET", "/registry-policy") == written
    assert json.loads(written["document"]) == ANYBODY
    await done(registry, "DELETE", "/registry-policy")
    assert code(await call(registry, "GET", "/registry-policy")) == (404, "NotThere")


@pytest.mark.furnished
@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", "/policies/p", {"document": ANYBODY}),
        ("PUT", "/users/alice/inline-policies/p", {"document": TRUST}),
        ("PUT", "/repositories/team%2Fapp/policy", {"document": READERS}),
        ("PUT", "/registry-policy", {"document": READERS}),
        ("POST", "/roles", {"name": "runner", "trust_policy": READERS}),
    ],
)
async def test_policy_of_another_kind_is_refused(
    registry: Registry, method: str, path: str, body: dict[str, object]
) -> None:

    answer = await call(registry, method, path, body)

    assert code(answer) == (400, "PolicyInvalid")
    assert {each["rule"] for each in problem(answer)["errors"]} & {"UNSUPPORTED_ELEMENT", "MISSING_PRINCIPAL"}


async def test_validation_says_what_is_wrong_and_stores_nothing(registry: Registry) -> None:
    good = await done(registry, "POST", "/policy-validation", {"document": READERS})
    wrong = await done(registry, "POST", "/policy-validation", {"document": READERS, "kind": "resource"})
    broken = await done(registry, "POST", "/policy-validation", {"document": '{\n"Version": '})

    assert good == {"valid": True, "findings": []}
    assert (wrong["valid"], broken["valid"]) == (False, False)
    (found,) = broken["findings"]
    assert found.keys() == {"severity", "rule", "line", "field", "message"}
    assert (found["severity"], found["line"]) == ("error", 2)
    assert (await done(registry, "GET", "/policies"))["items"] == []


@pytest.mark.furnished
async def test_role_shows_its_trust_policy(registry: Registry) -> None:
    async with administered(registry.root) as people:
        arn = f"arn:aws:iam::{people.account_id}:role/builder"

    found = await done(registry, "GET", "/roles/builder")

    assert (found["name"], found["arn"]) == ("builder", arn)
    assert json.loads(found["trust_policy"]) == TRUST
    assert (await done(registry, "GET", "/roles"))["items"] == ["builder"]
    await done(registry, "DELETE", "/roles/builder")
    for method in ("GET", "DELETE"):
        assert code(await call(registry, method, "/roles/builder")) == (404, "NotThere")


@pytest.mark.parametrize("path", ["/registry-policy", "/repositories/app/policy"])
async def test_no_policy_locks_the_root_user_out(registry: Registry, path: str) -> None:
    """It may read, replace and delete the policy that denies it everything; nobody else, and nothing else."""
    statement = {"Effect": "Deny", "Principal": "*", "Action": "*", "Resource": "*"}
    document = {"document": {"Version": "2012-10-17", "Statement": [statement]}}
    await done(registry, "POST", "/repositories", {"name": "app"})
    await done(registry, "PUT", path, document)

    assert (await call(registry, "DELETE", "/repositories/app")).status == 403
    assert (await call(registry, "GET", path, authorization=USER)).status == 403
    await done(registry, "GET", path)
    await done(registry, "PUT", path, document)
    await done(registry, "DELETE", path)
    await done(registry, "DELETE", "/repositories/app")
