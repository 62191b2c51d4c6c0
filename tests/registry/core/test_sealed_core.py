"""Encryption domains as blobs, uploads and images see them, and what may happen meanwhile."""

import asyncio

import pytest
from sqlalchemy import select, update

from registry.core.errors import UploadUnknown
from registry.core.images import Images, Sparse
from registry.core.incoming import Chunk
from registry.core.manifest_seals import ManifestSeals
from registry.core.names import RepositoryName, Tag
from registry.core.repositories import Page
from registry.core.upload_sessions import Owner
from storage.digest import Algorithm, Digest
from storage.errors import DomainUnusable, KeyUnavailable, StoreUnavailable
from storage.metadata.schema import blob, manifest
from tests.contracts.encrypted_places import DOMAIN, MemoryKeys
from tests.registry.core.documents import OCI_MANIFEST, descriptor, image, index, parsed
from tests.registry.core.services import ALICE, ALPHA, BETA, MOST, Body, Core, StoredDomains, chunk

HELLO = Digest.of(b"hello")
TEAM = "alias/team"
IN_BETA = Owner(BETA, "arn:alice")
LATEST = Tag("latest")
SUBJECT = parsed(image())


async def copies(core: Core) -> list[tuple[str, str]]:
    """Digest and domain of every copy that the database names."""
    rows = await core.database.read(lambda c: c.execute(select(blob.c.digest, blob.c.domain)).all())
    return sorted((row.digest, row.domain) for row in rows)


async def make_anew(core: Core) -> None:
    """Delete alpha, if it is there, and make it in another domain."""
    if await core.repositories.is_known(ALPHA):
        await core.repositories.delete(ALPHA, force=True, now=1.0)
    await core.repositories.create(ALPHA, "{}", 1.0, TEAM)


async def test_one_digest_pushed_in_two_domains_at_once_is_stored_in_both(sealed_core: Core) -> None:
    """Neither push waits for the other's bytes, nor relies on them."""
    await sealed_core.repositories.create(BETA, "{}", 1.0, TEAM)

    await asyncio.gather(*(sealed_core.push_blob(b"hello", owner) for owner in (ALICE, IN_BETA)))

    assert await copies(sealed_core) == [(str(HELLO), DOMAIN), (str(HELLO), TEAM)]
    assert [await sealed_core.read(HELLO, name) for name in (ALPHA, BETA)] == [b"hello", b"hello"]


async def test_one_digest_pushed_twice_in_a_domain_at_once_is_stored_once(sealed_core: Core) -> None:
    await asyncio.gather(*(sealed_core.push_blob(b"hello", owner) for owner in (ALICE, IN_BETA)))

    assert await copies(sealed_core) == [(str(HELLO), DOMAIN)]
    assert len(await sealed_core.stored()) == 1


async def test_an_upload_starts_over_when_its_repository_changes_its_domain_meanwhile(sealed_core: Core) -> None:
    """While its last bytes come: what was sealed for the domain of before is let go of."""
    started = await sealed_core.uploads.start(ALICE, Algorithm.SHA256, create=True)
    await sealed_core.push_blob(b"other")
    last = Chunk(Body([b"hello"], meanwhile=lambda: make_anew(sealed_core)))

    with pytest.raises(UploadUnknown):
        await sealed_core.uploads.finish(ALICE, started.upload_id, HELLO, last, hint=None, create=True)
    assert len(await sealed_core.stored()) == 1  # the other one
    await sealed_core.push_blob(b"hello")

    assert (str(HELLO), TEAM) in await copies(sealed_core)
    assert await sealed_core.read(HELLO) == b"hello"


