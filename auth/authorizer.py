"""What a caller may do: the token's ceiling first, then the rules.

- Nothing is allowed that no rule allows.
- A token only ever narrows: the rules are asked again at each request.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, assert_never

from auth.actions import CATALOG, REGISTRY, SCOPE_WORDS, Action, Resource, ScopeType, ScopeWord
from auth.authenticator import Caller
from auth.errors import AccessDenied, CredentialsMissing, ScopeInsufficient, TokenInvalid
from auth.principals import AnonymousMode, Principal, PrincipalKind
from auth.scopes import Access, Scope

REGION: Final = "local"
"""The region in the ARNs of a registry that stands in none."""

_READ_WORDS = {(ScopeType.REPOSITORY, ScopeWord.PULL), (ScopeType.REGISTRY, ScopeWord.ALL)}
_READS = frozenset(action for action, needed in SCOPE_WORDS.items() if needed in _READ_WORDS)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and which rule said so."""

    allowed: bool
    reason: str


class Authorizer:
    """Decides every request against one account's rules."""

    def __init__(self, account_id: str, anonymous: AnonymousMode, region: str = REGION) -> None:
        self._account_id = account_id
        self._anonymous = anonymous
        self._region = region

    def repository(self, name: str) -> Resource:
        """The repository of this name as rules name it."""
        return Resource.of_repository(name, account_id=self._account_id, region=self._region)

    def authorize(self, principal: Principal, action: Action, resource: Resource) -> Decision:  # noqa: ARG002  no rule asks for the resource so far
        """Whether the rules let this principal do this, whatever credentials it came with."""
        match principal.kind:
            case PrincipalKind.ROOT:
                allowed = principal.account_id == self._account_id
                return Decision(allowed, "the root user may do everything in its account")
            case PrincipalKind.USER:
                return Decision(action is Action.GET_AUTHORIZATION_TOKEN, "a user may log in, and no rule allows more")
            case PrincipalKind.ANONYMOUS:
                return self._authorize_anonymous(action)
            case _:
                assert_never(principal.kind)

    def permit(self, caller: Caller, action: Action, resource: Resource) -> None:
        """Return if the caller may do this; raises ScopeInsufficient, CredentialsMissing or AccessDenied."""
        if caller.ceiling is not None:
            if not _covers(caller.ceiling, action, resource):
                raise ScopeInsufficient(action, resource)
            if action is Action.GET_AUTHORIZATION_TOKEN:
                return  # whoever holds a token has logged in, anonymous callers included
        if self.authorize(caller.principal, action, resource).allowed:
            return
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            raise CredentialsMissing
        raise AccessDenied(caller.principal, action, resource)

    def permit_token(self, caller: Caller) -> None:
        """Return if the caller may be given a token; raises CredentialsMissing, or TokenInvalid for a bearer."""
        if caller.ceiling is not None:
            # A stolen token must end with its own expiry and stay under its own ceiling.
            message = "it cannot be exchanged for another: use a user name and a password"
            raise TokenInvalid(message)
        if caller.principal.kind is PrincipalKind.ANONYMOUS and self._anonymous == "none":
            raise CredentialsMissing

    def grant(self, principal: Principal, scopes: Iterable[Scope]) -> list[Scope]:
        """The part of these scopes that a token for this principal may carry; nothing granted is no error."""
        granted = (Scope(scope.type, scope.name, self._granted_words(principal, scope)) for scope in scopes)
        return [scope for scope in granted if scope.actions]

    def _authorize_anonymous(self, action: Action) -> Decision:
        match self._anonymous:
            case "none":
                return Decision(allowed=False, reason="anonymous access is off")
            case "pull":
                # GET /v2/ without credentials stays refused: its challenge is what makes clients log in at all.
                return Decision(action in _READS, "anonymous callers may read")
            case "push":
                return Decision(allowed=True, reason="anonymous callers may do everything")
            case _:
                assert_never(self._anonymous)

    def _granted_words(self, principal: Principal, scope: Scope) -> frozenset[ScopeWord]:
        words = {word for word in scope.actions if self._allows_any(principal, scope, word)}
        if ScopeWord.ALL in scope.actions and scope.type is ScopeType.REPOSITORY:
            # `*` covers whatever there is to do, so it takes every right.
            whole = all(self._allows_any(principal, scope, word) for word in ScopeWord if word is not ScopeWord.ALL)
            words |= {ScopeWord.ALL} if whole else set()
        return frozenset(words)

    def _allows_any(self, principal: Principal, scope: Scope, word: ScopeWord) -> bool:
        """Whether any action that this word stands for is allowed; each is decided by itself when it is used."""
        resource = self.repository(scope.name) if scope.type is ScopeType.REPOSITORY else REGISTRY
        actions = (action for action, needed in SCOPE_WORDS.items() if needed == (scope.type, word))
        return any(self.authorize(principal, action, resource).allowed for action in actions)


def _covers(ceiling: Access, action: Action, resource: Resource) -> bool:
    needed = SCOPE_WORDS[action]
    if needed is None:
        return True
    scope_type, word = needed
    if scope_type is ScopeType.REGISTRY:
        return ceiling.covers(scope_type, CATALOG, word)
    return resource.repository is not None and ceiling.covers(scope_type, resource.repository, word)
