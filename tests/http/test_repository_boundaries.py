"""Nothing reaches from one repository into another, and nobody learns of what it may not see."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from itertools import product

import pytest
from aiohttp import ClientSession, DummyCookieJar

from tests.http.claims import claims_of
from tests.http.client import Answer, Registry
from tests.http.documents import ABSENT, CONFIG_BYTES, IMAGE, INDEX, descriptor, image, index, sha256
from tests.http.matrix import (
    CALLERS,
    MISSING,
    OWN,
    PEOPLE,
    PRIVATE,
    PUBLIC,
    Targets,
    World,
    begun,
    content_of,
    peopled,
    requests,
)
from tests.http.people import administered, allow

SECRET = content_of(PRIVATE)
BLOB, MANIFEST = sha256(SECRET.blob), sha256(SECRET.manifest)
OWN_ARN = "arn:aws:ecr:*:*:repository/own/*"


@pytest.fixture
async def world(registry: Registry, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """The repositories, and the people that the test's parameter names."""
    async with peopled(registry, getattr(request, "param", ("pusher", "lister"))) as found:
        yield found


@pytest.fixture(params=["basic", "bearer"])
async def owner(registry: Registry, world: World, request: pytest.FixtureRequest) -> str:
    """Credentials of a user with every right below own/ and none elsewhere, who asks for tokens for everything."""
    async with administered(registry.root) as people:
        credentials = await people.add("owner", allow("ecr:*", Resource=OWN_ARN))
    if request.param == "basic":
        return credentials
    scopes = [f"repository:{name}:pull,push,delete" for name in (OWN, PRIVATE, MISSING)]
    return await registry.token(*scopes, authorization=credentials)


async def check_private(registry: Registry) -> None:
    """What is private is all there, and as it was."""
    root = f"/v2/{PRIVATE}"
    assert (await registry.get(f"{root}/blobs/{BLOB}")).body == SECRET.blob
    assert (await registry.get(f"{root}/manifests/latest")).body == SECRET.manifest
    assert (await registry.get(f"{root}/tags/list")).document["tags"] == ["latest"]
    (referrer,) = (await registry.get(f"{root}/referrers/{MANIFEST}")).document["manifests"]
    assert referrer["digest"] == sha256(SECRET.referrer)


def comparable(answer: Answer, names: dict[str, str]) -> tuple[int, bytes, dict[str, str]]:
    """Status, body and headers with the caller's own words for what it asked replaced; without the date."""
    body, headers = answer.body, {name: value for name, value in answer.headers.items() if name != "Date"}
    for sent, stands_for in names.items():
        body = body.replace(sent.encode(), stands_for.encode())
        headers = {name: value.replace(sent, stands_for) for name, value in headers.items()}
    return answer.status, body, headers


async def test_digest_of_another_repository_names_nothing_here(registry: Registry, owner: str) -> None:
    """It is as unknown as one that nobody has, to read, to look for and to delete; and stays where it is."""
    names = {BLOB: "DIGEST", MANIFEST: "DIGEST", ABSENT: "DIGEST"}
    for kind, digest in (("blobs", BLOB), ("manifests", MANIFEST), ("referrers", MANIFEST)):
        for method in ("GET", "HEAD", "DELETE"):
            there = await registry.ask(method, f"/v2/{OWN}/{kind}/{digest}", authorization=owner)
            nowhere = await registry.ask(method, f"/v2/{OWN}/{kind}/{ABSENT}", authorization=owner)

            assert comparable(there, names) == comparable(nowhere, names)
            assert there.status == (404 if kind != "referrers" else 405 if method == "DELETE" else 200)
    await check_private(registry)


async def test_blob_of_an_unreadable_repository_is_never_mounted(registry: Registry, owner: str) -> None:
    """An upload begins, as for a digest that nobody has; the next step needs the bytes."""
    for source in (f"&from={PRIVATE}", "", f"&from={MISSING}", f"&from={OWN}"):
        asked = f"/v2/{OWN}/blobs/uploads/?mount="
        there = await registry.post(f"{asked}{BLOB}{source}", authorization=owner)
        nowhere = await registry.post(f"{asked}{ABSENT}{source}", authorization=owner)

        assert (there.status, there.body) == (202, b"")
        ids = {answer.headers["Docker-Upload-UUID"]: "UPLOAD" for answer in (there, nowhere)}
        assert comparable(there, ids) == comparable(nowhere, ids)
        closed = await registry.put(f"{there.location}?digest={BLOB}", b"", authorization=owner)
        assert closed.refusal == (400, "DIGEST_INVALID")
        assert (await registry.get(f"/v2/{OWN}/blobs/{BLOB}", authorization=owner)).status == 404


