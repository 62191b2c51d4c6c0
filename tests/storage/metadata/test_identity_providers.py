"""Identity providers as rows."""

from storage.metadata.database import Database
from storage.metadata.generation import current_generation
from storage.metadata.identity_providers import (
    StoredProvider,
    add_provider,
    change_provider,
    count_providers,
    delete_provider,
    find_provider,
    find_provider_of,
    list_providers,
)

ISSUER = "https://issuer.example.com/a"
PROVIDER = StoredProvider("issuer.example.com/a", ISSUER, '["lading"]', None, allow_private=False, created_at=1.5)
OTHER = StoredProvider("Issuer", "https://Issuer", "[]", "https://keys", allow_private=True, created_at=2.5)


async def test_a_provider_is_kept_as_it_was_given(database: Database) -> None:
    assert await database.write(lambda c: add_provider(c, PROVIDER)) is True
    assert await database.write(lambda c: add_provider(c, OTHER)) is True

    assert await database.read(lambda c: find_provider(c, "issuer.example.com/a")) == PROVIDER
    assert await database.read(lambda c: find_provider_of(c, "https://Issuer")) == OTHER
    assert await database.scan(list_providers) == [OTHER, PROVIDER]
    assert await database.read(count_providers) == 2


async def test_neither_a_name_nor_an_issuer_is_there_twice(database: Database) -> None:
    await database.write(lambda c: add_provider(c, PROVIDER))
    same_name = StoredProvider(PROVIDER.name, "http://other", "[]", None, allow_private=False, created_at=2.5)
    same_issuer = StoredProvider("other", ISSUER, "[]", None, allow_private=False, created_at=2.5)

    assert await database.write(lambda c: add_provider(c, same_name)) is False
    assert await database.write(lambda c: add_provider(c, same_issuer)) is False


async def test_a_changed_provider_keeps_name_and_issuer(database: Database) -> None:
    await database.write(lambda c: add_provider(c, PROVIDER))

    changed = await database.write(
        lambda c: change_provider(c, PROVIDER.name, audiences='["b"]', jwks_url="https://keys", allow_private=True)
    )

    assert changed is True
    assert await database.read(lambda c: find_provider(c, PROVIDER.name)) == StoredProvider(
        PROVIDER.name, ISSUER, '["b"]', "https://keys", allow_private=True, created_at=1.5
    )


async def test_what_is_not_there_changes_nothing(database: Database) -> None:
    changed = await database.write(
        lambda c: change_provider(c, "nobody", audiences="[]", jwks_url=None, allow_private=False)
    )

    assert changed is False
    assert await database.write(lambda c: delete_provider(c, "nobody")) is False
    assert await database.read(lambda c: find_provider(c, "nobody")) is None
    assert await database.read(lambda c: find_provider_of(c, "nobody")) is None
    assert await database.read(current_generation) == 0


async def test_a_provider_is_there_until_it_is_deleted(database: Database) -> None:
    await database.write(lambda c: add_provider(c, PROVIDER))

    assert await database.write(lambda c: delete_provider(c, PROVIDER.name)) is True

    assert await database.scan(list_providers) == []
