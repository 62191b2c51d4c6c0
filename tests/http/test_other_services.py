"""Tokens for other registries that trust ours: they ask no policy, so the token must say no more than all of it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.http.claims import claims_of, granted
from tests.http.client import ADMIN, ADMIN_PASSWORD, Registry
from tests.http.people import PULL, PUSH, People, administered, allow, deny

pytestmark = pytest.mark.settings(auth={"services": ["mirror.example"], "anonymous": "pull"})

TAGS = "ecr:ListImages"
DEVELOPMENT = {"StringLikeIfExists": {"ecr:ImageTag": "dev-*"}}


@pytest.fixture
async def people(registry: Registry) -> AsyncIterator[People]:
    async with administered(registry.root) as found:
        yield found


async def ask(registry: Registry, authorization: str | None, scope: str, service: str = "mirror.example") -> str:
    """A token for this service."""
    answer = await registry.get(f"/auth/token?service={service}&scope={scope}", authorization=authorization)
    assert answer.status == 200
    token: str = answer.document["token"]
    return token


async def test_token_is_for_the_service_that_is_named(registry: Registry) -> None:
    """An unknown one gets what it would get without a name: a token that only this registry accepts."""
    ours = claims_of(await ask(registry, ADMIN, "", service="lading"))
    other = claims_of(await ask(registry, ADMIN, ""))
    unknown = claims_of(await ask(registry, ADMIN, "", service="elsewhere"))

    assert other["aud"] == "mirror.example"
    assert other["iss"] == ours["iss"]
    assert unknown["aud"] == ours["aud"] != "mirror.example"


async def test_token_for_another_service_opens_nothing_here(registry: Registry) -> None:
    """Whoever runs the other registry sees its tokens, and must not come in with them."""
    await registry.push_image("a", "latest")
    token = await ask(registry, ADMIN, "repository:a:pull")

    answer = await registry.get("/v2/a/manifests/latest", authorization=f"Bearer {token}")

    assert answer.refusal == (401, "UNAUTHORIZED")
    assert "it is meant for another service" in answer.message


async def test_form_names_the_service_too(registry: Registry) -> None:
    """OAuth2 clients post."""
    form = f"grant_type=password&username=admin&password={ADMIN_PASSWORD}&service=mirror.example"

    answer = await registry.ask("POST", "/auth/token", body=form.encode(), authorization=None)

    assert claims_of(answer.document["token"])["aud"] == "mirror.example"


@pytest.mark.parametrize(
    ("statements", "words"),
    [
        ([allow(*PULL, TAGS)], ["pull"]),
        ([allow(*PULL)], []),
        ([allow(*PUSH)], ["push"]),
        ([allow(*PUSH[:-1])], []),
        ([allow("ecr:*")], ["pull", "push", "delete", "*"]),
        ([allow("ecr:*"), deny("ecr:BatchDeleteImage")], ["pull", "push"]),
        ([allow(*PULL, TAGS, *PUSH[:3], PUSH[4]), allow(PUSH[3], Condition=DEVELOPMENT)], ["pull"]),
        ([allow("ecr:*"), deny("ecr:PutImage", Condition={"StringLike": {"ecr:ImageTag": "v*"}})], ["pull", "delete"]),
        ([], []),
    ],
)
async def test_word_is_granted_where_all_that_it_stands_for_is_allowed(
    registry: Registry, people: People, statements: list[dict[str, Any]], words: list[str]
) -> None:
    """Of every image: a pusher of some tags could push all of them there."""
    alice = await people.add("alice", *statements)

    access = claims_of(await ask(registry, alice, "repository:a:*,pull,push,delete"))["access"]

    assert access == ([granted("a", *words)] if words else [])


async def test_catalog_of_another_service_is_not_granted(registry: Registry) -> None:
    """It would name every repository there."""
    assert claims_of(await ask(registry, ADMIN, "registry:catalog:*"))["access"] == []


async def test_anonymous_callers_may_there_what_they_may_here(registry: Registry) -> None:
    """Pull, where the settings say so."""
    assert claims_of(await ask(registry, None, "repository:a:pull,push"))["access"] == [granted("a", "pull")]