async def test_blob_of_a_readable_repository_is_mounted(registry: Registry, owner: str) -> None:
    """The policy of the source lets everybody pull; a token has to say so too."""
    digest = sha256(content_of(PUBLIC).blob)

    for source in (f"&from={PUBLIC}", ""):
        mounted = await registry.post(f"/v2/{OWN}/blobs/uploads/?mount={digest}{source}", authorization=owner)

        if owner.startswith("Basic"):
            assert mounted.status == 201
        else:
            assert mounted.refusal == (401, "DENIED")
            assert f"repository:{PUBLIC}:pull" in mounted.headers["WWW-Authenticate"]


async def test_reading_manifests_is_not_enough_to_mount(registry: Registry, world: World) -> None:
    """A mount is a download of the blob; to look whether it is there is less."""
    async with administered(registry.root) as people:
        source = "arn:aws:ecr:*:*:repository/private/*"
        looks = allow("ecr:BatchGetImage", "ecr:BatchCheckLayerAvailability", Resource=source)
        credentials = await people.add("looker", allow("ecr:*", Resource=OWN_ARN), looks)

    assert (await registry.head(f"/v2/{PRIVATE}/blobs/{BLOB}", authorization=credentials)).status == 200
    for query in (f"mount={BLOB}&from={PRIVATE}", f"mount={BLOB}"):
        answer = await registry.post(f"/v2/{OWN}/blobs/uploads/?{query}", authorization=credentials)
        assert answer.status == 202


async def test_manifest_cannot_name_blobs_of_another_repository(registry: Registry, owner: str) -> None:
    """Or a push would tell which blobs there are, and later hand them out."""
    config = await registry.push_blob(OWN, CONFIG_BYTES)

    refusals = []
    for layer in (SECRET.blob, b"bytes that nobody has pushed"):
        answer = await registry.put(
            f"/v2/{OWN}/manifests/stolen",
            image((layer,)),
            headers=[("Content-Type", IMAGE)],
            authorization=owner,
        )
        refusals.append(comparable(answer, {sha256(layer): "DIGEST"}))

    assert config != BLOB
    assert refusals[0][0] == 400
    assert refusals[0] == refusals[1]


async def test_index_that_names_a_foreign_manifest_does_not_open_it(registry: Registry, owner: str) -> None:
    """An index may be sparse: what it names has still to be pushed here before it can be pulled."""
    foreign = index(annotations={"names": "another's"}, manifests=[descriptor(SECRET.manifest, INDEX)])
    headers = [("Content-Type", INDEX)]

    pushed = await registry.put(f"/v2/{OWN}/manifests/sparse", foreign, headers=headers, authorization=owner)

    assert pushed.status == 201
    for method in ("GET", "HEAD", "DELETE"):
        answer = await registry.ask(method, f"/v2/{OWN}/manifests/{MANIFEST}", authorization=owner)
        assert answer.status == 404
    await check_private(registry)


async def test_referrer_shows_in_its_own_repository_only(registry: Registry, owner: str) -> None:
    """A stranger's signature on a private image is listed where it was pushed, the private ones where they were."""
    subject = {"mediaType": INDEX, "digest": MANIFEST, "size": len(SECRET.manifest)}
    signature = index(annotations={"by": "a stranger"}, subject=subject)
    headers = [("Content-Type", INDEX)]

    pushed = await registry.put(f"/v2/{OWN}/manifests/signature", signature, headers=headers, authorization=owner)
    listed = await registry.get(f"/v2/{OWN}/referrers/{MANIFEST}", authorization=owner)

    assert pushed.status == 201
    assert [entry["digest"] for entry in listed.document["manifests"]] == [sha256(signature)]
    await check_private(registry)


