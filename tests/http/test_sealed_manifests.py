"""Manifests of a registry that encrypts: sealed in the database with their annotations, and served as they came."""

import base64
import json
from typing import Any

from storage.encryption.header import MAGIC
from tests.http.client import Registry
from tests.http.documents import CONFIG_BYTES, IMAGE, INDEX, descriptor, image, index, sha256
from tests.http.sealing import domain_id, make_team, query
from tests.http.test_metrics import numbers
from tests.http.trail import recorded

SUBJECT = image((), annotations={"name": "subject"})


async def attach(registry: Registry, number: int, repository: str = "a") -> bytes:
    """Push a manifest that refers to the subject."""
    await registry.push_blob(repository, CONFIG_BYTES)
    payload = image((), subject=descriptor(SUBJECT, IMAGE), annotations={"number": str(number)})
    await registry.push_manifest(repository, sha256(payload), payload)
    return payload


def rows(registry: Registry) -> list[dict[str, Any]]:
    names = ("digest", "payload", "annotations", "domain", "key_version", "size")
    return [
        dict(zip(names, row, strict=True))
        for row in query(registry.root, f"SELECT {', '.join(names)} FROM manifest ORDER BY rowid")
    ]


async def listed(registry: Registry, repository: str = "a") -> Any:
    answer = await registry.get(f"/v2/{repository}/referrers/{sha256(SUBJECT)}")
    assert answer.status == 200, answer.body
    return answer.document["manifests"]


async def test_payload_and_annotations_are_sealed_in_the_database(registry: Registry) -> None:
    """In the domain of their repository."""
    await make_team(registry, "vault")
    await attach(registry, 1)
    await attach(registry, 1, "vault")

    for row, domain in zip(rows(registry), ("AES256", "alias/team"), strict=True):
        annotations = base64.b64decode(row["annotations"])
        assert (row["domain"], row["key_version"]) == (domain, 1)
        assert row["payload"].startswith(MAGIC)
        assert annotations.startswith(MAGIC)
        assert row["payload"][16:32] == annotations[16:32] == domain_id(registry, domain)


async def test_manifests_come_back_as_they_were_pushed(registry: Registry) -> None:
    """By tag and by digest, with the length that they had, and in lists."""
    child = await registry.push_image("a", "one", b"layer", annotations={"a": "b"})
    payload = index(child)
    digest = await registry.push_manifest("a", "all", payload, media_type=INDEX)

    by_tag, by_digest = await registry.get("/v2/a/manifests/all"), await registry.get(f"/v2/a/manifests/{digest}")
    head = await registry.head("/v2/a/manifests/one")

    assert by_tag.body == by_digest.body == payload
    assert by_tag.headers["Docker-Content-Digest"] == digest
    assert by_tag.headers["Content-Type"] == INDEX
    assert (head.headers["Content-Length"], head.headers["Docker-Content-Digest"]) == (str(len(child)), sha256(child))
    assert (await registry.get("/v2/a/tags/list")).document["tags"] == ["all", "one"]
    assert [row["size"] for row in rows(registry)] == [len(child), len(payload)]


async def test_referrers_show_their_annotations(registry: Registry) -> None:
    """And their sizes in plain."""
    payloads = [await attach(registry, number) for number in range(3)]

    entries = await listed(registry)

    assert {entry["digest"]: entry["annotations"] for entry in entries} == {
        sha256(payload): {"number": str(number)} for number, payload in enumerate(payloads)
    }
    assert {entry["size"] for entry in entries} == {len(payloads[0])}


async def test_a_damaged_manifest_is_unknown_until_it_is_pushed_again(registry: Registry) -> None:
    """It is counted, and in the audit trail, once; two that were swapped open, and are not what their digests name."""
    other, payload = await attach(registry, 1), await attach(registry, 2)
    digest = sha256(payload)
    for number, change in enumerate(("bit", "short", "plain", "swapped"), start=1):
        first, second = rows(registry)
        sealed = bytearray(second["payload"])
        sealed[200] ^= 1
        changed = {"bit": bytes(sealed), "short": second["payload"][:-1], "plain": payload, "swapped": first["payload"]}
        query(registry.root, "UPDATE manifest SET payload = ? WHERE digest = ?", changed[change], digest)

        damaged = [await registry.get(f"/v2/a/manifests/{digest}"), await registry.get(f"/v2/a/manifests/{digest}")]
        counted = await numbers(registry)
        await registry.push_manifest("a", "repaired", payload)

        assert [answer.refusal for answer in damaged] == [(404, "MANIFEST_UNKNOWN")] * 2
        assert counted["lading_damaged_objects_total", frozenset({("kind", "seal")})] == number
        assert (await registry.get(f"/v2/a/manifests/{digest}")).body == payload
        assert (await registry.get(f"/v2/a/manifests/{sha256(other)}")).body == other
    assert [event["details"]["digest"] for event in await recorded(registry.root, "damage")] == [digest] * 4


async def test_damaged_annotations_are_shown_to_nobody(registry: Registry) -> None:
    """The manifest and its entry in the list are there without them, and a push repairs that."""
    await attach(registry, 1)
    payload = await attach(registry, 2)
    for change in ("swapped", "text", "plain", "bit"):
        first, second = rows(registry)
        sealed = bytearray(base64.b64decode(second["annotations"]))
        sealed[150] ^= 1
        changed = {
            "swapped": first["annotations"],
            "text": "not base64!",
            "plain": json.dumps({"number": "forged"}),
            "bit": base64.b64encode(sealed).decode(),
        }
        query(registry.root, "UPDATE manifest SET annotations = ? WHERE digest = ?", changed[change], sha256(payload))

        entries = await listed(registry)
        await registry.push_manifest("a", sha256(payload), payload)

        assert {entry["digest"]: entry.get("annotations") for entry in entries} == {
            first["digest"]: {"number": "1"},
            second["digest"]: None,
        }
        assert {entry["annotations"]["number"] for entry in await listed(registry)} == {"1", "2"}
    assert len(await recorded(registry.root, "damage")) == 4
