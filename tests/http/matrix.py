"""Who asks for what of which repository: the rows of the access matrix, and what the engine says of each."""

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from auth.policy.context import Context
from auth.policy.document import Policy, PolicyKind, Request
from auth.policy.evaluation import NamedPolicy, Outcome, Policies, evaluate
from auth.policy.parsing import parse_policy
from auth.policy.requesters import ANYBODY, Requester
from auth.policy_documents import Owner, OwnerKind
from tests.http.client import ADMIN, Registry
from tests.http.documents import INDEX, index, sha256
from tests.http.people import PULL, PUSH, People, administered, allow, deny, document, of_resource

OWN: Final = "own/app"
"""The repository that most of the people have some right to."""
PRIVATE: Final = "private/app"
PUBLIC: Final = "public/app"
MISSING: Final = "missing/app"
ELSEWHERE: Final = "elsewhere/app"
"""What the one scope of a token for something else names."""

_OWN_ARN = f"arn:aws:ecr:*:*:repository/{OWN}"
_ONLY_DEV = {"StringLike": {"ecr:ImageTag": "dev-*"}}


@dataclass(frozen=True)
class Rights:
    """What a user brings: statements of its own and of its group, and of its boundary where it has one."""

    own: tuple[dict[str, Any], ...] = ()
    group: tuple[dict[str, Any], ...] = ()
    boundary: tuple[dict[str, Any], ...] = ()


PEOPLE: Final[Mapping[str, Rights]] = {
    "nobody": Rights(),
    "reader": Rights(own=(allow(*PULL, Resource=_OWN_ARN),)),
    "checker": Rights(own=(allow("ecr:BatchCheckLayerAvailability", Resource=_OWN_ARN),)),
    "pusher": Rights(own=(allow(*PUSH, Resource=_OWN_ARN),)),
    "resident": Rights(own=(allow(*PUSH[:4]),)),  # pushes to whatever is there, and makes nothing
    "tagger": Rights(
        own=(allow(*PUSH[:3], Resource=_OWN_ARN), allow("ecr:PutImage", Resource=_OWN_ARN, Condition=_ONLY_DEV))
    ),
    "deleter": Rights(own=(allow("ecr:BatchDeleteImage", Resource=_OWN_ARN),)),
    "lister": Rights(own=(allow("ecr:ListImages", "ecr:DescribeRepositories", Resource=_OWN_ARN),)),
    "guest": Rights(),  # let in by the policy of OWN
    "frozen": Rights(own=(allow("*"),)),  # kept from pushing by the policy of OWN
    "barred": Rights(
        own=(allow("ecr:*"), deny("ecr:*", Resource="arn:aws:ecr:*:*:repository/private/*"), deny(PUSH[3], PULL[1]))
    ),
    "bounded": Rights(own=(allow("ecr:*"),), boundary=(allow(*PULL, "ecr:BatchDeleteImage", Resource=_OWN_ARN),)),
    "member": Rights(group=(allow(*PULL, *PUSH, Resource=_OWN_ARN),)),
}
CALLERS: Final = ("anonymous", "admin", *PEOPLE)

_DESCRIBERS: Final = frozenset({"lister", "bounded"})
"""Whose own policies let it describe something, though not the registry: it may ask for the catalog, and see a part."""


@dataclass(frozen=True)
class Endpoint:
    """What one route asks of its caller, and what it answers to whoever may.

    `actions`, any of which lets through, are those of the design, not read from the route's row; `word` is what a
    token must say. `found` and `missing` are the statuses where the repository has content, and where it is not there.
    """

    actions: tuple[str, ...]
    word: str
    found: int
    missing: int
    creates: bool = False


_NAME = "/v2/{name:(?s:.+)}"
_BLOB = _NAME + "/blobs/{digest:[^/]+}"
_UPLOADS = _NAME + "/blobs/uploads{slash:/?}"
_UPLOAD = _NAME + "/blobs/uploads/{upload:[^/]+}"
_MANIFEST = _NAME + "/manifests/{reference:[^/]+}"
_PULL = ("ecr:BatchGetImage",)
_DELETE = ("ecr:BatchDeleteImage",)
_PART = ("ecr:UploadLayerPart",)

