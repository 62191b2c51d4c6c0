"""Wrong passwords as rows."""

import asyncio
from functools import partial

from sqlalchemy import Connection, func, select

from storage.metadata.activity_schema import login_failure
from storage.metadata.database import Database
from storage.metadata.login_failures import (
    LoginFailures,
    Moment,
    begin_check,
    end_check,
    find_login_failures,
    forget_login_failures,
)

NOW = Moment(1000.0, 60.0)


async def begin(activity: Database, moment: Moment = NOW, *, most: int = 3) -> float | None:
    return await activity.write(partial(begin_check, id="one", moment=moment, most=most))


async def fail(activity: Database, moment: Moment = NOW, *, most: int = 3) -> None:
    began_at = await begin(activity, moment, most=most)
    assert began_at is not None
    await activity.write(partial(end_check, id="one", began_at=began_at, failed=True))


async def found(activity: Database, moment: Moment = NOW) -> dict[str, LoginFailures]:
    return await activity.read(lambda c: find_login_failures(c, ("one", "two"), moment))


def count_rows(connection: Connection) -> int:
    count: int = connection.execute(select(func.count()).select_from(login_failure)).scalar_one()
    return count


async def test_a_check_counts_while_it_is_made(activity: Database) -> None:
    assert await begin(activity) == 1000.0

    assert await found(activity) == {"one": LoginFailures(0, 1, 1000.0)}


async def test_a_wrong_one_goes_on_counting(activity: Database) -> None:
    await fail(activity)

    assert await found(activity) == {"one": LoginFailures(1, 0, 1000.0)}


async def test_a_right_one_takes_back_itself_alone(activity: Database) -> None:
    await fail(activity)
    began_at = await begin(activity)
    assert began_at is not None

    await activity.write(partial(end_check, id="one", began_at=began_at, failed=False))

    assert await found(activity) == {"one": LoginFailures(1, 0, 1000.0)}


async def test_no_check_is_begun_past_the_bound(activity: Database) -> None:
    """Wrong ones and those being checked fill it together."""
    await fail(activity)
    await begin(activity)
    await begin(activity)

    assert await begin(activity) is None

    assert await found(activity) == {"one": LoginFailures(1, 2, 1000.0)}


async def test_of_many_at_once_no_more_begin_than_the_bound(activity: Database, other_activity: Database) -> None:
    """Whichever worker they come to."""
    begun = await asyncio.gather(*(begin(each) for each in (activity, other_activity) for _ in range(10)))

    assert len([began_at for began_at in begun if began_at is not None]) == 3


async def test_all_is_forgotten_a_minute_after_the_first(activity: Database) -> None:
    for seconds in (0, 30, 59):
        await fail(activity, Moment(1000.0 + seconds, 60.0))
    assert await begin(activity, Moment(1059.9, 60.0)) is None
    assert await found(activity, Moment(1060.0, 60.0)) == {}

    assert await begin(activity, Moment(1060.0, 60.0)) == 1060.0

    assert await found(activity, Moment(1060.0, 60.0)) == {"one": LoginFailures(0, 1, 1060.0)}


async def test_a_clock_that_was_set_back_blocks_nobody(activity: Database) -> None:
    for _ in range(3):
        await fail(activity)

    assert await begin(activity, Moment(900.0, 60.0)) == 900.0


async def test_a_check_that_outlived_its_minute_changes_nothing(activity: Database) -> None:
    """It is not taken from those that count since."""
    began_at = await begin(activity)
    assert began_at is not None
    await begin(activity, Moment(1060.0, 60.0))

    await activity.write(partial(end_check, id="one", began_at=began_at, failed=True))

    assert await found(activity, Moment(1060.0, 60.0)) == {"one": LoginFailures(0, 1, 1060.0)}


async def test_what_is_forgotten_is_removed_and_the_rest_stays(activity: Database) -> None:
    await activity.write(partial(begin_check, id="past", moment=Moment(940.0, 60.0), most=3))
    await activity.write(partial(begin_check, id="future", moment=Moment(1060.0, 60.0), most=3))
    await fail(activity)

    await activity.write(partial(forget_login_failures, moment=NOW))

    assert await activity.read(count_rows) == 1
    assert await found(activity) == {"one": LoginFailures(1, 0, 1000.0)}


async def test_ids_count_apart(activity: Database) -> None:
    await fail(activity)
    await activity.write(partial(begin_check, id="two", moment=NOW, most=3))

    assert await found(activity) == {"one": LoginFailures(1, 0, 1000.0), "two": LoginFailures(0, 1, 1000.0)}
