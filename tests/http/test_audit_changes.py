"""Changes that fail in the answer, and are events all the same."""

from functools import partial

from storage.metadata.principals import change_principal
from tests.http.admin import call
from tests.http.client import Registry
from tests.http.people import administered
from tests.http.trail import recorded


async def test_a_change_is_told_though_its_answer_fails(registry: Registry) -> None:
    """Nobody can tell from outside whether it was made: here it was."""
    async with administered(registry.root) as people:
        await people.accounts.create_user("erin")
        await people.database.write(partial(change_principal, name="erin", kind="user", tags="{"))

        answer = await call(registry, "PATCH", "/users/erin", {"disabled": True})

        assert answer.status == 500
        assert (await people.accounts.user("erin")).is_disabled
    (event,) = await recorded(registry.root)
    assert (event["event"], event["action"], event["decision"]) == ("change", "lading:UpdateUser", "allowed")
    assert (event["details"]["status"], event["details"]["path"]) == (500, "/admin/v1/users/erin")


async def test_a_change_that_is_refused_on_its_merits_is_none(registry: Registry) -> None:
    """Nor is a question, however it ends."""
    await call(registry, "PATCH", "/users/nobody", {"disabled": True})
    await call(registry, "PATCH", "/users/bob", {"disabled": "maybe"})
    await call(registry, "POST", "/policy-validation", {"document": "{"})

    assert await recorded(registry.root) == []
