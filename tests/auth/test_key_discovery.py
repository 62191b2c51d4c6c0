"""When the keys of identity providers are fetched, and what is done while they cannot be."""

import asyncio
import json
from types import SimpleNamespace
from typing import Any

import pytest

from auth.errors import KeysUnavailable
from auth.identity_providers import IdentityProvider
from auth.key_discovery import DiscoveredKeys
from tests.auth.issuer import RSA_KEY, jwk

ISSUER = "https://issuer.example.com/tenant/"
DISCOVERY = "https://issuer.example.com/tenant/.well-known/openid-configuration"
JWKS = "https://keys.example.com/jwks"
PROVIDER = IdentityProvider.of_issuer(ISSUER, ["lading"])


class Web:
    """Documents by URL; what is missing is away."""

    def __init__(self) -> None:
        self.documents: dict[str, Any] = {
            DISCOVERY: {"issuer": ISSUER, "jwks_uri": JWKS},
            JWKS: {"keys": [jwk(RSA_KEY, kid="first")]},
        }
        self.asked: list[str] = []
        self.released = asyncio.Event()
        self.released.set()

    async def fetch(self, url: str, *, allow_private: bool) -> bytes:
        assert not allow_private
        self.asked.append(url)
        await self.released.wait()
        if url not in self.documents:
            raise OSError("it does not answer in time")
        return json.dumps(self.documents[url]).encode()


@pytest.fixture
def web() -> Web:
    return Web()


@pytest.fixture
def keys(web: Web, clock: SimpleNamespace) -> DiscoveredKeys:
    return DiscoveredKeys(web.fetch, lambda: clock.time)


async def ids(
    keys: DiscoveredKeys, kid: str | None = "first", provider: IdentityProvider = PROVIDER
) -> list[str | None]:
    return [key.kid for key in (await keys.of(provider, kid)).keys]


async def refusal(keys: DiscoveredKeys, provider: IdentityProvider = PROVIDER) -> str:
    with pytest.raises(KeysUnavailable) as raised:
        await keys.of(provider, "first")
    return raised.value.reason


async def test_keys_are_where_the_issuer_says(keys: DiscoveredKeys, web: Web) -> None:
    assert await ids(keys) == ["first"]
    assert web.asked == [DISCOVERY, JWKS]


async def test_keys_are_where_the_administrator_says_instead(keys: DiscoveredKeys, web: Web) -> None:
    provider = IdentityProvider.of_issuer("https://issuer.example.com", ["lading"], jwks_url=JWKS)

    assert await ids(keys, provider=provider) == ["first"]
    assert web.asked == [JWKS]


async def test_keys_are_fetched_once_an_hour(keys: DiscoveredKeys, web: Web, clock: SimpleNamespace) -> None:
    await ids(keys)
    clock.time += 3599
    await ids(keys)
    asked = len(web.asked)
    clock.time += 1
    await ids(keys)

    assert (asked, len(web.asked)) == (2, 4)


async def test_an_unknown_key_is_looked_for_at_once(keys: DiscoveredKeys, web: Web, clock: SimpleNamespace) -> None:
    """An issuer may sign with another key at any time."""
    await ids(keys)
    web.documents[JWKS] = {"keys": [jwk(RSA_KEY, kid="second")]}
    clock.time += 60

    assert await ids(keys, "second") == ["second"]


async def test_invented_key_ids_cost_one_fetch_a_minute(keys: DiscoveredKeys, web: Web, clock: SimpleNamespace) -> None:
    await ids(keys)
    for number in range(1000):
        clock.time += 0.11
        await ids(keys, f"invented-{number}")

    assert len(web.asked) == 2 + 2


async def test_a_crowd_waits_for_one_fetch(keys: DiscoveredKeys, web: Web) -> None:
    web.released.clear()
    crowd = [asyncio.create_task(ids(keys)) for _ in range(100)]
    await asyncio.sleep(0.01)
    web.released.set()

    assert await asyncio.gather(*crowd) == [["first"]] * 100
    assert web.asked == [DISCOVERY, JWKS]


