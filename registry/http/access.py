"""The one place where access is decided: before the handler, from the actions that the route's row names.

- A caller is known before anything of the request is looked at; only then is a bad name told from a good one.
- A refusal for want of credentials carries the challenge that tells a client which token to fetch.
- A push under several tags is decided for each of them, and once more when its manifest tells what it is.
"""

import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache

from aiohttp import web

from auth.actions import REGISTRY, Action, Resource, ScopeType, ScopeWord
from auth.authenticator import Authenticator
from auth.authorizer import Authorizer, Decision, Facts
from auth.callers import STRANGER, Caller
from auth.challenge import ChallengeError, bearer_challenge
from auth.errors import AccessDenied, AuthError, CredentialsMissing, ScopeInsufficient, TokenInvalid
from auth.last_use import LastUse
from auth.leniency import ARTIFACT_TYPE
from auth.principals import PrincipalKind
from auth.scopes import Scope, needed_scope
from registry.core.names import RepositoryName
from registry.http.addresses import Addresses
from registry.http.certificates import certificate_name
from registry.http.routes import PUBLIC, ROUTE
from storage.names import is_repository_name

TOKEN_PATH = "/auth/token"  # noqa: S105  a path
CALLER = web.RequestKey("caller", Caller)
REPOSITORY = web.RequestKey("repository", RepositoryName)
ACTION = web.RequestKey("action", str)
RESOURCE = web.RequestKey("resource", Resource)
DECISION = web.RequestKey("decision", Decision)
"""Why the request was let through."""
CHALLENGE = web.RequestKey("challenge", str)
NOT_CREATED = web.RequestKey("not_created", AccessDenied)
"""Why a push may not make its repository: what the client is told where the repository is missing."""
FACTS: web.RequestKey[Facts] = web.RequestKey("facts", Facts)
_HEADERS = {"aws:UserAgent": "User-Agent", "aws:Referer": "Referer"}
# Facts are kept with thousands of decisions.
_MOST_HEADER_CHARACTERS = 512