ENDPOINTS: Final[Mapping[tuple[str, str], Endpoint]] = {
    ("GET", "/v2{slash:/?}"): Endpoint(("ecr:GetAuthorizationToken",), "", 200, 200),
    ("GET", "/v2/_catalog"): Endpoint(("ecr:DescribeRepositories",), "catalog", 200, 200),
    ("POST", _UPLOADS): Endpoint(("ecr:InitiateLayerUpload",), "push", 202, 202, creates=True),
    ("GET", _UPLOAD): Endpoint(_PART, "push", 204, 404),
    ("PATCH", _UPLOAD): Endpoint(_PART, "push", 202, 404),
    ("PUT", _UPLOAD): Endpoint(("ecr:CompleteLayerUpload",), "push", 201, 404),
    ("DELETE", _UPLOAD): Endpoint(_PART, "push", 204, 404),
    ("GET", _BLOB): Endpoint(("ecr:GetDownloadUrlForLayer",), "pull", 200, 404),
    ("HEAD", _BLOB): Endpoint(("ecr:GetDownloadUrlForLayer", "ecr:BatchCheckLayerAvailability"), "pull", 200, 404),
    ("DELETE", _BLOB): Endpoint(_DELETE, "delete", 202, 404),
    ("GET", _MANIFEST): Endpoint(_PULL, "pull", 200, 404),
    ("HEAD", _MANIFEST): Endpoint(_PULL, "pull", 200, 404),
    ("PUT", _MANIFEST): Endpoint(("ecr:PutImage",), "push", 201, 201, creates=True),
    ("DELETE", _MANIFEST): Endpoint(_DELETE, "delete", 202, 404),
    ("GET", _NAME + "/tags/list"): Endpoint(("ecr:ListImages",), "pull", 200, 404),
    ("GET", _NAME + "/referrers/{digest:[^/]+}"): Endpoint(_PULL, "pull", 200, 200),
}
"""Every guarded route of the door by method and path."""

ACTIONS_OF_WORDS: Final = {
    "pull": (*PULL, "ecr:ListImages"),
    "push": PUSH,
    "delete": _DELETE,
}
"""The actions, any of which makes a token carry the word."""


@dataclass(frozen=True)
class Ask:
    """One request of the matrix, without its repository: `reference` is a tag, or the digest of what it names."""

    method: str
    route: tuple[str, str]
    reference: str = "latest"

    @property
    def endpoint(self) -> Endpoint:
        return ENDPOINTS[self.route]

    @property
    def has_repository(self) -> bool:
        return "{name" in self.route[1]

    def __str__(self) -> str:
        path = self.route[1].replace(_NAME, "/v2/NAME")
        return f"{self.method} {path} ({self.reference})" if "{reference" in path else f"{self.method} {path}"


@dataclass(frozen=True)
class Targets:
    """What a request names besides its repository."""

    blob: str
    tag: str
    manifest: str
    upload: str

    def path_of(self, ask: Ask, name: str) -> str:
        route = ask.route[1]
        digest = self.manifest if "/referrers/" in route else self.blob
        return (
            route.replace("{name:(?s:.+)}", name)
            .replace("{slash:/?}", "/")
            .replace("{digest:[^/]+}", digest)
            .replace("{upload:[^/]+}", self.upload)
            .replace("{reference:[^/]+}", self.manifest if ask.reference == "digest" else self.tag)
        )


def requests() -> Iterator[Ask]:
    """Every endpoint, HEAD wherever GET is, manifests by tag and by digest."""
    for method, path in ENDPOINTS:
        also_head = method == "GET" and ("HEAD", path) not in ENDPOINTS
        for sent in (method, "HEAD") if also_head else (method,):
            for reference in ("latest", "digest") if "{reference" in path else ("latest",):
                yield Ask(sent, (method, path), reference)


@dataclass(frozen=True)
class Content:
    """What a repository of the matrix holds: a blob, and a manifest tagged `latest` with a referrer."""

    blob: bytes
    manifest: bytes
    referrer: bytes

    def targets(self, upload: str) -> Targets:
        return Targets(sha256(self.blob), "latest", sha256(self.manifest), upload)


def content_of(name: str) -> Content:
    manifest = index(annotations={"of": name})
    subject = {"mediaType": INDEX, "digest": sha256(manifest), "size": len(manifest)}
    return Content(f"blob of {name}".encode(), manifest, index(annotations={"by": name}, subject=subject))


async def put_content(registry: Registry, name: str) -> None:
    """Put there what should be there, whatever was deleted of it."""
    content = content_of(name)
    await registry.push_blob(name, content.blob)
    await registry.push_manifest(name, "latest", content.manifest, media_type=INDEX)
    await registry.push_manifest(name, sha256(content.referrer), content.referrer, media_type=INDEX)


