"""What commands make of the admin API's answers."""

import asyncio
from collections.abc import Mapping
from typing import Any

from registry.admin import groups
from registry.admin.operation import AnyOperation
from registry.commands.api import pages


class TwoAtATime:
    """Answers with two of five names, whatever was asked for."""

    names = ("a", "b", "c", "d", "e")

    async def call(
        self,
        operation: AnyOperation,
        names: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:
        assert (operation, names, body) == (groups.LIST, None, None)
        assert query is not None
        left = [name for name in self.names if name > str(query["after"])]
        return {"items": left[:2], "next": left[1] if len(left) > 2 else None}


def test_list_of_many_pages_is_whole() -> None:
    assert asyncio.run(pages(TwoAtATime(), groups.LIST)) == ["a", "b", "c", "d", "e"]
