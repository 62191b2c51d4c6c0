"""Who may do what to which repository: every caller on every endpoint, compared with what the policy engine says.

The engine is given the documents that the test wrote, not what the server has read; the actions of an endpoint are the
design's, not those of its row. So a wrong row, a policy that is lost on the way and a check left out all show.
"""

import time
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field, replace

import pytest
from aiohttp import ClientSession, DummyCookieJar

from auth.accounts import after_all_tokens
from auth.actions import ScopeType, ScopeWord
from auth.bootstrap import Prepared
from auth.callers import Caller
from auth.claims import Parties
from auth.key_ring import KeyRing
from auth.principals import Principal, PrincipalKind
from auth.scopes import Scope
from auth.tokens import TokenIssuer
from registry.http.routes import PUBLIC as FOR_EVERYBODY
from registry.oci.routes import ROUTES
from tests.http.claims import claims_of
from tests.http.client import Answer, Registry
from tests.http.documents import INDEX, sha256
from tests.http.matrix import (
    ACTIONS_OF_WORDS,
    CALLERS,
    ELSEWHERE,
    ENDPOINTS,
    MISSING,
    OWN,
    PEOPLE,
    PRIVATE,
    PUBLIC,
    Ask,
    World,
    begun,
    content_of,
    peopled,
    put_content,
    requests,
)

KINDS = ("basic", "bearer", "wide", "other")
"""With a password; with a token fetched for the repository; with one that covers everything, as from before a policy
was narrowed; with one that covers another repository only."""

WORDS = frozenset({*ACTIONS_OF_WORDS, "catalog"})
"""All that a token can cover."""

ALLOWED, DENIED, UNKNOWN, UNCOVERED = "allowed", "denied", "unknown caller", "not covered by the token"


@dataclass(frozen=True)
class Cell:
    """One request that one caller makes in one way."""

    caller: str
    kind: str
    ask: Ask
    name: str

    def __str__(self) -> str:
        return f"{self.caller} by {self.kind}: {self.ask} of {self.name}"


@dataclass(frozen=True)
class Expected:
    """The answer that the engine's decision calls for; `action` is what a refusal names."""

    outcome: str
    status: int
    action: str = ""


@dataclass
class Matrix:
    """A registry that is asked one cell after the other; `tokens` are those that were fetched, by whom and for what.

    `uploads` are the root user's, one a repository.
    """

    registry: Registry
    world: World
    issuer: TokenIssuer
    uploads: dict[str, str]
    tokens: dict[tuple[str, str], tuple[str | None, frozenset[str] | None]] = field(default_factory=dict)
    breaches: list[str] = field(default_factory=list)

    async def authorization(self, cell: Cell) -> tuple[str | None, frozenset[str] | None]:
        """The header, and the words that a token covers; None for no ceiling."""
        match cell.kind:
            case "basic":
                return self.world.credentials[cell.caller], None
            case "wide":
                return self._minted(cell.caller, cell.name), WORDS
            case "other":
                return self._minted(cell.caller, ELSEWHERE, catalog=False), frozenset()
        if (cell.caller, cell.name) not in self.tokens:
            self.tokens[cell.caller, cell.name] = await self._fetched(cell)
        return self.tokens[cell.caller, cell.name]

    async def _fetched(self, cell: Cell) -> tuple[str | None, frozenset[str] | None]:
        """A token with as much as the token service grants, which must be what the engine allows."""
        granted = granted_to(self.world, cell)
        scopes = f"scope=repository:{cell.name}:pull,push,delete&scope=registry:catalog:*"
        answer = await self.registry.get(f"/auth/token?{scopes}", authorization=self.world.credentials[cell.caller])
        if answer.status != 200:
            if granted or cell.caller != "anonymous":
                self.breaches.append(f"{cell.caller} was refused a token for {cell.name}: {answer.status}")
            return None, None
        token = str(answer.document["token"])
        claims = claims_of(token)["access"]
        carried = frozenset(
            "catalog" if each["type"] == "registry" else word for each in claims for word in each["actions"]
        )
        if carried != granted:
            self.breaches.append(f"{cell.caller} was granted {carried} of {cell.name}, expected {granted}")
        return f"Bearer {token}", carried

    async def ask(self, cell: Cell, authorization: str | None, *, is_allowed: bool) -> Answer:
        """Send the request of a cell, and put back what it deleted."""
        path, body = await self._path(cell, is_allowed=is_allowed), None
        headers = []
        if cell.ask.method == "PUT" and "/manifests/" in path:
            body, headers = content_of(cell.name).manifest, [("Content-Type", INDEX)]
        elif cell.ask.method in {"PATCH", "PUT"}:
            body = b"x"
        answer = await self.registry.ask(cell.ask.method, path, body=body, headers=headers, authorization=authorization)
        if cell.ask.method == "DELETE" and answer.status == 202:
            await put_content(self.registry, cell.name)
        return answer

    async def _path(self, cell: Cell, *, is_allowed: bool) -> str:
        upload = await self._upload(cell, is_allowed=is_allowed) if "{upload" in cell.ask.route[1] else ""
        path = content_of(cell.name).targets(upload).path_of(cell.ask, cell.name)
        return f"{path}?digest={sha256(b'x')}" if upload else path

    async def _upload(self, cell: Cell, *, is_allowed: bool) -> str:
        """The id of an upload of the caller's own where it may have one, else of one of the root user's."""
        if cell.name.startswith("missing/"):
            return str(uuid.uuid4())
        if not is_allowed:
            return self.uploads[cell.name]
        return await begun(self.registry, cell.name, self.world.credentials[cell.caller])

    def _minted(self, caller: str, name: str, *, catalog: bool = True) -> str:
        scopes = [Scope(ScopeType.REPOSITORY, name, frozenset({ScopeWord.ALL}))]
        if catalog:
            scopes.append(Scope(ScopeType.REGISTRY, "catalog", frozenset({ScopeWord.ALL})))
        kind = PrincipalKind.ANONYMOUS if caller == "anonymous" else PrincipalKind.USER
        principal = Principal("", "" if caller == "anonymous" else caller, kind)
        dated = after_all_tokens(time.time())  # as those of a user who was made just before
        return "Bearer " + self.issuer.mint(Caller(principal, valid_after=dated), scopes).text


