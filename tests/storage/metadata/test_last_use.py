"""Last uses as rows."""

from storage.metadata.database import Database
from storage.metadata.last_use import (
    LastUsed,
    find_last_uses,
    forget_last_uses,
    list_used_credentials,
    save_last_uses,
)

ONE = LastUsed("LKone", 100.0, "192.0.2.7")
TWO = LastUsed("lktwo", 200.0, "2001:db8::1")


async def test_last_uses_are_kept_as_they_were_given(activity: Database) -> None:
    await activity.write(lambda c: save_last_uses(c, [TWO, ONE]))

    assert await activity.read(lambda c: find_last_uses(c, ["LKone", "lktwo", "three"])) == {
        "LKone": ONE,
        "lktwo": TWO,
    }


async def test_later_use_replaces_an_earlier_one_and_never_the_other_way(activity: Database) -> None:
    await activity.write(lambda c: save_last_uses(c, [LastUsed("LKone", 50.0, "before"), TWO]))

    await activity.write(lambda c: save_last_uses(c, [ONE, LastUsed("lktwo", 150.0, "late to arrive")]))

    assert await activity.read(lambda c: find_last_uses(c, ["LKone", "lktwo"])) == {"LKone": ONE, "lktwo": TWO}


async def test_nothing_to_save_is_no_error(activity: Database) -> None:
    await activity.write(lambda c: save_last_uses(c, []))


async def test_credentials_are_listed_by_bytes_in_pages(activity: Database) -> None:
    """As the other database has to be asked about them, page by page."""
    await activity.write(lambda c: save_last_uses(c, [TWO, ONE]))

    assert await activity.read(lambda c: list_used_credentials(c, after="", limit=1)) == ["LKone"]
    assert await activity.read(lambda c: list_used_credentials(c, after="LKone", limit=1)) == ["lktwo"]
    assert await activity.read(lambda c: list_used_credentials(c, after="lktwo", limit=1)) == []


async def test_forgotten_uses_are_gone(activity: Database) -> None:
    await activity.write(lambda c: save_last_uses(c, [TWO, ONE]))

    await activity.write(lambda c: forget_last_uses(c, ["LKone"]))

    assert await activity.read(lambda c: find_last_uses(c, ["LKone", "lktwo"])) == {"lktwo": TWO}
