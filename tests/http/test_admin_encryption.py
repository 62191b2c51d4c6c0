"""Encryption configurations of repositories, and the keys of their domains, over the admin API."""

from typing import Any, Final

import pytest

from storage.keyfile import fingerprint, load_root_keys
from tests.http.admin import call, code, done, problem
from tests.http.client import Registry, Start

TEAM: Final = "/encryption/domains/alias%2Fteam"
KMS: Final = {"type": "KMS", "kms_key": "alias/team"}


async def keys(registry: Registry) -> list[tuple[str, int, str]]:
    """The keys that are listed, and what each is for."""
    items = (await done(registry, "GET", "/encryption/keys"))["items"]
    return [(each["domain"], each["version"], each["state"]) for each in items]


async def make(registry: Registry, encryption: Any, name: str = "team/app") -> Any:
    """Make a repository."""
    return await done(registry, "POST", "/repositories", {"name": name, "encryption": encryption})


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ({}, {"type": "AES256", "kms_key": None}),
        ({"type": "AES256"}, {"type": "AES256", "kms_key": None}),
        (KMS, KMS),
        ({"type": "KMS"}, {"type": "KMS", "kms_key": "alias/aws/ecr"}),
    ],
    ids=["nothing", "AES256", "a KMS key", "any KMS key"],
)
async def test_a_repository_shows_the_encryption_it_was_made_with(
    registry: Registry, asked: dict[str, str], shown: dict[str, str | None]
) -> None:
    """As ECR's does: KMS without a key is the registry's own."""
    made = await make(registry, asked)

    assert made["encryption"] == shown
    assert (await done(registry, "GET", "/repositories/team%2Fapp"))["encryption"] == shown


async def test_the_encryption_of_a_repository_never_changes(registry: Registry) -> None:
    await make(registry, KMS)

    changed = await call(registry, "PATCH", "/repositories/team%2Fapp", {"tags": {}, "encryption": {}})

    assert code(changed) == (400, "RequestInvalid")
    assert (await done(registry, "PATCH", "/repositories/team%2Fapp", {"tags": {}}))["encryption"] == KMS


@pytest.mark.parametrize(
    "encryption",
    [
        {"type": "AES256", "kms_key": "alias/team"},
        {"type": "KMS", "kms_key": "AES256"},
        {"type": "KMS", "kms_key": ""},
        {"type": "KMS", "kms_key": "a key"},
        {"type": "KMS", "kms_key": "k" * 513},
        {"type": "DES"},
        {"kms_key": "alias/team"},
    ],
)
async def test_encryption_that_makes_no_sense_is_refused(registry: Registry, encryption: Any) -> None:
    answer = await call(registry, "POST", "/repositories", {"name": "team/app", "encryption": encryption})

    assert problem(answer)["status"] == 400
    assert (await done(registry, "GET", "/repositories"))["items"] == []
    assert await keys(registry) == [("AES256", 1, "current")]


async def test_repositories_share_the_domain_that_they_name(registry: Registry) -> None:
    await make(registry, KMS, "one")
    await make(registry, KMS, "two")
    await registry.push_image("three", "latest")

    assert await keys(registry) == [("AES256", 1, "current"), ("alias/team", 1, "current")]


async def test_the_key_of_a_domain_is_rotated(registry: Registry) -> None:
    await make(registry, KMS)

    made = await call(registry, "POST", f"{TEAM}/keys", {})

    assert made.status == 201
    assert (made.document["domain"], made.document["version"], made.document["state"]) == ("alias/team", 2, "current")
    assert made.document["wrapped_by"] == f"local:{fingerprint(load_root_keys(registry.root / 'root.key')[0])}"
    assert await keys(registry) == [
        ("AES256", 1, "current"),
        ("alias/team", 1, "retired"),
        ("alias/team", 2, "current"),
    ]


async def test_a_domain_shows_how_much_its_keys_encrypt(registry: Registry) -> None:
    await make(registry, KMS)
    await done(registry, "POST", f"{TEAM}/keys", {})

    domain = await done(registry, "GET", TEAM)

    assert (domain["name"], domain["kms_key"], domain["destroy_at"]) == ("alias/team", "alias/team", None)
    assert [(each["version"], each["state"], each["encrypts"]) for each in domain["versions"]] == [
        (1, "retired", {"blobs": 0, "manifests": 0}),
        (2, "current", {"blobs": 0, "manifests": 0}),
    ]
    assert domain["plain"] == {"blobs": 0, "manifests": 0}


async def test_the_root_key_is_rotated_while_serving(start: Start) -> None:
    """What was pushed before and who logged in before is served after, by this server and by the next."""
    async with start() as registry:
        await make(registry, KMS)
        await registry.push_image("team/app", "latest")
        token = await registry.token("repository:team/app:pull")
        (old,) = load_root_keys(registry.root / "root.key")

        rotated = await done(registry, "POST", "/encryption/root-key-rotations")

        (new,) = load_root_keys(registry.root / "root.key")
        assert new != old
        assert rotated == {
            "root": f"local:{fingerprint(new)}",
            "before": f"local:{fingerprint(old)}",
            "keys": 2,
            "kept": 0,
        }
        assert (await registry.get("/v2/team/app/manifests/latest", authorization=token)).status == 200
        await done(registry, "POST", f"{TEAM}/keys", {})
    async with start() as registry:
        assert (await registry.get("/v2/team/app/manifests/latest", authorization=token)).status == 200
        assert len(await keys(registry)) == 3


async def test_a_domain_is_destroyed_in_two_steps(registry: Registry) -> None:
    await make(registry, KMS)

    planned = await done(registry, "POST", f"{TEAM}/destruction", {"after_seconds": 3600})
    again = await call(registry, "POST", f"{TEAM}/destruction", {})
    in_it = await call(registry, "POST", "/repositories", {"name": "other", "encryption": KMS})

    assert planned["destroyed_at"] is None
    assert code(again) == (409, "DestructionTooEarly")
    assert f"can be destroyed from {planned['destroy_at']} on" in problem(again)["detail"]
    assert code(in_it) == (409, "DomainUnusable")
    assert (await keys(registry))[1] == ("alias/team", 1, "pending destruction")
    await done(registry, "DELETE", f"{TEAM}/destruction")
    assert (await keys(registry))[1] == ("alias/team", 1, "current")


async def test_the_default_domain_is_not_destroyed(registry: Registry) -> None:
    answer = await call(registry, "POST", "/encryption/domains/AES256/destruction", {})

    assert code(answer) == (409, "DomainProtected")


@pytest.mark.parametrize("seconds", [0, 3599, 2592001, -1, "3600"])
async def test_a_wait_that_is_too_short_or_too_long_is_refused(registry: Registry, seconds: Any) -> None:
    await make(registry, KMS)

    answer = await call(registry, "POST", f"{TEAM}/destruction", {"after_seconds": seconds})

    assert code(answer) == (400, "RequestInvalid")


async def test_a_domain_that_there_is_not_is_not_found(registry: Registry) -> None:
    for method, path, document in (
        ("GET", "", None),
        ("POST", "/keys", {}),
        ("POST", "/destruction", {}),
        ("DELETE", "/destruction", None),
    ):
        assert code(await call(registry, method, TEAM + path, document)) == (404, "DomainUnknown")
