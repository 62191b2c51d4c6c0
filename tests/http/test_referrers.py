"""Listing what refers to a manifest (end-12)."""

import asyncio

import pytest

from tests.http.client import Registry
from tests.http.documents import ABSENT, CONFIG, CONFIG_BYTES, IMAGE, INDEX, descriptor, image, index, sha256, sha512
from tests.http.paging import next_of, pages

SUBJECT = image(())
SBOM = "application/vnd.example.sbom.v1"
SIGNATURE = "application/vnd.example.signature.v1"
EMPTY = {"schemaVersion": 2, "mediaType": INDEX, "manifests": []}


def referrer(number: int = 0, artifact_type: str | None = SBOM, subject: bytes = SUBJECT) -> bytes:
    members = {} if artifact_type is None else {"artifactType": artifact_type}
    return image((), subject=descriptor(subject, IMAGE), annotations={"number": str(number)}, **members)


async def attach(registry: Registry, payload: bytes) -> str:
    await registry.push_blob("a", CONFIG_BYTES)
    return await registry.push_manifest("a", sha256(payload), payload)


async def test_push_tells_that_the_subject_was_understood(registry: Registry) -> None:
    """Clients keep a tag of their own without this header."""
    await registry.push_blob("a", CONFIG_BYTES)

    answer = await registry.put_manifest("a", sha256(referrer()), referrer())

    assert (answer.status, answer.headers["OCI-Subject"]) == (201, sha256(SUBJECT))


async def test_referrers_are_descriptors_of_an_index(registry: Registry) -> None:
    """With the artifact type and all annotations."""
    digest = await attach(registry, referrer())

    answer = await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")

    assert answer.status == 200
    assert answer.headers["Content-Type"] == INDEX
    assert answer.headers["Docker-Distribution-API-Version"] == "registry/2.0"
    assert "OCI-Filters-Applied" not in answer.headers
    assert answer.document == {
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [
            {
                "mediaType": IMAGE,
                "digest": digest,
                "size": len(referrer()),
                "artifactType": SBOM,
                "annotations": {"number": "0"},
            }
        ],
    }


async def test_type_of_an_image_without_one_is_that_of_its_config(registry: Registry) -> None:
    """As the specification says."""
    await attach(registry, referrer(artifact_type=None))

    (entry,) = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]

    assert entry["artifactType"] == CONFIG


@pytest.mark.parametrize("artifact_type", [None, SBOM])
async def test_index_may_refer_too(registry: Registry, artifact_type: str | None) -> None:
    """An index without a type has none."""
    members = {} if artifact_type is None else {"artifactType": artifact_type}
    payload = index(subject=descriptor(SUBJECT, IMAGE), **members)
    await registry.push_manifest("a", sha256(payload), payload, media_type=INDEX)

    (entry,) = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]

    assert entry == {"mediaType": INDEX, "digest": sha256(payload), "size": len(payload), **members}


async def test_filter_is_applied_and_said(registry: Registry) -> None:
    """Only those of the type."""
    sbom, signature = await attach(registry, referrer()), await attach(registry, referrer(1, SIGNATURE))
    path = f"/v2/a/referrers/{sha256(SUBJECT)}?artifactType="

    for artifact_type, digests in ((SBOM, [sbom]), (SIGNATURE, [signature]), ("application/none", [])):
        answer = await registry.get(path + artifact_type.replace("/", "%2F"))

        assert answer.headers["OCI-Filters-Applied"] == "artifactType"
        assert [entry["digest"] for entry in answer.document["manifests"]] == digests


@pytest.mark.parametrize("size", [1, 3, 7])
async def test_pages_together_are_the_whole(registry: Registry, size: int) -> None:
    """Each an index; the filter goes along."""
    digests = sorted([await attach(registry, referrer(number)) for number in range(7)])
    await attach(registry, referrer(8, SIGNATURE))
    path = f"/v2/a/referrers/{sha256(SUBJECT)}?artifactType={SBOM}&n={size}"

    answers = [answer async for answer in pages(registry, path)]
    found = [entry["digest"] for answer in answers for entry in answer.document["manifests"]]

    assert found == digests
    assert {answer.headers["OCI-Filters-Applied"] for answer in answers} == {"artifactType"}


@pytest.mark.settings(limits={"page": 2})
async def test_page_is_bounded(registry: Registry) -> None:
    """Without n as well: a Link must say that there are more."""
    for number in range(3):
        await attach(registry, referrer(number))

    answer = await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")

    assert len(answer.document["manifests"]) == 2
    assert next_of(answer) is not None


