"""Lost updates: what was changed meanwhile is not overwritten by who says what was seen (RFC 9110 section 13.1)."""

import asyncio
import re

import pytest

from tests.http.admin import ANYBODY, READERS, call, code, done, problem
from tests.http.client import Registry

NOBODY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Deny", "Principal": "*", "Action": "ecr:*", "Resource": "*"}],
}
DENIED = {"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]}
OTHER = '"00000000000000000000000000000000"'

# What is read, a change of it, and another change of it: each makes another document of it.
CHANGES = [
    ("/users/alice", ("PATCH", "/users/alice", {"tags": {"a": "1"}}), ("PATCH", "/users/alice", {"disabled": True})),
    ("/users/alice", ("PATCH", "/users/alice", {"tags": {"a": "1"}}), ("DELETE", "/users/alice", None)),
    ("/groups/crew", ("DELETE", "/groups/crew/members/alice", None), ("PUT", "/groups/crew/members/bob", None)),
    ("/groups/crew", ("PUT", "/groups/crew/members/bob", None), ("DELETE", "/groups/crew/members/alice", None)),
    ("/groups/crew", ("PUT", "/groups/crew/members/bob", None), ("DELETE", "/groups/crew", None)),
    (
        "/users/alice/policies",
        ("PUT", "/users/alice/permissions-boundary", {"policy": "readers"}),
        ("DELETE", "/users/alice/attached-policies/readers", None),
    ),
    (
        "/users/alice/policies",
        ("DELETE", "/users/alice/attached-policies/readers", None),
        ("PUT", "/users/alice/attached-policies/readers", None),
    ),
    (
        "/roles/builder/policies",
        ("PUT", "/roles/builder/permissions-boundary", {"policy": "readers"}),
        ("DELETE", "/roles/builder/permissions-boundary", None),
    ),
    (
        "/groups/crew/inline-policies/readers",
        ("PUT", "/groups/crew/inline-policies/readers", {"document": DENIED}),
        ("PUT", "/groups/crew/inline-policies/readers", {"document": READERS}),
    ),
    (
        "/groups/crew/inline-policies/readers",
        ("PUT", "/groups/crew/inline-policies/readers", {"document": DENIED}),
        ("DELETE", "/groups/crew/inline-policies/readers", None),
    ),
    (
        "/policies/readers",
        ("PUT", "/policies/readers", {"document": DENIED}),
        ("PUT", "/policies/readers/default-version", {"version": 1}),
    ),
    (
        "/policies/readers",
        ("PUT", "/policies/readers/default-version", {"version": 1}),
        ("DELETE", "/policies/readers", None),
    ),
    (
        "/policies/readers",
        ("PUT", "/policies/readers/default-version", {"version": 1}),
        ("DELETE", "/policies/readers/versions/2", None),
    ),
    ("/registry-policy", ("PUT", "/registry-policy", {"document": NOBODY}), ("DELETE", "/registry-policy", None)),
    (
        "/repositories/team%2Fapp",
        ("PATCH", "/repositories/team%2Fapp", {"tags": {"a": "1"}}),
        ("DELETE", "/repositories/team%2Fapp", None),
    ),
    (
        "/repositories/team%2Fapp/policy",
        ("PUT", "/repositories/team%2Fapp/policy", {"document": NOBODY}),
        ("DELETE", "/repositories/team%2Fapp/policy", None),
    ),
]  # fmt: skip


async def tag_of(registry: Registry, path: str) -> str:
    return (await call(registry, "GET", path)).headers["ETag"]


@pytest.mark.furnished
@pytest.mark.parametrize(("path", "first", "second"), CHANGES, ids=lambda value: value[1] if len(value) == 3 else None)
async def test_second_writer_is_told_and_loses_nothing(
    registry: Registry, path: str, first: tuple[str, str, object], second: tuple[str, str, object]
) -> None:
    """Two read the same; the one who writes later has to read again, and then may."""
    seen = [("If-Match", await tag_of(registry, path))]

    assert (await call(registry, *first, headers=seen)).status < 300
    after_first = (await call(registry, "GET", path)).body
    late = await call(registry, *second, headers=seen)

    assert code(late) == (412, "PreconditionFailed")
    assert (await call(registry, "GET", path)).body == after_first
    seen = [("If-Match", await tag_of(registry, path))]
    assert (await call(registry, *second, headers=seen)).status < 300


@pytest.mark.furnished
async def test_role_is_not_removed_by_who_saw_other_policies_of_it(registry: Registry) -> None:
    seen = [("If-Match", await tag_of(registry, "/roles/builder"))]
    await done(registry, "DELETE", "/roles/builder/attached-policies/readers")

    assert code(await call(registry, "DELETE", "/roles/builder", headers=seen)) == (412, "PreconditionFailed")
    assert (await call(registry, "GET", "/roles/builder")).status == 200


async def test_entity_tag_is_strong_and_changes_with_the_document_alone(registry: Registry) -> None:
    tag = await tag_of(registry, "/users/bob")

    assert re.fullmatch(r'"[0-9a-f]{32}"', tag)
    assert await tag_of(registry, "/users/bob") == tag
    changed = await call(registry, "PATCH", "/users/bob", {"tags": {"team": "web"}})
    assert changed.headers["ETag"] != tag
    assert await tag_of(registry, "/users/bob") == changed.headers["ETag"]
    assert (await call(registry, "PATCH", "/users/bob", {"tags": {}})).headers["ETag"] == tag


async def test_document_that_the_client_has_is_not_sent_again(registry: Registry) -> None:
    tag = await tag_of(registry, "/users/bob")
    for held in (tag, f"W/{tag}", "*", f"{OTHER}, {tag}"):
        answer = await call(registry, "GET", "/users/bob", headers=[("If-None-Match", held)])
        assert (answer.status, answer.body, answer.headers["ETag"]) == (304, b"", tag)

    assert (await call(registry, "GET", "/users/bob", headers=[("If-None-Match", OTHER)])).status == 200


@pytest.mark.parametrize("held", [OTHER, "", "x", "W/{tag}", f'{OTHER}, "1"', "tag"])
async def test_change_wants_the_strong_tag_of_what_is_there(registry: Registry, held: str) -> None:
    tag = await tag_of(registry, "/users/bob")
    headers = [("If-Match", held.format(tag=tag))]

    for change in (("PATCH", "/users/bob", {"disabled": True}), ("DELETE", "/users/bob", None)):
        assert code(await call(registry, *change, headers=headers)) == (412, "PreconditionFailed")

    assert await tag_of(registry, "/users/bob") == tag


async def test_one_of_several_tags_is_enough(registry: Registry) -> None:
    tag = await tag_of(registry, "/users/bob")

    one_line = await call(registry, "PATCH", "/users/bob", {}, headers=[("If-Match", f"{OTHER} , {tag}")])
    two_lines = await call(registry, "PATCH", "/users/bob", {}, headers=[("If-Match", OTHER), ("If-Match", tag)])

    assert (one_line.status, two_lines.status) == (200, 200)


@pytest.mark.parametrize(
    ("method", "path", "document"),
    [
        ("PATCH", "/users/eve", {}),
        ("DELETE", "/users/eve", None),
        ("DELETE", "/groups/eve", None),
        ("PUT", "/users/bob/inline-policies/own", {"document": READERS}),
        ("PUT", "/policies/eve", {"document": READERS}),
        ("PUT", "/registry-policy", {"document": ANYBODY}),
        ("PATCH", "/repositories/eve", {"tags": {}}),
        ("DELETE", "/repositories/eve", None),
        ("PUT", "/repositories/eve/policy", {"document": ANYBODY}),
    ],
)
async def test_star_wants_something_that_is_there(registry: Registry, method: str, path: str, document: object) -> None:
    """So that a change makes nothing anew that somebody removed."""
    answer = await call(registry, method, path, document, headers=[("If-Match", "*")])

    assert code(answer) == (412, "PreconditionFailed")
    if method == "PUT":
        assert (await call(registry, "GET", path)).status == 404


async def test_star_holds_for_whatever_is_there(registry: Registry) -> None:
    assert (await call(registry, "DELETE", "/users/bob", headers=[("If-Match", "*")])).status == 204


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("/policies/own", READERS),
        ("/users/bob/inline-policies/own", READERS),
        ("/registry-policy", ANYBODY),
        ("/repositories/team%2Fapp/policy", ANYBODY),
    ],
)
async def test_one_can_be_the_first_to_write(registry: Registry, path: str, document: object) -> None:
    """`If-None-Match: *` writes only what is not there."""
    await done(registry, "POST", "/repositories", {"name": "team/app"})
    first = [("If-None-Match", "*")]

    assert (await call(registry, "PUT", path, {"document": document}, headers=first)).status == 200
    written = (await call(registry, "GET", path)).body
    late = await call(registry, "PUT", path, {"document": NOBODY}, headers=first)

    assert code(late)[0] in {400, 412}
    assert (await call(registry, "GET", path)).body == written
    again = await call(registry, "PUT", path, {"document": document}, headers=first)
    assert code(again) == (412, "PreconditionFailed")