async def test_a_crowd_that_waits_in_vain_costs_one_fetch(keys: DiscoveredKeys, web: Web) -> None:
    web.documents.clear()

    assert await asyncio.gather(*(refusal(keys) for _ in range(100))) == ["it does not answer in time"] * 100
    assert web.asked == [DISCOVERY]


async def test_a_login_with_a_known_key_does_not_wait_for_a_slow_issuer(
    keys: DiscoveredKeys, web: Web, clock: SimpleNamespace
) -> None:
    await ids(keys)
    clock.time += 3600
    web.released.clear()
    slow = asyncio.create_task(ids(keys))
    await asyncio.sleep(0.01)

    assert await ids(keys) == ["first"]
    assert not slow.done()

    web.released.set()
    await slow


async def test_a_fetch_that_is_given_up_stops_nobody(keys: DiscoveredKeys, web: Web) -> None:
    web.released.clear()
    gone = asyncio.create_task(ids(keys))
    waiting = asyncio.create_task(ids(keys))
    await asyncio.sleep(0.01)
    gone.cancel()
    web.released.set()

    assert await waiting == ["first"]


async def test_the_last_keys_count_for_a_day_while_the_issuer_is_away(
    keys: DiscoveredKeys, web: Web, clock: SimpleNamespace
) -> None:
    await ids(keys)
    web.documents.clear()
    clock.time += 24 * 3600 - 1
    assert await ids(keys) == ["first"]
    clock.time += 1

    assert await refusal(keys) == "it does not answer in time"


async def test_an_issuer_that_is_away_is_asked_again_after_a_minute_while_its_keys_count(
    keys: DiscoveredKeys, web: Web, clock: SimpleNamespace
) -> None:
    await ids(keys)
    documents, web.documents = web.documents, {}
    clock.time += 3600
    await ids(keys)
    await ids(keys)
    asked = len(web.asked)
    web.documents = {**documents, JWKS: {"keys": [jwk(RSA_KEY, kid="second")]}}
    clock.time += 60

    assert await ids(keys, "second") == ["second"]
    assert asked == 3


async def test_an_issuer_that_never_answered_is_asked_again_after_some_seconds(
    keys: DiscoveredKeys, web: Web, clock: SimpleNamespace
) -> None:
    documents, web.documents = web.documents, {}
    await refusal(keys)
    clock.time += 4.9
    web.documents = documents
    await refusal(keys)
    clock.time += 0.1

    assert await ids(keys) == ["first"]


async def test_a_provider_that_was_changed_is_asked_anew(keys: DiscoveredKeys, web: Web) -> None:
    await ids(keys)
    other = "https://other.example.com/jwks"
    web.documents[other] = {"keys": [jwk(RSA_KEY, kid="other")]}

    assert await ids(keys, provider=IdentityProvider.of_issuer(ISSUER, ["lading"], jwks_url=other)) == ["other"]


@pytest.mark.parametrize(
    "discovery",
    [
        {"issuer": ISSUER.rstrip("/"), "jwks_uri": JWKS},
        {"issuer": "https://evil.example.com", "jwks_uri": JWKS},
        {"jwks_uri": JWKS},
        {"issuer": ISSUER},
        {"issuer": ISSUER, "jwks_uri": None},
        {"issuer": ISSUER, "jwks_uri": "http://keys.example.com/jwks"},
        {"issuer": ISSUER, "jwks_uri": "https://127.0.0.1/jwks"},
        {"issuer": ISSUER, "jwks_uri": "https://169.254.169.254/latest/meta-data"},
        {"issuer": ISSUER, "jwks_uri": "file:///etc/passwd"},
        [],
    ],
)
async def test_a_discovery_document_that_leads_elsewhere_is_refused(
    keys: DiscoveredKeys, web: Web, discovery: Any
) -> None:
    """It must be of the issuer itself, to the letter, and its keys where they may be fetched from."""
    web.documents[DISCOVERY] = discovery

    assert (await refusal(keys)).startswith("what it publishes cannot be used")
    assert web.asked == [DISCOVERY]


async def test_keys_that_cannot_be_read_are_no_keys(keys: DiscoveredKeys, web: Web) -> None:
    web.documents[JWKS] = {"keys": "none"}

    assert (await refusal(keys)).startswith("what it publishes cannot be used")