async def test_deleting_what_two_repositories_have_takes_it_from_one(registry: Registry, owner: str) -> None:
    """The same blob and the same manifest, pushed here as well: here they go, there they stay."""
    headers = [("Content-Type", INDEX)]
    blob = await registry.ask("POST", f"/v2/{OWN}/blobs/uploads/?digest={BLOB}", body=SECRET.blob, authorization=owner)
    manifest = await registry.put(f"/v2/{OWN}/manifests/copy", SECRET.manifest, headers=headers, authorization=owner)
    assert (blob.status, manifest.status) == (201, 201)
    assert (await registry.get(f"/v2/{OWN}/referrers/{MANIFEST}", authorization=owner)).document["manifests"] == []

    for path in (f"blobs/{BLOB}", f"manifests/{MANIFEST}"):
        assert (await registry.delete(f"/v2/{OWN}/{path}", authorization=owner)).status == 202
        assert (await registry.get(f"/v2/{OWN}/{path}", authorization=owner)).status == 404
    await check_private(registry)


async def test_upload_of_another_user_is_none(registry: Registry, world: World, owner: str) -> None:
    """In a repository that both may push to, it is as one that never was; and its owner goes on."""
    pusher = world.credentials["pusher"]
    begins = await registry.start_upload(OWN, authorization=pusher)
    location = (await registry.patch(begins, SECRET.blob[:5], authorization=pusher)).location
    query = location.partition("?")[2]

    for method in ("GET", "PATCH", "PUT", "DELETE"):
        answers = []
        for sent in (begins.rpartition("/")[2], str(uuid.uuid4())):
            path = f"/v2/{OWN}/blobs/uploads/{sent}?{query}&digest={BLOB}"
            body = b"x" if method in {"PATCH", "PUT"} else None
            answer = await registry.ask(method, path, body=body, authorization=owner)
            answers.append(comparable(answer, {sent: "UPLOAD"}))
        assert answers[0][0] == 404
        assert answers[0] == answers[1]

    closed = await registry.put(f"{location}&digest={BLOB}", SECRET.blob[5:], authorization=pusher)
    assert closed.status == 201


@pytest.mark.parametrize("world", [PEOPLE], indirect=True, ids=["everybody"])
async def test_refusal_does_not_tell_whether_the_thing_is_there(registry: Registry, world: World) -> None:
    """Whoever may not do something hears the same of a tag, digest, upload or repository that is there and of none."""
    absent = Targets(ABSENT, "absent", "sha256:" + "f" * 64, str(uuid.uuid4()))
    wrong = []
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        quick = replace(registry, session=session)
        for name in (OWN, PRIVATE):
            there = content_of(name).targets(await begun(registry, name))
            no_repository = name.replace("app", "odd")
            for caller, ask in product(CALLERS, requests()):
                # Whoever may do it to one may know of that one.
                asked = [
                    (targets, each)
                    for targets, each in ((there, name), (absent, name), (absent, no_repository))
                    if ask.has_repository
                    and not any(world.may(caller, action, each) for action in ask.endpoint.actions)
                ]
                found = []
                for targets, each in asked:
                    path = targets.path_of(ask, each)
                    answer = await quick.ask(ask.method, path, authorization=world.credentials[caller])
                    found.append(comparable(answer, {each: "NAME"}))
                wrong += [f"{caller}: {ask} of {name}: {found}"] if any(one != found[0] for one in found) else []

    assert not wrong, "\n".join(wrong)


async def test_token_service_does_not_tell_whether_a_repository_is_there(registry: Registry, world: World) -> None:
    """Nothing is granted of either."""
    for caller in ("pusher", "lister"):
        for name in (PRIVATE, MISSING):
            token = await registry.token(f"repository:{name}:pull,push", authorization=world.credentials[caller])
            assert claims_of(token)["access"] == []

    there, nowhere = [
        await registry.get(f"/auth/token?scope=repository:{name}:pull", authorization=None)
        for name in (PRIVATE, MISSING)
    ]
    assert there.status == 401
    assert comparable(there, {}) == comparable(nowhere, {})


async def test_pages_of_the_catalog_do_not_tell_of_what_is_hidden(registry: Registry, world: World) -> None:
    """The page of who sees one repository of three is the page of a registry with one: no link, wherever it begins."""
    lister = world.credentials["lister"]

    for query, names in (("n=1", [OWN]), ("n=5", [OWN]), ("", [OWN]), (f"n=1&last={OWN}", []), ("n=1&last=o", [OWN])):
        answer = await registry.get(f"/v2/_catalog?{query}", authorization=lister)

        assert json.loads(answer.body) == {"repositories": names}
        assert "Link" not in answer.headers