def cells_of(caller: str) -> Iterator[Cell]:
    """Everything that one caller asks."""
    for ask in requests():
        for name in (OWN, PRIVATE, PUBLIC, MISSING) if ask.has_repository else (OWN,):
            for kind in KINDS:
                # A push that is allowed makes the repository, and then it is missing no more.
                is_spent = name == MISSING and ask.endpoint.creates
                yield Cell(caller, kind, ask, f"missing/{uuid.uuid4()}" if is_spent else name)


def granted_to(world: World, cell: Cell) -> frozenset[str]:
    """The words that the engine allows the caller of a cell on its repository."""
    caller, name = cell.caller, cell.name
    words = {
        word for word, actions in ACTIONS_OF_WORDS.items() if any(world.may(caller, each, name) for each in actions)
    }
    return frozenset(words | ({"catalog"} if world.may(caller, "ecr:DescribeRepositories", None) else set()))


def expected_of(world: World, cell: Cell, covered: frozenset[str] | None) -> Expected:
    """What the engine decides on a cell whose token covers some words, or that has no ceiling."""
    endpoint, known = cell.ask.endpoint, cell.caller != "anonymous"
    first = endpoint.actions[0]
    name = cell.name if cell.ask.has_repository else None
    if not any(world.may(cell.caller, action, name, facts_of(cell)) for action in endpoint.actions):
        return Expected(DENIED, 403, first) if known else Expected(UNKNOWN, 401)
    if covered is not None and endpoint.word and endpoint.word not in covered:
        return Expected(UNCOVERED, 401, first)
    if not cell.name.startswith("missing/"):
        return Expected(ALLOWED, endpoint.found)
    if endpoint.creates and not world.may(cell.caller, "ecr:CreateRepository", cell.name):
        return Expected(DENIED, 403, "ecr:CreateRepository") if known else Expected(UNKNOWN, 401)
    return Expected(ALLOWED, endpoint.missing)


def facts_of(cell: Cell) -> dict[str, str]:
    if "{reference" not in cell.ask.route[1]:
        return {}
    targets = content_of(cell.name).targets("")
    if cell.ask.reference == "digest":
        return {"ecr:ImageDigest": targets.manifest}
    return {"ecr:ImageTag": targets.tag}


