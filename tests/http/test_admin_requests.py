"""Requests to the admin API that nobody should send: refused as problem details, with nothing changed."""

import json
from typing import Final

import pytest

from registry.admin.operations import OPERATIONS
from tests.http.admin import BODIES, NAMES, call, code, done, names_of, problem
from tests.http.client import Registry

JSON: Final = [("Content-Type", "application/json")]
BOB: Final = "/admin/v1/users/bob"


@pytest.mark.parametrize(
    "path",
    [
        "/admin/",
        "/admin/v1",
        "/admin/v1/",
        "/admin/v2/users",
        "/admin/v1/nothing",
        "/admin/v1/users/",
        "/admin/v1/users/bob/nothing",
        "/admin/v1/repositories/team/app/policy",
    ],
)
async def test_unknown_path_is_a_problem(registry: Registry, path: str) -> None:
    answer = await registry.get(path)

    assert problem(answer)["status"] == 404


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "/users", "GET, HEAD, POST"),
        ("POST", "/users/bob", "DELETE, GET, HEAD, PATCH"),
        ("TRACE", "/registry-policy", "DELETE, GET, HEAD, PUT"),
        ("OPTIONS", "/settings", "GET, HEAD"),
        ("GET", "/policy-validation", "POST"),
    ],
)
async def test_unknown_method_is_told_which_there_are(registry: Registry, method: str, path: str, allowed: str) -> None:
    answer = await call(registry, method, path)

    assert problem(answer)["status"] == 405
    assert answer.headers["Allow"] == allowed


async def test_head_answers_as_get_without_the_document(registry: Registry) -> None:
    got, asked = await registry.get(BOB), await registry.head(BOB)

    assert asked.status == 200
    assert asked.body == b""
    for name in ("ETag", "Content-Length", "Content-Type"):
        assert asked.headers[name] == got.headers[name]


async def test_answers_are_for_no_cache(registry: Registry) -> None:
    """Who may do what is nobody else's to see, and old tomorrow."""
    for answer in (await call(registry, "GET", "/users"), await call(registry, "POST", "/groups", {"name": "crew"})):
        assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.furnished
async def test_what_was_made_is_found_where_the_answer_says(registry: Registry) -> None:
    for path, document in (
        ("/users", BODIES["CreateUser"]),
        ("/groups", {"name": "a+b=c,d.e@f"}),
        ("/roles", BODIES["CreateRole"]),
        ("/policies", BODIES["CreatePolicy"]),
        ("/repositories", {"name": "one/two/three"}),
    ):
        answer = await call(registry, "POST", path, document)
        assert answer.status == 201
        found = await registry.get(answer.location)

        assert found.status == 200
        assert found.document == answer.document


@pytest.mark.furnished
@pytest.mark.parametrize("name", sorted(BODIES))
async def test_unknown_member_is_refused(registry: Registry, name: str) -> None:
    """What is not heard must not be thought to be set; nothing of the rest is done."""
    names = names_of(registry)
    (operation,) = (each for each in OPERATIONS if each.name == name)
    path = operation.path.format(**{kind: named.replace("/", "%2F") for kind, named in names.items()})
    before = await everything(registry)

    answer = await call(registry, operation.method, path, {**BODIES[name], "kind": "root"})

    assert code(answer) == (400, "RequestInvalid")
    assert [each["field"] for each in problem(answer)["errors"]] == ["kind"]
    assert await everything(registry) == before


async def everything(registry: Registry) -> list[object]:
    """All that can be seen of the furniture."""
    paths: tuple[str, ...] = (
        "/users",
        "/users/alice",
        "/groups",
        "/groups/crew",
        "/roles",
        "/roles/builder",
        "/policies",
    )
    paths += ("/policies/readers", "/repositories", "/repositories/team%2Fapp", "/registry-policy", "/statistics")
    return [await done(registry, "GET", path) for path in paths]


@pytest.mark.parametrize(
    "member",
    [
        {"is_root": True}, {"kind": "root"}, {"arn": "arn:aws:iam::1:root"}, {"disabled": False},
        {"password_hash": "x"}, {"groups": ["crew"]}, {"account_id": "1"}, {"created_at": "2020-01-01T00:00:00Z"},
        {"attached_policies": ["readers"]}, {"permissions_boundary": None},
    ],
)  # fmt: skip
async def test_user_is_not_made_with_what_only_the_registry_sets(registry: Registry, member: dict[str, object]) -> None:
    for method, path, document in (("POST", "/users", {"name": "eve"}), ("PATCH", "/users/bob", {})):
        if member.keys() <= {"disabled"} and method == "PATCH":
            continue
        answer = await call(registry, method, path, {**document, **member})
        assert code(answer) == (400, "RequestInvalid")
    assert code(await call(registry, "GET", "/users/eve")) == (404, "NotThere")


