"""The policies of repositories and of the registry as rows."""

from functools import partial

from sqlalchemy import delete

from storage.metadata import schema
from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.policies import (
    RepositoryRules,
    delete_registry_policy,
    delete_repository_policy,
    find_registry_policy,
    find_repository_policy,
    find_repository_rules,
    put_registry_policy,
    put_repository_policy,
)
from tests.storage.metadata.rows import make_repository


async def put(database: Database, document: str, name: str = "alpha") -> bool:
    return await database.write(lambda c: put_repository_policy(c, name, document, 1.0))


async def test_a_repository_has_no_policy_until_one_is_put(database: Database) -> None:
    await database.write(make_repository)
    assert await database.read(lambda c: find_repository_policy(c, "alpha")) is None

    assert await put(database, "{}") is True

    assert await database.read(lambda c: find_repository_policy(c, "alpha")) == "{}"


async def test_a_repository_has_one_policy(database: Database) -> None:
    await database.write(make_repository)
    await put(database, "one")

    assert await put(database, "two") is True

    assert await database.read(lambda c: find_repository_policy(c, "alpha")) == "two"


async def test_a_policy_is_of_one_repository(database: Database) -> None:
    for name in ("alpha", "alpha/sub", "beta"):
        await database.write(partial(make_repository, name=name))
    await put(database, "{}")

    assert await database.read(lambda c: find_repository_policy(c, "alpha/sub")) is None
    assert await database.read(lambda c: find_repository_policy(c, "beta")) is None


async def test_a_repository_that_is_not_there_takes_no_policy(database: Database) -> None:
    assert await put(database, "{}") is False
    assert await database.read(lambda c: find_repository_policy(c, "alpha")) is None
    assert await database.write(lambda c: delete_repository_policy(c, "alpha")) is False


async def test_a_deleted_policy_is_gone(database: Database) -> None:
    await database.write(make_repository)
    await put(database, "{}")

    assert await database.write(lambda c: delete_repository_policy(c, "alpha")) is True

    assert await database.read(lambda c: find_repository_policy(c, "alpha")) is None
    assert await database.write(lambda c: delete_repository_policy(c, "alpha")) is False


async def test_a_policy_goes_with_its_repository(database: Database) -> None:
    """Whoever makes a repository of the same name does not inherit it."""
    await database.write(make_repository)
    await put(database, "{}")
    await database.write(lambda c: c.execute(delete(schema.repository)).close())

    await database.write(make_repository)

    assert await database.read(lambda c: find_repository_policy(c, "alpha")) is None


async def test_policies_of_several_repositories_are_found_at_once(database: Database) -> None:
    """More than fit into one query."""
    names = [f"r{number}" for number in range(1203)]
    for name in ("r0", "r499", "r500", "r1202"):
        await database.write(partial(make_repository, name=name))
    for name in ("r0", "r500", "r1202"):
        await put(database, f"of {name}", name)

    found = await database.read(lambda c: find_repository_rules(c, names))

    assert found == {
        "r0": RepositoryRules("of r0", "{}"),
        "r499": RepositoryRules(None, "{}"),
        "r500": RepositoryRules("of r500", "{}"),
        "r1202": RepositoryRules("of r1202", "{}"),
    }
    assert await database.read(lambda c: find_repository_rules(c, [])) == {}


async def test_the_registry_has_one_policy(database: Database) -> None:
    assert await database.read(find_registry_policy) is None

    assert await database.write(lambda c: put_registry_policy(c, "one", 1.0)) is True
    assert await database.write(lambda c: put_registry_policy(c, "two", 2.0)) is True

    assert await database.read(find_registry_policy) == "two"


async def test_the_registry_can_do_without_a_policy(database: Database) -> None:
    await database.write(lambda c: put_registry_policy(c, "{}", 1.0))

    assert await database.write(delete_registry_policy) is True

    assert await database.read(find_registry_policy) is None
    assert await database.write(delete_registry_policy) is False


async def test_the_generation_moves_with_every_change_of_a_policy(database: Database) -> None:
    await database.write(make_repository)
    generations = [await database.read(current_generation)]
    for change in (
        lambda c: put_repository_policy(c, "alpha", "{}", 1.0),
        lambda c: put_repository_policy(c, "beta", "{}", 1.0),
        lambda c: delete_repository_policy(c, "alpha"),
        lambda c: delete_repository_policy(c, "alpha"),
        lambda c: put_registry_policy(c, "{}", 1.0),
        delete_registry_policy,
        delete_registry_policy,
    ):
        await database.write(change)
        generations.append(await database.read(current_generation))

    assert generations == [0, 1, 1, 2, 2, 3, 4, 4]
