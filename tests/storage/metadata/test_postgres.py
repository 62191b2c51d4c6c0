"""PostgreSQL: what its sessions are set to, how many there are, races that are run again, and a server that is away."""

import asyncio
from collections.abc import Iterator

import asyncpg
import pytest
from sqlalchemy import Connection
from sqlalchemy.engine import make_url

from storage.errors import DatabaseUnavailable, NoSpace
from storage.metadata.accounts import add_setting, find_setting
from storage.metadata.database import Database
from storage.metadata.postgres import PostgresDatabase, PostgresPool
from tests.contracts.database_places import Place, template_place


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """PostgreSQL alone."""
    with template_place("postgres", tmp_path_factory.mktemp("template")) as place:
        yield place


@pytest.fixture
async def relaxed(template: Place) -> Place:
    """A database whose default is to answer before the disk has the log."""
    url = make_url(template.address)
    admin = PostgresDatabase(PostgresPool(template.address))
    await admin.read(lambda c: c.exec_driver_sql(f"ALTER DATABASE {url.database} SET synchronous_commit = off"))
    await admin.close()
    return template


def setting(connection: Connection, name: str) -> object:
    return connection.exec_driver_sql(f"SHOW {name}").scalar_one()


async def test_a_write_waits_for_the_disk_whatever_the_server_does(relaxed: Place) -> None:
    database = PostgresDatabase(PostgresPool(relaxed.address))

    assert await database.write(lambda c: setting(c, "synchronous_commit")) == "on"
    await database.close()


async def test_a_database_may_be_written_without_waiting_for_the_disk(template: Place) -> None:
    database = PostgresDatabase(PostgresPool(template.address), durable=False)

    assert await database.write(lambda c: setting(c, "synchronous_commit")) == "off"
    await database.close()


async def test_tables_are_looked_for_in_the_schema_that_was_named(template: Place) -> None:
    database = PostgresDatabase(PostgresPool(template.address), schema="elsewhere")

    assert await database.read(lambda c: setting(c, "search_path")) == "elsewhere"
    await database.close()


@pytest.mark.parametrize("url", ["postgresql://test@127.0.0.1:1/test", "postgresql://test@no-such-host.invalid/test"])
async def test_a_server_that_is_away_is_a_fact_about_storage(url: str) -> None:
    database = PostgresDatabase(PostgresPool(url, deadline_seconds=0.2))

    for use in (database.read, database.scan, database.write):
        with pytest.raises(DatabaseUnavailable):
            await use(lambda _: None)
    await database.close()


async def test_a_server_that_refuses_the_connection_is_a_fact_about_storage(template: Place) -> None:
    """It answers while it starts or has too many clients, but not with a session."""
    url = make_url(template.address).set(database="no_such_database").render_as_string(hide_password=False)
    database = PostgresDatabase(PostgresPool(url))

    for use in (database.read, database.scan, database.write):
        with pytest.raises(DatabaseUnavailable):
            await use(lambda _: None)
    await database.close()


def _end_session(connection: Connection) -> None:
    connection.exec_driver_sql("SELECT pg_terminate_backend(pg_backend_pid())")