async def begun(registry: Registry, name: str, authorization: str | None = ADMIN) -> str:
    """The id of an upload that has begun."""
    location = await registry.start_upload(name, authorization=authorization)
    return location.rpartition("/")[2]


@dataclass(frozen=True)
class World:
    """The repositories and people of the matrix, and the engine's word on what they may do."""

    account_id: str
    credentials: Mapping[str, str | None]

    def may(self, caller: str, action: str, name: str | None, facts: Mapping[str, str] | None = None) -> bool:
        """What the documents say, no server asked; for logging in and the catalog, with this registry's own rules."""
        policies = self._policies(caller, name)
        resource = "*" if name is None else f"arn:aws:ecr:local:{self.account_id}:repository/{name}"
        decision = evaluate(Request(self._requester(caller), action, resource, self._context(caller, facts)), policies)
        if decision.allowed or decision.outcome is Outcome.EXPLICIT_DENY:
            return decision.allowed
        if action == "ecr:GetAuthorizationToken":
            return caller != "anonymous"
        if action == "ecr:DescribeRepositories" and name is None:
            return caller in _DESCRIBERS
        return False

    def _requester(self, caller: str) -> Requester:
        if caller == "anonymous":
            return ANYBODY
        who = "root" if caller == "admin" else f"user/{caller}"
        return Requester.of_arn(f"arn:aws:iam::{self.account_id}:{who}")

    def _context(self, caller: str, facts: Mapping[str, str] | None) -> Context:
        told = {"aws:SourceIp": "127.0.0.1", "aws:SecureTransport": "false", **(facts or {})}
        return Context(told if caller == "anonymous" else {**told, "aws:PrincipalArn": self._requester(caller).arn})

    def _policies(self, caller: str, name: str | None) -> Policies:
        rights = PEOPLE.get(caller, Rights())
        resource = repository_policies(self.account_id).get(name or "")
        return Policies(
            identity=tuple(_named(statements) for statements in (rights.own, rights.group) if statements),
            resource=None if resource is None else _named(resource, PolicyKind.RESOURCE),
            boundary=_named(rights.boundary) if rights.boundary else None,
        )


def repository_policies(account_id: str) -> dict[str, tuple[dict[str, Any], ...]]:
    """The statements of the repositories that have a policy."""
    guest, frozen = (f"arn:aws:iam::{account_id}:user/{name}" for name in ("guest", "frozen"))
    return {
        OWN: (of_resource("Allow", {"AWS": guest}, *PULL), of_resource("Deny", {"AWS": frozen}, "ecr:PutImage")),
        PUBLIC: (of_resource("Allow", "*", *PULL),),
    }


@asynccontextmanager
async def peopled(registry: Registry, users: Iterable[str] = PEOPLE) -> AsyncIterator[World]:
    """Make the repositories and the people, or those of them that are asked for."""
    for name in (OWN, PRIVATE, PUBLIC):
        await put_content(registry, name)
    async with administered(registry.root) as people:
        credentials: dict[str, str | None] = {"anonymous": None, "admin": ADMIN}
        for user in users:
            credentials[user] = await people.add(user, *PEOPLE[user].own)
            await _limit_and_join(people, user, PEOPLE[user])
        for name, statements in repository_policies(people.account_id).items():
            await people.policies.put_of_repository(name, document(*statements))
        yield World(people.account_id, credentials)


async def _limit_and_join(people: People, user: str, rights: Rights) -> None:
    owner = Owner(OwnerKind.USER, user)
    if rights.boundary:
        await people.policies.put_managed(f"limit-of-{user}", document(*rights.boundary))
        await people.policies.set_boundary(owner, f"limit-of-{user}")
    if rights.group:
        await people.accounts.create_group(f"group-of-{user}")
        await people.policies.put_managed(f"rights-of-{user}", document(*rights.group))
        await people.policies.attach(f"rights-of-{user}", Owner(OwnerKind.GROUP, f"group-of-{user}"))
        await people.accounts.add_member(f"group-of-{user}", user)


def _named(statements: tuple[dict[str, Any], ...], kind: PolicyKind = PolicyKind.IDENTITY) -> NamedPolicy:
    return NamedPolicy(kind.value, _parsed(document(*statements), kind))


@cache
def _parsed(text: str, kind: PolicyKind) -> Policy:
    """A document read once: every cell asks what it says."""
    return parse_policy(text, kind)