async def test_page_is_bounded_in_bytes(registry: Registry) -> None:
    """Clients read it as a manifest, and many take 4 MiB at most."""
    await registry.push_blob("a", CONFIG_BYTES)
    for number in range(3):
        payload = image((), subject=descriptor(SUBJECT, IMAGE), annotations={"x": str(number) * 2_000_000})
        await registry.push_manifest("a", sha256(payload), payload)

    answers = [answer async for answer in pages(registry, f"/v2/a/referrers/{sha256(SUBJECT)}")]

    assert sum(len(answer.document["manifests"]) for answer in answers) == 3
    assert all(len(answer.body) < 4_194_304 for answer in answers)


@pytest.mark.parametrize("subject", [ABSENT, sha512(b"nothing")])
async def test_unknown_subject_has_no_referrers(registry: Registry, subject: str) -> None:
    """200 and an empty list: 404 would say that there is no referrers API."""
    await attach(registry, referrer())

    answer = await registry.get(f"/v2/a/referrers/{subject}")

    assert (answer.status, answer.document) == (200, EMPTY)


async def test_unknown_repository_has_no_referrers(registry: Registry) -> None:
    """Never 404."""
    answer = await registry.get(f"/v2/nobody/referrers/{ABSENT}")

    assert (answer.status, answer.document) == (200, EMPTY)


@pytest.mark.parametrize("subject", ["sha256:x", "latest", "sha256:" + "A" * 64, "md5:" + "0" * 32, "%00"])
async def test_what_is_no_digest_is_invalid(registry: Registry, subject: str) -> None:
    """400."""
    assert (await registry.get(f"/v2/a/referrers/{subject}")).refusal == (400, "DIGEST_INVALID")


async def test_what_is_no_count_is_refused(registry: Registry) -> None:
    """As in every list."""
    assert (await registry.get(f"/v2/a/referrers/{ABSENT}?n=x")).refusal == (400, "UNSUPPORTED")


async def test_referrer_that_came_before_its_subject_is_listed(registry: Registry) -> None:
    """Either may come first."""
    digest = await attach(registry, referrer())
    await registry.push_manifest("a", "subject", SUBJECT)

    (entry,) = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]

    assert entry["digest"] == digest


async def test_content_of_a_fallback_tag_is_listed(registry: Registry) -> None:
    """What older clients keep under a tag has subjects of its own; the tag is a tag like others."""
    digest = await attach(registry, referrer())
    fallback = index(manifests=[descriptor(referrer(), IMAGE, artifactType=SBOM)])
    tag = sha256(SUBJECT).replace(":", "-")
    await registry.push_manifest("a", tag, fallback, media_type=INDEX)

    found = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]

    assert [entry["digest"] for entry in found] == [digest]
    assert (await registry.get(f"/v2/a/manifests/{tag}")).body == fallback


async def test_deleted_referrer_is_not_listed(registry: Registry) -> None:
    """At once."""
    digest = await attach(registry, referrer())

    await registry.delete(f"/v2/a/manifests/{digest}")

    assert (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document == EMPTY


async def test_referrers_stay_when_the_subject_goes(registry: Registry) -> None:
    """They are manifests of their own."""
    digest = await attach(registry, referrer())
    await registry.push_manifest("a", "subject", SUBJECT)

    await registry.delete(f"/v2/a/manifests/{sha256(SUBJECT)}")

    (entry,) = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]
    assert entry["digest"] == digest


async def test_referrers_are_those_of_the_repository(registry: Registry) -> None:
    """Another repository's are not shown."""
    await attach(registry, referrer())
    await registry.push_blob("b", b"x")

    assert (await registry.get(f"/v2/b/referrers/{sha256(SUBJECT)}")).document == EMPTY


async def test_subject_may_be_named_by_sha512(registry: Registry) -> None:
    """Either algorithm."""
    subject = {**descriptor(SUBJECT, IMAGE), "digest": sha512(SUBJECT)}
    await attach(registry, image((), subject=subject))

    found = (await registry.get(f"/v2/a/referrers/{sha512(SUBJECT)}")).document["manifests"]

    assert len(found) == 1


async def test_broken_subject_is_invalid(registry: Registry) -> None:
    """A subject is a descriptor."""
    await registry.push_blob("a", CONFIG_BYTES)

    answer = await registry.put_manifest("a", "latest", image((), subject={"digest": ABSENT}))

    assert answer.refusal == (400, "MANIFEST_INVALID")


async def test_referrers_pushed_at_once_are_all_listed(registry: Registry) -> None:
    """No update is lost between those who attach to one subject."""
    await registry.push_blob("a", CONFIG_BYTES)
    payloads = [referrer(number) for number in range(30)]

    async with asyncio.TaskGroup() as group:
        for payload in payloads:
            group.create_task(registry.push_manifest("a", sha256(payload), payload))

    found = (await registry.get(f"/v2/a/referrers/{sha256(SUBJECT)}")).document["manifests"]
    assert [entry["digest"] for entry in found] == sorted(map(sha256, payloads))
