"""Access keys over the admin API, and what of a secret is ever seen: the answer that makes it, and nothing else."""

import pytest

from registry.admin.operations import OPERATIONS
from tests.http.admin import call, code, done, names_of, perform
from tests.http.client import Registry, basic


async def test_access_key_logs_in_until_it_is_disabled(registry: Registry) -> None:
    made = await call(registry, "POST", "/users/bob/access-keys")
    key = made.document
    with_key = basic(key["access_key_id"], key["secret_access_key"])
    path = f"/users/bob/access-keys/{key['access_key_id']}"
    assert made.status == 201
    assert made.headers["Cache-Control"] == "no-store"
    assert (await registry.get("/v2/", authorization=with_key)).status == 200

    for _twice in range(2):
        assert not (await done(registry, "PATCH", path, {"active": False}))["active"]
        assert (await registry.get("/v2/", authorization=with_key)).status == 401
    assert (await done(registry, "PATCH", path, {"active": True}))["active"]
    assert (await registry.get("/v2/", authorization=with_key)).status == 200

    await done(registry, "DELETE", path)

    assert (await registry.get("/v2/", authorization=with_key)).status == 401
    assert code(await call(registry, "DELETE", path)) == (404, "NotThere")


@pytest.mark.furnished
async def test_access_key_shows_whose_it_is(registry: Registry) -> None:
    names = names_of(registry)
    key_id = names["access_key"]

    found = await done(registry, "GET", f"/access-keys/{key_id}")

    assert found == (await done(registry, "GET", "/users/alice/access-keys"))["items"][0]
    assert found.keys() == {"access_key_id", "user", "active", "created_at", "last_used_at", "last_used_from"}
    assert (found["access_key_id"], found["user"], found["active"]) == (key_id, "alice", True)


async def test_user_has_two_access_keys_at_most(registry: Registry) -> None:
    for _key in range(2):
        await done(registry, "POST", "/users/bob/access-keys")

    assert code(await call(registry, "POST", "/users/bob/access-keys")) == (409, "TooMany")
    assert len((await done(registry, "GET", "/users/bob/access-keys"))["items"]) == 2


@pytest.mark.furnished
async def test_access_key_is_reached_through_its_owner_only(registry: Registry) -> None:
    """Else whoever may look after one user's keys could look after everybody's."""
    names = names_of(registry)
    key_id = names["access_key"]

    for method, document in (("PATCH", {"active": False}), ("DELETE", None)):
        for user in ("bob", "admin", "eve"):
            answer = await call(registry, method, f"/users/{user}/access-keys/{key_id}", document)
            assert code(answer) == (404, "NotThere")

    assert (await done(registry, "GET", f"/access-keys/{key_id}"))["active"]


async def test_access_keys_want_a_user(registry: Registry) -> None:
    for method in ("GET", "POST"):
        assert code(await call(registry, method, "/users/eve/access-keys")) == (404, "NotThere")


@pytest.mark.furnished
async def test_change_of_an_access_key_says_which(registry: Registry) -> None:
    names = names_of(registry)

    answer = await call(registry, "PATCH", f"/users/alice/access-keys/{names['access_key']}", {})

    assert code(answer) == (400, "RequestInvalid")


@pytest.mark.furnished
@pytest.mark.settings(log={"access": True, "level": "debug"})
async def test_secret_is_in_no_later_answer_and_in_no_log(
    registry: Registry, capfd: pytest.CaptureFixture[str]
) -> None:
    """Neither passwords, nor keys, nor what they are kept as; a refused document is not told back either."""
    names = names_of(registry)
    key = await done(registry, "POST", "/users/alice/access-keys")
    await done(registry, "POST", "/users", {"name": "carol", "password": "PASSWORD-one"})
    await done(registry, "PUT", "/users/alice/password", {"password": "PASSWORD-two"})
    generated = (await done(registry, "PUT", "/users/carol/password", {}))["password"]
    seen = []
    for document in (
        {"password": 17, "PASSWORD-six": "PASSWORD-seven"},
        {"password": "PASSWORD-three\x00"},
        {"password": ["PASSWORD-four"]},
        {"passwort": "PASSWORD-five"},
    ):
        refused = await call(registry, "PUT", "/users/alice/password", document)
        assert refused.status == 400
        seen.append(refused.body.decode())
    for operation in OPERATIONS:
        if operation.is_read:
            answer = await perform(registry, operation, names)
            assert answer.status == 200
            seen.append(answer.body.decode())

    out, err = capfd.readouterr()
    assert "/admin/v1/users/alice/password" in out + err
    for text in (*seen, out, err):
        told = text.replace("PASSWORD-six", "")  # the name of a member, which is told to who sent it
        for secret in (key["secret_access_key"], generated, "PASSWORD-", "argon2", "sealed"):
            assert secret not in told