async def test_a_key_that_is_away_costs_no_upload(sealed_core: Core, domain_keys: MemoryKeys) -> None:
    """What was promised is there when the key is."""
    started = await sealed_core.uploads.start(ALICE, Algorithm.SHA256, create=True)
    await sealed_core.uploads.append(ALICE, started.upload_id, chunk(b"hel"))
    domain_keys.failure = KeyUnavailable("away")

    with pytest.raises(KeyUnavailable):
        await sealed_core.uploads.append(ALICE, started.upload_id, chunk(b"lo"))
    with pytest.raises(KeyUnavailable):
        await sealed_core.uploads.finish(ALICE, started.upload_id, HELLO, chunk(b"lo"), hint=None, create=True)
    with pytest.raises(KeyUnavailable):
        await sealed_core.uploads.finish(ALICE, started.upload_id, HELLO, chunk(b""), hint=None, create=True)
    domain_keys.failure = None

    assert (await sealed_core.uploads.status(ALICE, started.upload_id)).offset == 3
    await sealed_core.uploads.finish(ALICE, started.upload_id, HELLO, chunk(b"lo"), hint=None, create=True)
    assert await sealed_core.read(HELLO) == b"hello"


async def test_a_sweep_drops_what_it_cannot_open(sealed_core: Core, domain_keys: MemoryKeys) -> None:
    """Uploads of a domain whose keys were destroyed do not stay for ever."""
    started = await sealed_core.uploads.start(ALICE, Algorithm.SHA256, create=True)
    await sealed_core.uploads.append(ALICE, started.upload_id, chunk(b"hel"))
    domain_keys.unusable = TEAM

    assert await sealed_core.uploads.sweep(idle_since=5000.0) == 1
    assert await sealed_core.uploads.sweep(idle_since=5000.0) == 0


async def test_a_mount_from_a_domain_that_cannot_be_used_is_refused(sealed_core: Core, domain_keys: MemoryKeys) -> None:
    """It is no reason to ask for an upload, which could not be told from a new one."""
    await sealed_core.repositories.create(BETA, "{}", 1.0, TEAM)
    await sealed_core.push_blob(b"hello", IN_BETA)
    domain_keys.unusable = TEAM

    async def beta(_names: object) -> RepositoryName:
        return BETA

    with pytest.raises(DomainUnusable):
        await sealed_core.blobs.mount(ALPHA, HELLO, source=BETA, choose=beta, create=True)


async def push_index(core: Core, number: int) -> Digest:
    """Push an index that refers to the image."""
    subject = descriptor(SUBJECT.payload, OCI_MANIFEST)
    return await core.push(parsed(index(subject=subject, annotations={"number": str(number)})), f"t{number}")


async def test_a_manifest_is_sealed_for_the_repository_as_it_is_when_it_is_recorded(sealed_core: Core) -> None:
    """One that was made anew in another domain meanwhile takes the same push a moment later."""

    class Meanwhile(StoredDomains):
        async def of(self, repository: RepositoryName) -> str:
            domain = await super().of(repository)
            if domain != TEAM:
                await make_anew(sealed_core)
            return domain

    seals = ManifestSeals(sealed_core.keys, Meanwhile(sealed_core.database))
    images = Images(sealed_core.database, sparse=Sparse.ALL, most=MOST, now=sealed_core.clock, seals=seals)
    new = parsed(image())

    with pytest.raises(StoreUnavailable, match="push again"):
        await images.push(ALPHA, LATEST, new, more_tags=(), create=True)
    await images.push(ALPHA, LATEST, new, more_tags=(), create=True)

    assert (await images.find(ALPHA, LATEST)).payload == new.payload


async def test_a_damaged_manifest_is_told_of_once_until_it_is_pushed(sealed_core: Core) -> None:
    """However often it is asked for; one that is damaged again is told of again."""
    images = sealed_core.images_with(Sparse.ALL)
    new = parsed(index())
    for _ in range(2):
        await images.push(ALPHA, LATEST, new, more_tags=(), create=True)
        await sealed_core.database.write(lambda c: c.execute(update(manifest).values(payload=b"x")).close())
        for _ in range(3):
            with pytest.raises(Exception, match="latest"):
                await images.find(ALPHA, LATEST)

    assert [damage.digest for damage in sealed_core.damaged] == [str(new.digest)] * 2