@dataclass(frozen=True, slots=True)
class Access:
    """Decides for the handlers of one application."""

    authenticator: Authenticator
    authorizer: Authorizer
    addresses: Addresses
    last_use: LastUse
    service: str
    now: Callable[[], float] = time.time

    async def check(self, request: web.Request) -> None:
        """Return if the request may be handled; else raise a fact of auth, its challenge kept with the request."""
        route = request.app[ROUTE].get(request.match_info.handler)
        if route is None or route.actions == PUBLIC:
            return
        request[ACTION] = route.actions[0]
        request[CALLER] = STRANGER
        # The name as it was sent; whether it is a good one is told only to who may ask at all.
        sent_name = request.match_info.get("name")
        resource = REGISTRY if sent_name is None else self.authorizer.repository(sent_name)
        request[RESOURCE] = resource
        try:
            request[CALLER] = await self.authenticate(request)
            if route.resource is not None:
                _require_known(request[CALLER])
                request[RESOURCE] = resource = await route.resource(request)
            for facts in self._facts_of_images(request, route.actions[0]):
                request[DECISION] = await self.admit(request[CALLER], route.actions, resource, facts)
        except AuthError as error:
            self._challenge(request, route.actions[0], resource, error)
            raise
        if sent_name is not None:
            request[REPOSITORY] = RepositoryName.parse(sent_name)

    async def admit(self, caller: Caller, actions: Iterable[str], resource: Resource, facts: Facts) -> Decision:
        """Let through who may do any of the actions; the refusal is that of the first, or what another token mends."""
        refusals: list[AuthError] = []
        for action in actions:
            try:
                unknown = ARTIFACT_TYPE if action == Action.PUT_IMAGE else ()
                return await self.authorizer.permit(caller, action, resource, facts, unknown=unknown)
            except (AccessDenied, CredentialsMissing, ScopeInsufficient, TokenInvalid) as error:
                refusals.append(error)
        raise next((refusal for refusal in refusals if isinstance(refusal, ScopeInsufficient)), refusals[0])

    async def check_artifact(self, request: web.Request, artifact_type: str | None) -> None:
        """Return if what the body of a push turned out to be may be pushed; raises as `check` does."""
        resource = self.authorizer.repository(request[REPOSITORY].text)
        known = {} if artifact_type is None else {"ecr:ArtifactType": artifact_type}
        for facts in self._facts_of_images(request, request[ACTION]):
            await self.authorizer.permit(request[CALLER], request[ACTION], resource, {**facts, **known})

    async def authenticate(self, request: web.Request) -> Caller:
        """Who is asking: by the Authorization header, or else by the client's certificate."""
        header, client = request.headers.get("Authorization"), self.addresses.client(request)
        name = certificate_name(request, self.addresses, self.now()) if header is None else None
        if name is not None:
            caller = await self.authenticator.check_certificate(name)
        else:
            caller = await self.authenticator.authenticate(header, client, self.facts(request))
        self.last_use.note(caller, client)
        return caller

    async def may(self, request: web.Request, action: Action, repository: RepositoryName) -> bool:
        """Whether the caller may do something more than the route asks for."""
        resource = self.authorizer.repository(repository.text)
        try:
            await self.authorizer.permit(request[CALLER], action, resource, self.facts(request))
        except AuthError:
            return False
        return True

    async def may_create(self, request: web.Request) -> bool:
        """Whether this push may make its repository, should it not be there."""
        resource = self.authorizer.repository(request[REPOSITORY].text)
        try:
            await self.authorizer.permit(request[CALLER], Action.CREATE_REPOSITORY, resource, self.facts(request))
        except AccessDenied as error:
            request[NOT_CREATED] = error
            return False
        except AuthError:
            return False
        return True

    async def first_readable(self, request: web.Request, names: Sequence[RepositoryName]) -> RepositoryName | None:
        """The first of these repositories that the caller may pull from, None when there is none.

        Where the caller may but its token does not say so, it is told which token to fetch: raises ScopeInsufficient.
        """
        action = Action.GET_DOWNLOAD_URL_FOR_LAYER
        for name in names:
            if await self.may(request, action, name):
                return name
        principal = request[CALLER].principal
        for name in names:
            source = self.authorizer.repository(name.text)
            if (await self.authorizer.authorize(principal, action, source, self.facts(request))).allowed:
                target = self.authorizer.repository(request[REPOSITORY].text)
                scopes = (needed_scope(request[ACTION], target), needed_scope(action, source))
                request[CHALLENGE] = bearer_challenge(
                    self.realm(request), self.service, filter(None, scopes), "insufficient_scope"
                )
                raise ScopeInsufficient(action, source)
        return None

    def sees(self, request: web.Request) -> Callable[[Sequence[str]], Awaitable[list[str]]]:
        """Which repositories the caller may know of: what the policies say, for a token cannot name them all."""
        principal, facts = request[CALLER].principal, self.facts(request)
        return lambda names: self.authorizer.visible(principal, names, facts)

    def facts(self, request: web.Request) -> Facts:
        """What the request itself tells the conditions of policies."""
        if FACTS not in request:
            request[FACTS] = {**self.lasting_facts(request), **self.time_facts()}
        return request[FACTS]

    def lasting_facts(self, request: web.Request) -> Facts:
        """What holds for every request with these headers on this connection."""
        facts = {
            "aws:SourceIp": self.addresses.client(request),
            "aws:SecureTransport": "true" if self.addresses.is_secure(request) else "false",
        }
        for key, name in _HEADERS.items():
            if name in request.headers:
                facts[key] = request.headers[name][:_MOST_HEADER_CHARACTERS]
        return facts

    def time_facts(self) -> Facts:
        """What holds for every request of this second."""
        return _told_time(int(self.now()))

    def realm(self, request: web.Request) -> str:
        """Where a client gets a token."""
        return self.addresses.base_url(request) + TOKEN_PATH

    def _facts_of_images(self, request: web.Request, action: str) -> Iterator[Facts]:
        """The facts of the request, once for every tag that it would set or look up."""
        facts = self.facts(request)
        reference = request.match_info.get("reference")
        if reference is None:
            yield facts
            return
        yield {**facts, **about_reference(reference)}
        if action == Action.PUT_IMAGE:
            for tag in dict.fromkeys(request.query.getall("tag", ())):
                yield {**facts, "ecr:ImageTag": tag}

    def _challenge(self, request: web.Request, action: str, resource: Resource, error: AuthError) -> None:
        problem: ChallengeError | None = None
        if isinstance(error, TokenInvalid):
            problem = "invalid_token"
        elif isinstance(error, ScopeInsufficient):
            problem = "insufficient_scope"
        request[CHALLENGE] = bearer_challenge(
            self.realm(request), self.service, _scopes(request, action, resource), problem
        )


@lru_cache(maxsize=1)
def _told_time(second: int) -> Facts:
    """A second since the epoch, as conditions read it."""
    time_of_day = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {"aws:CurrentTime": time_of_day, "aws:EpochTime": str(second)}


def about_reference(reference: str) -> Facts:
    """What conditions can ask of the tag or digest that a request names."""
    return {"ecr:ImageDigest" if ":" in reference else "ecr:ImageTag": reference}


def _require_known(caller: Caller) -> None:
    if caller.principal.kind is PrincipalKind.ANONYMOUS:
        raise CredentialsMissing


def _scopes(request: web.Request, action: str, resource: Resource) -> list[Scope]:
    """What a token must cover for this request; for a mount, reading the source as well."""
    if resource.repository is not None and not is_repository_name(resource.repository):
        return []
    needed = needed_scope(action, resource)
    scopes = [] if needed is None else [needed]
    source = request.query.get("from")
    if action == Action.INITIATE_LAYER_UPLOAD and source is not None and is_repository_name(source):
        scopes.append(Scope(ScopeType.REPOSITORY, source, frozenset({ScopeWord.PULL})))
    return scopes


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)
