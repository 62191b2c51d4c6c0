"""The one place where access is decided: before the handler, from the actions that the route's row names.

- A caller is known before anything of the request is looked at; only then is a bad name told from a good one.
- A refusal for want of credentials carries the challenge that tells a client which token to fetch.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from aiohttp import web

from auth.actions import REGISTRY, Action, Resource, ScopeType, ScopeWord
from auth.authenticator import Authenticator, Caller
from auth.authorizer import Authorizer
from auth.challenge import ChallengeError, bearer_challenge
from auth.errors import AccessDenied, AuthError, CredentialsMissing, ScopeInsufficient, TokenInvalid
from auth.principals import ANONYMOUS
from auth.scopes import Scope, needed_scope
from registry.core.names import RepositoryName
from registry.http.addresses import Addresses
from registry.http.routes import PUBLIC, ROUTE
from storage.names import is_repository_name

TOKEN_PATH = "/auth/token"  # noqa: S105  a path
CALLER = web.RequestKey("caller", Caller)
REPOSITORY = web.RequestKey("repository", RepositoryName)
ACTION = web.RequestKey("action", Action)
CHALLENGE = web.RequestKey("challenge", str)


@dataclass(frozen=True, slots=True)
class Access:
    """Decides for the handlers of one application."""

    authenticator: Authenticator
    authorizer: Authorizer
    addresses: Addresses
    service: str

    async def check(self, request: web.Request) -> None:
        """Return if the request may be handled; else raise a fact of auth, its challenge kept with the request."""
        route = request.app[ROUTE].get(request.match_info.handler)
        if route is None or route.actions == PUBLIC:
            return
        request[ACTION] = route.actions[0]
        request[CALLER] = Caller(ANONYMOUS)
        # The name as it was sent; whether it is a good one is told only to who may ask at all.
        sent_name = request.match_info.get("name")
        resource = REGISTRY if sent_name is None else self.authorizer.repository(sent_name)
        try:
            request[CALLER] = await self.authenticator.authenticate(request.headers.get("Authorization"))
            self._permit_any(request[CALLER], route.actions, resource)
        except AuthError as error:
            self._challenge(request, route.actions[0], resource, error)
            raise
        if sent_name is not None:
            request[REPOSITORY] = RepositoryName.parse(sent_name)

    def may(self, request: web.Request, action: Action, repository: RepositoryName) -> bool:
        """Whether the caller may do something more than the route asks for."""
        try:
            self.authorizer.permit(request[CALLER], action, self.authorizer.repository(repository.text))
        except AuthError:
            return False
        return True

    def first_readable(self, request: web.Request, names: Sequence[RepositoryName]) -> RepositoryName | None:
        """The first of these repositories that the caller may pull from, None when there is none.

        Where the caller may but its token does not say so, it is told which token to fetch: raises ScopeInsufficient.
        """
        action = Action.GET_DOWNLOAD_URL_FOR_LAYER
        readable = next((name for name in names if self.may(request, action, name)), None)
        if readable is not None:
            return readable
        principal = request[CALLER].principal
        for name in names:
            source = self.authorizer.repository(name.text)
            if self.authorizer.authorize(principal, action, source).allowed:
                target = self.authorizer.repository(request[REPOSITORY].text)
                scopes = (needed_scope(request[ACTION], target), needed_scope(action, source))
                request[CHALLENGE] = bearer_challenge(
                    self.realm(request), self.service, filter(None, scopes), "insufficient_scope"
                )
                raise ScopeInsufficient(action, source)
        return None

    def sees(self, request: web.Request) -> Callable[[str], bool]:
        """Which repositories the caller may know of: what the rules say, for a token cannot name them all."""
        principal, authorizer = request[CALLER].principal, self.authorizer
        return lambda name: (
            authorizer.authorize(principal, Action.DESCRIBE_REPOSITORIES, authorizer.repository(name)).allowed
        )

    def realm(self, request: web.Request) -> str:
        """Where a client gets a token."""
        return self.addresses.base_url(request) + TOKEN_PATH

    def _permit_any(self, caller: Caller, actions: Iterable[Action], resource: Resource) -> None:
        """Let through who may do any of the actions; the refusal is that of the first."""
        first: AuthError | None = None
        for action in actions:
            try:
                self.authorizer.permit(caller, action, resource)
            except (AccessDenied, CredentialsMissing, ScopeInsufficient) as error:
                first = first or error
            else:
                return
        if first is not None:
            raise first

    def _challenge(self, request: web.Request, action: Action, resource: Resource, error: AuthError) -> None:
        problem: ChallengeError | None = None
        if isinstance(error, TokenInvalid):
            problem = "invalid_token"
        elif isinstance(error, ScopeInsufficient):
            problem = "insufficient_scope"
        request[CHALLENGE] = bearer_challenge(
            self.realm(request), self.service, _scopes(request, action, resource), problem
        )


def _scopes(request: web.Request, action: Action, resource: Resource) -> list[Scope]:
    """What a token must cover for this request; for a mount, reading the source as well."""
    if resource.repository is not None and not is_repository_name(resource.repository):
        return []
    needed = needed_scope(action, resource)
    scopes = [] if needed is None else [needed]
    source = request.query.get("from")
    if action is Action.INITIATE_LAYER_UPLOAD and source is not None and is_repository_name(source):
        scopes.append(Scope(ScopeType.REPOSITORY, source, frozenset({ScopeWord.PULL})))
    return scopes


ACCESS: web.AppKey[Access] = web.AppKey("access", Access)