def breach(cell: Cell, expected: Expected, answer: Answer) -> str | None:
    """What is wrong with the answer; None if it is the one that the decision calls for."""
    if answer.status != expected.status:
        return f"{cell}: {answer.status}, expected {expected.status}: {expected.outcome} {expected.action}"
    return None if expected.outcome == ALLOWED else _wrong_refusal(cell, expected, answer)


def _wrong_refusal(cell: Cell, expected: Expected, answer: Answer) -> str | None:
    challenge = answer.headers.get("WWW-Authenticate", "")
    if ('error="insufficient_scope"' in challenge) is not (expected.outcome == UNCOVERED):
        return f"{cell}: challenge {challenge!r} where the caller is {expected.outcome}"
    if bool(challenge) is (expected.status == 403):
        return f"{cell}: {answer.status} with challenge {challenge!r}"
    if cell.ask.method == "HEAD":
        return None if answer.body == b"" else f"{cell}: a HEAD with a body"
    (code,) = answer.codes
    action = (answer.detail or {}).get("action", "")
    if (code, action) != ("UNAUTHORIZED" if expected.outcome == UNKNOWN else "DENIED", expected.action):
        return f"{cell}: {code} naming {action!r}, expected {expected.outcome} naming {expected.action!r}"
    return None


@pytest.fixture
async def matrix(registry: Registry, identity: Prepared, caller: str) -> AsyncIterator[Matrix]:
    ring, parties = KeyRing(identity.signing_keys), Parties(identity.registry_id, identity.registry_id)
    issuer = TokenIssuer(ring, parties, 900)
    users = {caller} & PEOPLE.keys()
    async with peopled(registry, users) as world, ClientSession(cookie_jar=DummyCookieJar()) as session:
        uploads = {name: await begun(registry, name) for name in (OWN, PRIVATE, PUBLIC)}
        yield Matrix(replace(registry, session=session), world, issuer, uploads)


def test_matrix_has_every_guarded_route() -> None:
    """A route that is added is decided here."""
    guarded = [(route.method, route.path) for route in ROUTES if route.actions != FOR_EVERYBODY]
    assert sorted(ENDPOINTS) == sorted(guarded)


def test_matrix_has_every_outcome_of_every_request() -> None:
    """Somebody is allowed it, somebody is not, and somebody's token does not cover what its owner may do."""
    world, seen = World("000000000000", {}), set()
    for cell in (cell for caller in CALLERS for cell in cells_of(caller)):
        covered = {"wide": WORDS, "other": frozenset[str](), "bearer": granted_to(world, cell)}.get(cell.kind)
        seen.add((str(cell.ask), expected_of(world, cell, covered).outcome))

    decided = [ask for ask in requests() if ask.endpoint.word]
    assert seen >= {(str(ask), outcome) for ask in decided for outcome in (ALLOWED, DENIED, UNKNOWN, UNCOVERED)}


@pytest.mark.parametrize("caller", CALLERS)
async def test_every_answer_is_the_one_that_the_engine_decides(matrix: Matrix, caller: str) -> None:
    """Allowed is done; denied is 403 with the action that is missing, or 401; and nothing happens that was refused."""
    cells, made = list(cells_of(caller)), {OWN, PRIVATE, PUBLIC}
    for cell in cells:
        authorization, covered = await matrix.authorization(cell)
        expected = expected_of(matrix.world, cell, covered)

        answer = await matrix.ask(cell, authorization, is_allowed=expected.outcome == ALLOWED)

        matrix.breaches += filter(None, [breach(cell, expected, answer)])
        if answer.status == 201 and cell.name.startswith("missing/"):
            made.add(cell.name)
    assert not matrix.breaches, f"{len(matrix.breaches)} of {len(cells)} cells are wrong:\n" + "\n".join(
        matrix.breaches
    )
    assert set((await matrix.registry.get("/v2/_catalog")).document["repositories"]) == made
    for name, upload in matrix.uploads.items():
        await _check_untouched(matrix.registry, name, upload)


async def _check_untouched(registry: Registry, name: str, upload: str) -> None:
    content = content_of(name)
    assert (await registry.get(f"/v2/{name}/manifests/latest")).body == content.manifest
    assert (await registry.get(f"/v2/{name}/blobs/{sha256(content.blob)}")).body == content.blob
    assert (await registry.get(f"/v2/{name}/tags/list")).document["tags"] == ["latest"]
    assert (await registry.get(f"/v2/{name}/blobs/uploads/{upload}")).headers["Range"] == "0-0"
