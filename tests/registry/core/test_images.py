"""Images: pushing, finding and deleting manifests and tags."""

import json
from typing import Any

import pytest
from sqlalchemy import Connection, update

from registry.core.errors import ManifestInvalid, ManifestNamesUnknown, ManifestUnknown, RepositoryUnknown
from registry.core.images import Sparse
from registry.core.manifest import parse_manifest
from registry.core.media_types import DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from registry.core.names import Tag
from registry.core.repositories import Listing, Page
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch
from storage.metadata.manifests import StoredManifest
from storage.metadata.schema import manifest as manifest_table
from tests.registry.core.documents import CONFIG_TYPE, FOREIGN_TYPE, descriptor, image, index, parsed
from tests.registry.core.services import ALPHA, BETA, Clock, Core
from tests.storage.metadata.rows import candidates

LATEST = Tag("latest")


async def push_image(core: Core, *layers: bytes, reference: str = "latest", **more: Any) -> Digest:
    """Push an image and everything that it names."""
    for content in (b"{}", *layers):
        await core.push_blob(content)
    return await core.push(parsed(image(*layers, **more)), reference)


async def test_a_pushed_manifest_is_found_by_its_tag_and_its_digest(core: Core) -> None:
    manifest = parsed(image())
    digest = await push_image(core)

    expected = StoredManifest(str(manifest.digest), OCI_MANIFEST, manifest.payload)
    assert digest == manifest.digest
    assert await core.images.find(ALPHA, LATEST) == expected
    assert await core.images.find(ALPHA, digest) == expected


async def test_a_manifest_is_unknown_in_another_repository(core: Core) -> None:
    digest = await push_image(core)
    await core.images_with(Sparse.ALL).push(BETA, LATEST, parsed(index()), more_tags=(), create=True)

    with pytest.raises(ManifestUnknown):
        await core.images.find(BETA, digest)
    with pytest.raises(ManifestUnknown):
        await core.images.find(BETA, Tag("other"))


