"""What the audit trail takes from those who have not shown who they are."""

import pytest

from tests.http.client import USER, Registry, basic
from tests.http.trail import recorded


@pytest.mark.settings(audit={"refusals": 3})
async def test_a_stranger_fills_no_disk(registry: Registry) -> None:
    """Three refusals a minute are recorded; who is known is recorded whatever strangers do at the same address."""
    for number in range(6):
        await registry.get("/v2/", authorization=basic(f"user{number}", "wrong"))
        await registry.get("/v2/a/tags/list", authorization="Bearer nonsense")
    for _ in range(2):
        await registry.get("/v2/a/tags/list", authorization=USER)

    refused = [event for event in await recorded(registry.root) if event["event"] == "refuse"]

    assert [event["principal"].rpartition(":")[2] for event in refused] == ["unknown"] * 3 + ["user/bob"] * 2