@pytest.mark.furnished
async def test_operation_without_a_document_takes_no_members(registry: Registry) -> None:
    """An empty one may come, as some clients send it with every POST."""

    refused = await call(registry, "POST", "/users/alice/access-keys", {"active": False})

    assert code(refused) == (400, "RequestInvalid")
    assert len((await done(registry, "GET", "/users/alice/access-keys"))["items"]) == 1
    assert (await call(registry, "POST", "/users/alice/access-keys", {})).status == 201


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "Invalid JSON"),
        (b"{", "Invalid JSON"),
        (b"null", "object"),
        (b"[]", "object"),
        (b'"text"', "object"),
        (b"{}{}", "Invalid JSON"),
        (b'{"disabled": 0}', "boolean"),
        (b'{"disabled": "true"}', "boolean"),
        (b'{"disabled": true, "disabled": false}', "once"),
        (b'{"tags": {"a": "1", "a": "2"}}', "once"),
        (b'{"tags": {"a": 1}}', "string"),
        (b'{"tags": {"": "1"}}', "tags"),
        (b'{"tags": {"a": "\\u0000"}}', "control character"),
        (b'{"tags": {"a": "\\ud800"}}', "Invalid JSON"),
        (b'{"tags": {"a": "\xff"}}', "Invalid JSON"),
        (b'{"tags": ' + b"[" * 100_000, "Invalid JSON"),
        (b'{"tags": ' + b'{"a":' * 5_000, "Invalid JSON"),
        (b'{"disabled": ' + b"9" * 5_000 + b"}", "Invalid JSON"),
    ],
    ids=lambda value: repr(value[:30]),
)
async def test_body_that_is_no_such_document_is_refused(registry: Registry, content: bytes, said: str) -> None:
    before = await done(registry, "GET", "/users/bob")

    answer = await registry.patch(BOB, content, headers=JSON)

    assert code(answer) == (400, "RequestInvalid")
    assert said in problem(answer)["detail"]
    assert len(answer.body) < 2_000
    assert await done(registry, "GET", "/users/bob") == before


@pytest.mark.parametrize(
    "document",
    [
        b'{"document": {"Version": "2012-10-17", "Version": "2008-10-17", "Statement": []}}',
        b'{"document": {"Version": NaN, "Statement": []}}',
        b'{"document": {"Version": -Infinity, "Statement": []}}',
        b'{"document": 17}',
        b'{"document": null}',
        b'{"document": ' + b'{"Statement": [' * 120 + b"]}" * 120 + b"}",
        json.dumps({"document": "x" * 200_000}).encode(),
        json.dumps({"document": "\x00"}).encode(),
    ],
    ids=lambda value: repr(value[:40]),
)
async def test_policy_that_two_readers_could_read_differently_is_refused(registry: Registry, document: bytes) -> None:
    """Or one that is no policy at all."""
    answer = await call(registry, "PUT", "/policies/readers", document)

    assert problem(answer)["status"] == 400
    assert code(await call(registry, "GET", "/policies/readers")) == (404, "NotThere")


async def test_policy_that_breaks_the_grammar_is_told_where(registry: Registry) -> None:
    text = '{\n "Version": "2012-10-17",\n "Statement": [{"Effect": "Permit", "Action": "*", "Resource": "*"}]\n}'

    answer = await call(registry, "PUT", "/policies/readers", {"document": text})

    assert code(answer) == (400, "PolicyInvalid")
    (found,) = problem(answer)["errors"]
    assert (found["line"], found["field"]) == (3, "Statement[0].Effect")
    assert found["rule"]
    assert found["message"]


async def test_body_of_a_mebibyte_is_read_and_no_more(registry: Registry) -> None:
    most = 1024 * 1024
    filler = most - len(b'{"tags": {"a": ""}}')
    for size, status in ((filler, 400), (filler + 1, 413)):
        answer = await registry.patch(BOB, b'{"tags": {"a": "' + b"x" * size + b'"}}', headers=JSON)
        assert problem(answer)["status"] == status


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/problem+json", None]
)
async def test_body_of_another_type_is_refused(registry: Registry, kind: str | None) -> None:
    """A form in a foreign page cannot send JSON without the browser asking first."""
    headers = [] if kind is None else [("Content-Type", kind)]

    answer = await registry.ask("PATCH", BOB, body=b'{"disabled": true}', headers=headers)

    assert problem(answer)["status"] == 415
    assert not (await done(registry, "GET", "/users/bob"))["disabled"]


async def test_json_in_utf_8_is_taken_whatever_its_parameters(registry: Registry) -> None:
    headers = [("Content-Type", "Application/JSON; charset=utf-8")]

    assert (await registry.ask("PATCH", BOB, body=b"{}", headers=headers)).status == 200


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=", "limit=x", "limit=1.5", "limit=1&limit=2", "after=%00", "order=asc",
              "after=" + "x" * 513]
)  # fmt: skip
async def test_query_that_is_not_understood_is_refused(registry: Registry, query: str) -> None:
    answer = await call(registry, "GET", f"/users?{query}")

    assert code(answer) == (400, "RequestInvalid")
    assert {each["field"] for each in problem(answer)["errors"]} == {query.partition("=")[0]}