async def test_a_manifest_of_no_repository_is_unknown_with_its_repository(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.images.find(ALPHA, LATEST)


async def test_a_manifest_can_be_pushed_by_its_digest(core: Core) -> None:
    manifest = parsed(index())

    pushed = await core.images.push(ALPHA, manifest.digest, manifest, more_tags=(), create=True)

    assert pushed.tags == ()
    assert await core.images.tags(ALPHA, Page()) == Listing([], more=False)
    assert (await core.images.find(ALPHA, manifest.digest)).payload == manifest.payload


@pytest.mark.parametrize("algorithm", [Algorithm.SHA256, Algorithm.SHA512])
async def test_a_push_by_another_digest_is_refused(core: Core, algorithm: Algorithm) -> None:
    manifest = parsed(index())

    with pytest.raises(DigestMismatch):
        await core.images.push(ALPHA, Digest.of(b"other", algorithm), manifest, more_tags=(), create=True)

    assert await core.repositories.is_known(ALPHA) is False


async def test_a_push_may_set_several_tags(core: Core) -> None:
    tags = (Tag("b"), Tag("a"), Tag("b"), Tag("latest"))

    pushed = await core.images.push(ALPHA, LATEST, parsed(index()), more_tags=tags, create=True)

    assert [tag.text for tag in pushed.tags] == ["latest", "b", "a"]
    assert await core.images.tags(ALPHA, Page()) == Listing(["a", "b", "latest"], more=False)


async def test_a_push_makes_its_repository_only_if_it_may(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.images.push(ALPHA, LATEST, parsed(index()), more_tags=(), create=False)


async def test_a_tag_moves_to_what_was_pushed_last(core: Core) -> None:
    first = await push_image(core)
    second = await push_image(core, b"layer")

    assert (await core.images.find(ALPHA, LATEST)).digest == str(second)
    assert (await core.images.find(ALPHA, first)).digest == str(first)


async def test_a_manifest_that_names_what_is_missing_is_refused_with_every_digest(core: Core) -> None:
    await core.push_blob(b"there")
    manifest = parsed(image(b"one", b"there", b"two", b"one"))

    with pytest.raises(ManifestNamesUnknown) as caught:
        await core.push(manifest)

    assert caught.value.digests == tuple(str(Digest.of(content)) for content in (b"{}", b"one", b"two"))


async def test_a_refused_manifest_leaves_nothing(core: Core) -> None:
    manifest = parsed(image(b"one"))

    with pytest.raises(ManifestNamesUnknown):
        await core.push(manifest)

    assert await core.repositories.is_known(ALPHA) is False


async def test_blobs_of_another_repository_do_not_count(core: Core) -> None:
    await core.push_blob(b"{}")

    with pytest.raises(ManifestNamesUnknown):
        await core.push(parsed(image()), repository=BETA)


async def test_an_index_needs_the_manifests_that_it_names(core: Core) -> None:
    named = parsed(image())
    document = parsed(index(descriptor(named.payload, OCI_MANIFEST)))
    with pytest.raises(ManifestNamesUnknown) as caught:
        await core.push(document)
    await push_image(core)

    await core.push(document, "all")

    assert caught.value.digests == (str(named.digest),)
    assert (await core.images.find(ALPHA, Tag("all"))).media_type == OCI_INDEX


async def test_a_blob_is_no_manifest(core: Core) -> None:
    """An index names manifests that were pushed as such."""
    payload = parsed(image()).payload
    await core.push_blob(payload)

    with pytest.raises(ManifestNamesUnknown):
        await core.push(parsed(index(descriptor(payload, OCI_MANIFEST))))


async def test_a_manifest_is_no_blob(core: Core) -> None:
    await push_image(core)
    payload = parsed(image()).payload

    with pytest.raises(ManifestNamesUnknown):
        await core.push(parsed(image(payload)))


@pytest.mark.parametrize(
    ("sparse", "image_may_be", "index_may_be"),
    [(Sparse.NONE, False, False), (Sparse.INDEX, False, True), (Sparse.ALL, True, True)],
)
async def test_what_may_be_missing_is_set(
    core: Core, sparse: Sparse, *, image_may_be: bool, index_may_be: bool
) -> None:
    images = core.images_with(sparse)

    async def is_accepted(document: dict[str, Any]) -> bool:
        try:
            await images.push(ALPHA, LATEST, parsed(document), more_tags=(), create=True)
        except ManifestNamesUnknown:
            return False
        return True

    assert await is_accepted(image(b"x")) is image_may_be
    assert await is_accepted(index(descriptor(b"m", OCI_MANIFEST))) is index_may_be


@pytest.mark.parametrize("sparse", Sparse)
async def test_a_foreign_layer_and_a_subject_may_always_be_missing(core: Core, sparse: Sparse) -> None:
    await core.push_blob(b"{}")
    document = image(layers=[descriptor(b"x", FOREIGN_TYPE)], subject=descriptor(b"m", OCI_MANIFEST))

    await core.images_with(sparse).push(ALPHA, LATEST, parsed(document), more_tags=(), create=True)

    assert (await core.images.find(ALPHA, LATEST)).media_type == OCI_MANIFEST


@pytest.mark.parametrize("sparse", Sparse)
async def test_a_size_that_differs_is_refused(core: Core, sparse: Sparse) -> None:
    """A client that trusts the manifest would stop early or wait for more."""
    await core.push_blob(b"{}")
    config = descriptor(b"{}", CONFIG_TYPE) | {"size": 3}

    with pytest.raises(ManifestInvalid, match="has 2 bytes, the manifest says 3"):
        await core.images_with(sparse).push(ALPHA, LATEST, parsed(image(config=config)), more_tags=(), create=True)


async def test_the_size_of_a_manifest_in_an_index_must_match(core: Core) -> None:
    await push_image(core)
    named = descriptor(parsed(image()).payload, OCI_MANIFEST)

    with pytest.raises(ManifestInvalid):
        await core.push(parsed(index(named | {"size": 1})))


async def test_the_size_of_a_subject_is_not_compared(core: Core) -> None:
    await push_image(core)
    subject = descriptor(parsed(image()).payload, OCI_MANIFEST) | {"size": 1}

    await core.push(parsed(index(subject=subject)), "referrer")

    assert (await core.images.find(ALPHA, Tag("referrer"))).media_type == OCI_INDEX


async def test_sizes_that_add_up_to_more_than_a_database_counts_are_accepted(core: Core) -> None:
    layers = [descriptor(content) | {"size": 2**63 - 1} for content in (b"a", b"b")]

    await core.images_with(Sparse.ALL).push(ALPHA, LATEST, parsed(image(layers=layers)), more_tags=(), create=True)

    assert (await core.images.find(ALPHA, LATEST)).media_type == OCI_MANIFEST


async def test_what_a_manifest_names_is_no_candidate(core: Core, clock: Clock) -> None:
    digest = await push_image(core, b"layer")
    assert await core.database.read(candidates) == set()
    clock.time = 7000.0

    await core.images.delete(ALPHA, digest)

    assert [since for _, _, since in await core.database.read(candidates)] == [7000.0, 7000.0]


async def test_a_deleted_tag_is_gone_and_its_manifest_stays(core: Core) -> None:
    digest = await push_image(core)

    await core.images.delete(ALPHA, LATEST)

    with pytest.raises(ManifestUnknown):
        await core.images.find(ALPHA, LATEST)
    assert (await core.images.find(ALPHA, digest)).digest == str(digest)


async def test_a_deleted_manifest_is_gone_with_its_tags(core: Core) -> None:
    digest = await push_image(core)
    await push_image(core, reference="other")

    await core.images.delete(ALPHA, digest)

    for reference in (digest, LATEST, Tag("other")):
        with pytest.raises(ManifestUnknown):
            await core.images.find(ALPHA, reference)
    assert await core.images.tags(ALPHA, Page()) == Listing([], more=False)


async def test_deleting_what_is_not_there_says_so(core: Core) -> None:
    with pytest.raises(RepositoryUnknown):
        await core.images.delete(ALPHA, LATEST)
    await push_image(core)
    with pytest.raises(ManifestUnknown):
        await core.images.delete(ALPHA, Tag("other"))
    with pytest.raises(ManifestUnknown):
        await core.images.delete(ALPHA, Digest.of(b"other"))


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(), Listing(["A", "B", "_", "a", "b", "c", "v1", "v10", "v2"], more=False)),
        (Page(limit=2), Listing(["A", "B"], more=True)),
        (Page("_", 2), Listing(["a", "b"], more=True)),
        (Page("v10", 1), Listing(["v2"], more=False)),
        (Page("zzz", 1), Listing([], more=False)),
        (Page(limit=0), Listing([], more=False)),
        (Page(limit=100), Listing(["A", "B", "_", "a", "b"], more=True)),
    ],
)
async def test_tags_have_pages(core: Core, page: Page, expected: Listing) -> None:
    """A list without a limit is whole; a page holds no more than the bound."""
    tags = [Tag(name) for name in ("v10", "v2", "v1", "B", "A", "_", "c", "b", "a")]
    await core.images.push(ALPHA, tags[0], parsed(index()), more_tags=tags[1:], create=True)

    assert await core.images.tags(ALPHA, page) == expected