async def test_condition_on_what_has_no_tag_is_refused(registry: Registry) -> None:
    """Rather than not heard."""
    for header in ("If-Match", "If-None-Match"):
        for method, path, document in (
            ("POST", "/users", {"name": "eve"}),
            ("PUT", "/users/bob/password", {"password": "other"}),
            ("POST", "/users/bob/access-keys", None),
        ):
            answer = await call(registry, method, path, document, headers=[(header, "*")])
            assert code(answer) == (400, "RequestInvalid")
            assert [each["field"] for each in problem(answer)["errors"]] == [header]
    assert code(await call(registry, "GET", "/users/eve")) == (404, "NotThere")


async def test_of_many_writers_at_once_one_wins(registry: Registry) -> None:
    """The comparison and the change are one transaction."""
    seen = [("If-Match", await tag_of(registry, "/users/bob"))]

    answers = await asyncio.gather(
        *(call(registry, "PATCH", "/users/bob", {"tags": {"writer": str(n)}}, headers=seen) for n in range(16))
    )

    winners = [n for n, answer in enumerate(answers) if answer.status == 200]
    assert len(winners) == 1
    assert {answer.status for answer in answers} == {200, 412}
    assert (await done(registry, "GET", "/users/bob"))["tags"] == {"writer": str(winners[0])}


async def test_without_a_condition_the_last_writer_wins(registry: Registry) -> None:
    for team in ("one", "two"):
        await done(registry, "PATCH", "/users/bob", {"tags": {"team": team}})

    assert (await done(registry, "GET", "/users/bob"))["tags"] == {"team": "two"}