async def test_query_where_none_is_known_is_refused(registry: Registry) -> None:
    """`DELETE /users/bob?dry-run=true` must not delete bob."""
    assert code(await call(registry, "DELETE", "/users/bob?dry-run=true")) == (400, "RequestInvalid")
    assert (await call(registry, "GET", "/users/bob")).status == 200


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("%00", 400), ("bob%00", 400), ("bob%0a", 400), ("%C2%9F", 400), ("x" * 513, 400),
        ("x" * 512, 404), ("b%C3%B6b", 404), ("%F0%9F%90%B3", 404), ("..%2Fbob", 404), ("%252e", 404), ("bob%2F", 404),
        ("%ED%A0%80", 404), ("%FF", 404), ("bob%20", 404), ("BOB", 404), ("'%20or%20''='", 404), ("%25", 404),
    ],
    ids=lambda value: str(value)[:12],
)  # fmt: skip
async def test_name_that_nothing_has_finds_nothing(registry: Registry, name: str, status: int) -> None:
    for path in ("/users/{}", "/groups/{}", "/roles/{}", "/policies/{}", "/users/{}/policies", "/access-keys/{}"):
        answer = await call(registry, "GET", path.format(name))

        assert problem(answer)["status"] == status, path
        assert len(answer.body) < 2_000


async def test_name_of_ten_kilobytes_is_refused(registry: Registry) -> None:
    """Wherever it stands."""
    name = "x" * 10_000
    for method, path, document in (
        ("GET", f"/users/{name}", None),
        ("PUT", f"/groups/crew/members/{name}", None),
        ("POST", "/users", {"name": name}),
        ("POST", "/repositories", {"name": name}),
        ("POST", "/policies", {"name": name, "document": {}}),
        ("PUT", "/users/bob/permissions-boundary", {"policy": name}),
    ):
        answer = await call(registry, method, path, document)
        assert problem(answer)["status"] in {400, 404}, (method, path[:20])
        assert len(answer.body) < 2_000


async def test_name_that_nothing_can_have_is_given_to_nothing(registry: Registry) -> None:
    """Nor one that looks like an access key, which would log in as somebody else."""
    for name in ("", " ", "a b", "a/b", "ä", "a" * 65, "a:b", "LKAAAAAAAAAAAAAAAAAA", "*"):
        for path in ("/users", "/groups"):
            answer = await call(registry, "POST", path, {"name": name})
            assert code(answer) == (400, "AccountNameInvalid"), name


async def test_control_character_in_a_name_is_refused_before_it_is_looked_up(registry: Registry) -> None:
    """Not every database takes one."""
    for method, path, document in (
        ("POST", "/users", {"name": "a\x00"}),
        ("PUT", "/users/bob/permissions-boundary", {"policy": "a\x00"}),
        ("POST", "/simulation", {"user": "a\x00", "action": "ecr:PutImage"}),
        ("POST", "/simulation", {"role": "a\x7f", "action": "ecr:PutImage"}),
    ):
        assert code(await call(registry, method, path, document)) == (400, "RequestInvalid"), document


@pytest.mark.furnished
async def test_repeated_post_is_harmless(registry: Registry) -> None:
    """A client that lost the answer learns that it is there already; what is there stays as it is."""
    before = await everything(registry)

    for path, document in (
        ("/users", {"name": NAMES["user"], "tags": {"team": "other"}}),
        ("/groups", {"name": NAMES["group"]}),
        ("/roles", {**BODIES["CreateRole"], "name": NAMES["role"]}),
        ("/policies", {**BODIES["CreatePolicy"], "name": NAMES["policy"]}),
        ("/repositories", {"name": NAMES["repository"], "tags": {"team": "other"}}),
    ):
        assert problem(await call(registry, "POST", path, document))["status"] == 409

    assert await everything(registry) == before


@pytest.mark.parametrize(
    "query",
    [
        "after=nan:1", "after=inf:1", "after=1:99999999999999999999", "after=1:1_0", "after=-1:1", "after=x",
        "since=0.5", "since=2026-01-01", "since=2026-01-01T00:00:00", "since=2026-02-30T00:00:00Z",
        "since=1969-12-31T23:59:59Z", "until=9999-12-31T23:59:59-14:00", "until=0001-01-01T00:00:00%2B14:00",
        "principal=%00", "action=%00", "resource=%00", "event=", "decision=maybe", "order=any",
    ],
)  # fmt: skip
async def test_events_are_not_looked_for_by_what_is_no_time_and_no_name(registry: Registry, query: str) -> None:
    answer = await call(registry, "GET", f"/audit-events?{query}")

    assert code(answer) == (400, "RequestInvalid")
    assert [each["field"] for each in problem(answer)["errors"]] == [query.partition("=")[0]]


@pytest.mark.parametrize(
    "ends", ["2001-01-01T00:00:00Z", "2030-01-31", 1_900_000_000, "1900000000", "9999-12-31T23:59:59-14:00", ""]
)
async def test_service_token_ends_at_a_time_to_come(registry: Registry, ends: object) -> None:
    answer = await call(registry, "POST", "/users/bob/service-tokens", {"name": "ci", "expires_at": ends})

    assert problem(answer)["status"] == 400
    assert (await done(registry, "GET", "/users/bob/service-tokens"))["items"] == []