async def test_tags_of_no_repository_are_unknown(core: Core) -> None:
    for page in (Page(), Page(limit=0)):
        with pytest.raises(RepositoryUnknown):
            await core.images.tags(ALPHA, page)


def _rot(connection: Connection) -> None:
    connection.execute(update(manifest_table).values(payload=b"rotten"))


async def test_a_rotten_manifest_is_unknown_until_it_is_pushed_again(core: Core) -> None:
    """A digest names its bytes: others are never served under it."""
    digest = await push_image(core)
    await core.database.write(_rot)

    for reference in (digest, LATEST):
        with pytest.raises(ManifestUnknown):
            await core.images.find(ALPHA, reference)
    await core.push(parsed(image()))

    assert (await core.images.find(ALPHA, digest)).payload == parsed(image()).payload


async def test_bytes_that_name_no_type_keep_the_type_of_their_first_push(core: Core) -> None:
    """One document, one meaning, whatever tag it is pushed under."""
    document = {name: value for name, value in image().items() if name != "mediaType"}
    await core.push_blob(b"{}")
    payload = json.dumps(document).encode()
    await core.push(parse_manifest(payload, OCI_MANIFEST, max_depth=9), "oci")

    with pytest.raises(ManifestInvalid, match="were pushed as"):
        await core.push(parse_manifest(payload, DOCKER_MANIFEST, max_depth=9), "docker")

    assert (await core.images.tags(ALPHA, Page())).entries == ["oci"]
