"""Lists of the manifests that refer to a subject."""

from typing import Any

import pytest

from registry.core.images import Referrers
from registry.core.media_types import OCI_INDEX, OCI_MANIFEST
from registry.core.repositories import Page
from storage.digest import Digest
from storage.metadata.manifests import Referrer
from tests.registry.core.documents import CONFIG_TYPE, descriptor, image, index, parsed
from tests.registry.core.services import ALPHA, BETA, Core

SUBJECT = Digest.of(b"subject")
MIB = 1024 * 1024


async def refer(core: Core, name: str, **more: Any) -> Digest:
    """Push an index that refers to the subject."""
    document = index(subject=descriptor(b"subject", OCI_MANIFEST), **more)
    return await core.push(parsed(document), name)


async def listed(core: Core, artifact_type: str | None = None, page: Page | None = None) -> Referrers:
    return await core.images.referrers(ALPHA, SUBJECT, artifact_type=artifact_type, page=page or Page())


async def test_a_subject_without_referrers_has_an_empty_list(core: Core) -> None:
    """The referrers API answers with an empty list, never with 404 (specification, "Listing Referrers")."""
    assert await listed(core) == Referrers([], more=False)
    await core.push(parsed(index()))
    assert await listed(core) == Referrers([], more=False)


async def test_a_referrer_is_shown_with_its_type_and_annotations(core: Core) -> None:
    digest = await refer(core, "one", artifactType="a/b", annotations={"k": "v"})
    size = len((await core.images.find(ALPHA, digest)).payload)

    assert await listed(core) == Referrers([Referrer(str(digest), OCI_INDEX, size, "a/b", '{"k":"v"}')], more=False)


async def test_an_image_refers_with_the_type_of_its_config(core: Core) -> None:
    await core.push_blob(b"{}")
    await core.push(parsed(image(subject=descriptor(b"subject", OCI_MANIFEST))))

    [entry] = (await listed(core)).entries

    assert (entry.media_type, entry.artifact_type) == (OCI_MANIFEST, CONFIG_TYPE)


async def test_referrers_of_another_subject_or_repository_are_not_listed(core: Core) -> None:
    await core.push(parsed(index(subject=descriptor(b"other", OCI_MANIFEST))), "a")
    await core.push(parsed(index(subject=descriptor(b"subject", OCI_MANIFEST))), repository=BETA)

    assert await listed(core) == Referrers([], more=False)


async def test_a_deleted_referrer_is_not_listed(core: Core) -> None:
    digest = await refer(core, "one")

    await core.images.delete(ALPHA, digest)

    assert await listed(core) == Referrers([], more=False)


async def test_referrers_can_be_filtered_by_type(core: Core) -> None:
    wanted = await refer(core, "one", artifactType="a/b")
    await refer(core, "two", artifactType="c/d")
    await refer(core, "three")

    found = await listed(core, "a/b")

    assert [entry.digest for entry in found.entries] == [str(wanted)]


async def test_referrers_have_pages(core: Core) -> None:
    digests = sorted([str(await refer(core, f"n{number}", x=number)) for number in range(7)])

    pages = [await listed(core)]
    while pages[-1].more:
        pages.append(await listed(core, page=Page(pages[-1].entries[-1].digest, 3)))

    assert [len(page.entries) for page in pages] == [5, 2]
    assert [entry.digest for page in pages for entry in page.entries] == digests


@pytest.mark.parametrize(("limit", "more"), [(0, False), (1, True), (2, False)])
async def test_a_page_says_whether_more_follow(core: Core, limit: int, *, more: bool) -> None:
    for number in range(2):
        await refer(core, f"n{number}", x=number)

    found = await listed(core, page=Page(limit=limit))

    assert (len(found.entries), found.more) == (limit, more)


@pytest.mark.parametrize(
    "more",
    [
        {"annotations": {"k": "x" * MIB}},
        {"annotations": {"k": "\N{PACKAGE}" * (MIB // 4)}},
        {"artifactType": "a/" + "x" * MIB},
        {"artifactType": "a/" + '"' * (MIB // 2)},
    ],
    ids=["long annotations", "annotations beyond ASCII", "long types", "types that JSON escapes"],
)
async def test_a_page_of_referrers_is_bounded_in_bytes(core: Core, more: dict[str, Any]) -> None:
    """Clients read the list as a manifest, and many take 4 MiB of that at most."""
    for number in range(5):
        await refer(core, f"n{number}", x=number, **more)

    found = await listed(core)

    assert (len(found.entries), found.more) == (2, True)


async def test_a_referrer_past_the_bound_is_listed_alone(core: Core) -> None:
    """A list goes on, whatever one entry holds."""
    for number in range(2):
        await refer(core, f"n{number}", x=number, annotations={"k": "x" * (4 * MIB)})

    first = await listed(core)
    second = await listed(core, page=Page(first.entries[-1].digest))

    assert (len(first.entries), first.more) == (1, True)
    assert (len(second.entries), second.more) == (1, False)