async def test_a_session_that_the_server_ends_is_a_fact_about_storage(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.write(_end_session)


async def test_work_goes_on_after_the_server_ended_a_session(database: Database) -> None:
    with pytest.raises(DatabaseUnavailable):
        await database.write(_end_session)

    assert await database.write(lambda _: 1) == 1
    assert await database.read(lambda _: 1) == 1


def _raise(connection: Connection, code: str) -> None:
    connection.exec_driver_sql(f"DO $$ BEGIN RAISE EXCEPTION USING ERRCODE = '{code}'; END $$")


@pytest.mark.parametrize("code", ["40001", "40P01"], ids=["serialization failure", "deadlock"])
async def test_a_change_that_lost_a_race_is_run_again(database: Database, code: str) -> None:
    attempts: list[int] = []

    def change(connection: Connection) -> None:
        add_setting(connection, "a", "1")
        attempts.append(1)
        if len(attempts) < 3:
            _raise(connection, code)

    await database.write(change)

    assert len(attempts) == 3
    assert await database.read(lambda c: find_setting(c, "a")) == "1"


@pytest.mark.parametrize(("code", "expected"), [("40P01", 5), ("23505", 1), ("53200", 1)])
async def test_a_change_is_given_up_in_the_end(database: Database, code: str, expected: int) -> None:
    """What a second attempt cannot win is not tried again."""
    attempts: list[int] = []

    def change(connection: Connection) -> None:
        attempts.append(1)
        _raise(connection, code)

    with pytest.raises(DatabaseUnavailable):
        await database.write(change)

    assert len(attempts) == expected


async def test_a_server_whose_disk_is_full_raises_no_space(database: Database) -> None:
    def change(connection: Connection) -> None:
        connection.exec_driver_sql(
            "DO $$ BEGIN RAISE EXCEPTION 'could not extend file \"x\": No space left on device'"
            " USING ERRCODE = '53100'; END $$"
        )

    with pytest.raises(NoSpace):
        await database.write(change)


async def test_databases_that_share_a_pool_keep_their_own_settings(template: Place) -> None:
    """A process needs connections for two schemas, not twice as many."""
    pool = PostgresPool(template.address, connections=1)
    registry = PostgresDatabase(pool)
    activity = PostgresDatabase(pool, schema="elsewhere", durable=False)

    def settings(connection: Connection) -> tuple[object, object]:
        return setting(connection, "search_path"), setting(connection, "synchronous_commit")

    found = [await database.write(settings) for database in (registry, activity, activity, registry)]
    await registry.close()
    found.append(await activity.read(settings))
    await activity.close()

    usual, apart = ('"$user", public', "on"), ("elsewhere", "off")
    assert found == [usual, apart, apart, usual, apart]


async def test_a_change_that_is_undone_leaves_the_settings(template: Place) -> None:
    database = PostgresDatabase(PostgresPool(template.address, connections=1), schema="elsewhere")

    with pytest.raises(DatabaseUnavailable):
        await database.write(lambda c: _raise(c, "23505"))

    assert await database.read(lambda c: setting(c, "search_path")) == "elsewhere"
    await database.close()


async def test_no_more_connections_than_were_given(template: Place) -> None:
    """Whoever finds none waits for his turn."""
    database = PostgresDatabase(PostgresPool(template.address, connections=2))

    def work(connection: Connection) -> object:
        connection.exec_driver_sql("SELECT pg_sleep(0.01)")
        return connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one()

    sessions = await asyncio.gather(*(database.write(work) for _ in range(20)))

    assert len(set(sessions)) == 2
    await database.close()


async def test_nobody_waits_for_a_connection_for_ever(template: Place) -> None:
    database = PostgresDatabase(PostgresPool(template.address, connections=1, deadline_seconds=0.1))
    slow = asyncio.create_task(database.write(lambda c: c.exec_driver_sql("SELECT pg_sleep(0.5)").close()))
    await asyncio.sleep(0.05)

    with pytest.raises(DatabaseUnavailable):
        await database.read(lambda _: 1)

    await slow
    await database.close()


async def test_a_server_that_is_full_for_a_moment_is_asked_again(template: Place) -> None:
    """Others may use the server too; who waits has his connection once they are gone."""
    name = "lading_test_full"
    admin = await asyncpg.connect(template.address)
    await admin.execute(f"DROP ROLE IF EXISTS {name}; CREATE ROLE {name} LOGIN CONNECTION LIMIT 1")
    url = make_url(template.address).set(username=name).render_as_string(hide_password=False)
    other = await asyncpg.connect(url)
    database = PostgresDatabase(PostgresPool(url, deadline_seconds=5))

    waiting = asyncio.create_task(database.read(lambda c: c.exec_driver_sql("SELECT 1").scalar_one()))
    await asyncio.sleep(0.2)
    assert not waiting.done()
    await other.close()

    assert await waiting == 1
    await database.close()
    await admin.execute(f"DROP ROLE {name}")
    await admin.close()