async def test_a_damaged_plain_manifest_is_told_of_too(core: Core) -> None:
    new = parsed(index())
    await core.push(new)
    await core.database.write(lambda c: c.execute(update(manifest).values(payload=b"x")).close())

    with pytest.raises(Exception, match="latest"):
        await core.images.find(ALPHA, LATEST)

    assert [damage.reason for damage in core.damaged] == ["its bytes are not what its digest names"]


async def test_the_others_of_a_list_are_shown_where_one_is_damaged(sealed_core: Core) -> None:
    """That one without its annotations, which are no more than a copy."""
    digests = [await push_index(sealed_core, number) for number in range(2)]
    broken = update(manifest).where(manifest.c.digest == str(digests[0])).values(annotations="x")
    await sealed_core.database.write(lambda c: c.execute(broken).close())

    listed = await sealed_core.images.referrers(ALPHA, SUBJECT.digest, artifact_type=None, page=Page())

    assert {entry.digest: entry.annotations for entry in listed.entries} == {
        str(digests[0]): None,
        str(digests[1]): '{"number":"1"}',
    }
    assert [damage.reason for damage in sealed_core.damaged] == ["its annotations are damaged"]


async def referrers(core: Core) -> dict[str, str | None]:
    """The annotations of what refers to the subject, by digest."""
    listed = await core.images.referrers(ALPHA, SUBJECT.digest, artifact_type=None, page=Page())
    return {entry.digest: entry.annotations for entry in listed.entries}


async def test_the_annotations_of_a_list_are_opened_once(sealed_core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = [await push_index(sealed_core, number) for number in range(3)]
    listed = await referrers(sealed_core)
    monkeypatch.setattr("registry.core.manifest_seals.open_whole", None)

    assert await referrers(sealed_core) == listed
    assert set(listed) == {str(digest) for digest in digests}


async def test_a_list_that_was_opened_needs_its_key_all_the_same(sealed_core: Core, domain_keys: MemoryKeys) -> None:
    """Of a domain whose keys are destroyed, nothing is shown that this process remembers."""
    await push_index(sealed_core, 0)
    await referrers(sealed_core)
    domain_keys.failure = KeyUnavailable("away")

    with pytest.raises(KeyUnavailable):
        await referrers(sealed_core)


async def test_annotations_that_rot_are_not_remembered(sealed_core: Core) -> None:
    digest = await push_index(sealed_core, 0)
    await referrers(sealed_core)
    broken = update(manifest).where(manifest.c.digest == str(digest)).values(annotations="x")
    await sealed_core.database.write(lambda c: c.execute(broken).close())

    assert await referrers(sealed_core) == {str(digest): None}
    assert [damage.reason for damage in sealed_core.damaged] == ["its annotations are damaged"]


async def test_others_have_their_turn_while_many_annotations_are_opened(
    sealed_core: Core, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("registry.core.images._OPENED_AT_ONCE", 2)
    for number in range(MOST):
        await push_index(sealed_core, number)
    listing = asyncio.ensure_future(referrers(sealed_core))
    turns = 0
    while not listing.done():
        await asyncio.sleep(0)
        turns += 1

    assert len(await listing) == MOST
    assert turns > MOST // 2


async def test_verification_opens_what_is_sealed(sealed_core: Core) -> None:
    """Blobs and manifests of every domain, and annotations."""
    await sealed_core.repositories.create(BETA, "{}", 1.0, TEAM)
    await sealed_core.push_blob(b"hello", IN_BETA)
    await push_index(sealed_core, 0)
    good = [checked.problem async for checked in sealed_core.verification.run(chosen=lambda _: True)]
    await sealed_core.database.write(lambda c: c.execute(update(manifest).values(annotations="x")).close())

    bad = [checked.problem async for checked in sealed_core.verification.run(chosen=lambda _: True)]

    assert good == [None, None]
    assert bad == [None, "it does not open: its annotations are damaged"]
