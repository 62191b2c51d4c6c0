"""What a caller may do: the token's ceiling first, then the policies.

- Nothing is allowed that no policy, and no mode for anonymous callers, allows.
- A token only ever narrows: the policies are asked again at each request.
"""

import asyncio
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, assert_never

from auth.actions import ADMIN, ADMIN_PREFIX, REGISTRY, SCOPE_WORDS, Action, Resource, ScopeType, ScopeWord
from auth.callers import STRANGER, Caller
from auth.directory import NO_RULES, Directory, Rules, principal_facts
from auth.errors import AccessDenied, AuthError, CredentialsMissing, ScopeInsufficient, TokenInvalid
from auth.leniency import (
    KEYS_OF_IMAGES,
    against_image_conditions,
    allows_any,
    allows_somewhere,
    without_conditions_on,
)
from auth.permitted import Permitted, are_about_everything, look_at_facts
from auth.policy.context import Context
from auth.policy.document import Request
from auth.policy.evaluation import Lack, Match, NamedPolicy, Outcome, Policies, evaluate
from auth.policy.requesters import ANYBODY, Requester
from auth.policy.vocabulary import ACTIONS
from auth.principals import AnonymousMode, Fact, Principal, PrincipalKind
from auth.scopes import Scope, covering_scope

REGION: Final = "local"
"""The region in the ARNs of a registry that stands in none."""

ASSUME_ROLE: Final = "sts:AssumeRole"
"""What a trust policy lets users and other roles do (AWS Security Token Service)."""

# Measured: each takes 5 to 10 µs.
_DECIDED_AT_ONCE: Final = 100

Facts = Mapping[str, Fact]
"""Condition keys of a request, and their values."""

NO_FACTS: Final[Facts] = MappingProxyType({})

_ADMIN_ACTIONS = frozenset(action for action in ACTIONS if action.startswith(ADMIN_PREFIX))
_EVERY_WORD = frozenset(ScopeWord) - {ScopeWord.ALL}
_READ_WORDS = {(ScopeType.REPOSITORY, ScopeWord.PULL), (ScopeType.REGISTRY, ScopeWord.ALL)}
_READS = frozenset(action for action, needed in SCOPE_WORDS.items() if needed in _READ_WORDS)


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether something is allowed, and why: in words, and by which statements where statements decided."""

    outcome: Outcome
    reason: str
    matches: tuple[Match, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.outcome is Outcome.ALLOWED


@dataclass(frozen=True, slots=True)
class _Subject:
    """Whom a decision is about: as policies name it, with the facts and policies that it brings."""

    kind: PrincipalKind
    requester: Requester
    facts: Facts
    policies: tuple[NamedPolicy, ...] = ()
    boundary: NamedPolicy | None = None
    sessions: tuple[NamedPolicy, ...] = ()

    def under(self, resource: NamedPolicy | None, registry: NamedPolicy | None) -> Policies:
        """Every policy that applies to what it asks for, of a resource with this policy."""
        return Policies(self.policies, resource, registry, self.boundary, self.sessions)


_ROOT: Final = Decision(Outcome.ALLOWED, "the root user may do everything in its account")
_STRANGER: Final = Decision(Outcome.IMPLICIT_DENY, "it belongs to another account")
_LOGIN: Final = Decision(Outcome.ALLOWED, "every user may log in")
_HOLDER: Final = Decision(Outcome.ALLOWED, "whoever holds a token has logged in, anonymous callers included")
_SOMEWHERE: Final = Decision(Outcome.ALLOWED, "some repositories may be described")
_EVERYBODY: Final = Decision(Outcome.ALLOWED, "anonymous callers may push and pull")
_READERS: Final = Decision(Outcome.ALLOWED, "anonymous callers may read")
_NO_READ: Final = Decision(Outcome.IMPLICIT_DENY, "anonymous callers may only read")
_NOBODY: Final = Decision(Outcome.IMPLICIT_DENY, "anonymous access is off")
_ANYBODY: Final = _Subject(PrincipalKind.ANONYMOUS, ANYBODY, {"aws:PrincipalType": "Anonymous"})


class Authorizer:
    """Decides every request against one account's policies."""

    def __init__(self, account_id: str, directory: Directory, anonymous: AnonymousMode, region: str = REGION) -> None:
        self._account_id = account_id
        self._directory = directory
        self._anonymous = anonymous
        self._region = region
        self._permitted: Permitted[Decision] = Permitted()

    def repository(self, name: str) -> Resource:
        """The repository of this name as policies name it."""
        return Resource.of_repository(name, account_id=self._account_id, region=self._region)

    async def authorize(
        self,
        principal: Principal,
        action: str,
        resource: Resource,
        facts: Facts = NO_FACTS,
        *,
        unknown: Collection[str] = (),
    ) -> Decision:
        """Whether the policies let this principal do this, whatever credentials it came with.

        `unknown` are condition keys, in lower case, that nobody can tell yet: where a value might allow, it is allowed,
        and to be asked again.
        """
        decision, _ = await self._weigh(principal, action, resource, facts, unknown)
        return decision

    async def permit(
        self,
        caller: Caller,
        action: str,
        resource: Resource,
        facts: Facts = NO_FACTS,
        *,
        unknown: Collection[str] = (),
    ) -> Decision:
        """Why the caller may do this, if it may; `unknown` is as for `authorize`.

        Raises CredentialsMissing or AccessDenied where the policies refuse, whatever a token covers; ScopeInsufficient
        where only the token does; TokenInvalid for an anonymous token that no longer opens anything.
        """
        is_login = action == Action.GET_AUTHORIZATION_TOKEN
        if is_login and caller.ceiling is not None and not self._is_turned_away(caller.principal):
            return _HOLDER
        edition = self._directory.edition
        known = self._permitted.find(edition, caller, action, resource.arn, None if unknown else facts)
        if known is not None:
            return known
        decision, policies = await self._weigh(caller.principal, action, resource, facts, unknown)
        if not decision.allowed:
            # Before the token is looked at: where no other would help, none is asked for, and the client says why.
            raise self._refusal(caller, action, resource, decision)
        if caller.ceiling is not None:
            needed = covering_scope(action, resource)
            if needed is not None and not caller.ceiling.covers(needed):
                raise ScopeInsufficient(action, resource)
        elif caller is not STRANGER:
            return decision
        relevant = dict(facts) if look_at_facts(policies) else None
        if relevant is None or not unknown:
            self._permitted.keep(edition, caller, action, resource.arn, relevant, decision)
        return decision

    def lasting(self, caller: Caller, action: str, resource: Resource) -> Decision | None:
        """Why the caller may do this, whatever the facts, if that was found and nothing has changed since."""
        return self._permitted.find(self._directory.edition, caller, action, resource.arn, None)

    async def authorize_role(
        self, principal: Principal, role_arn: str, trust: NamedPolicy, facts: Facts = NO_FACTS
    ) -> Decision:
        """Whether the policies of a principal, and the trust policy of a role, let it assume the role."""
        subject = await self._subject(principal)
        return self._decide(subject, ASSUME_ROLE, Resource(role_arn, None), facts, subject.under(trust, None))

    async def visible(self, principal: Principal, names: Sequence[str], facts: Facts = NO_FACTS) -> list[str]:
        """Those of the repositories that the principal may know of, in the same order."""
        subject, action = await self._subject(principal), Action.DESCRIBE_REPOSITORIES
        registry = await self._directory.registry_policy()
        rules = await self._directory.repositories(names)
        common = subject.under(None, registry)

        def is_visible(name: str, own: Rules = NO_RULES) -> bool:
            applying = common if own.policy is None else subject.under(own.policy, registry)
            own_facts = {**facts, **own.facts} if own.facts else facts
            return self._decide(subject, action, self.repository(name), own_facts, applying).allowed

        # What holds for one holds for all that have no rules of their own.
        others = is_visible(names[0]) if names and are_about_everything(common) else None
        seen, decided = [], 0
        for name in names:
            is_seen = None if rules[name] else others
            if is_seen is None:
                decided += 1
                if decided % _DECIDED_AT_ONCE == 0:
                    await asyncio.sleep(0)  # others have their turn
                is_seen = is_visible(name, rules[name])
            if is_seen:
                seen.append(name)
        return seen

    async def grant(self, principal: Principal, scopes: Iterable[Scope], facts: Facts = NO_FACTS) -> list[Scope]:
        """The part of these scopes that a token for this principal may carry; nothing granted is no error."""
        subject = await self._subject(principal)
        granted = [Scope(scope.type, scope.name, await self._granted(subject, scope, facts)) for scope in scopes]
        return [scope for scope in granted if scope.actions]

    async def grant_elsewhere(
        self, principal: Principal, scopes: Iterable[Scope], facts: Facts = NO_FACTS
    ) -> list[Scope]:
        """The part of these scopes that a token for another registry may carry.

        That registry asks no policy, so a word is granted where every action that it stands for is allowed, whatever
        the image; and never a catalog, which would name every repository there.
        """
        subject = await self._subject(principal)
        granted = [
            Scope(scope.type, scope.name, await self._granted_for_all(subject, scope, facts))
            for scope in scopes
            if scope.type is ScopeType.REPOSITORY
        ]
        return [scope for scope in granted if scope.actions]

    async def permit_token(self, caller: Caller, granted: Sequence[Scope] = (), facts: Facts = NO_FACTS) -> None:
        """Return if the caller may be given a token for these scopes.

        Raises CredentialsMissing, AccessDenied, or TokenInvalid for a bearer.
        """
        if caller.ceiling is not None:
            # A stolen token must end with its own expiry and stay under its own ceiling.
            raise TokenInvalid("it cannot be exchanged for another: use a user name and a password")
        if caller.principal.kind is not PrincipalKind.ANONYMOUS:
            await self.permit(caller, Action.GET_AUTHORIZATION_TOKEN, REGISTRY, facts)
        elif not granted and self._is_turned_away(caller.principal):
            raise CredentialsMissing

    async def _weigh(
        self, principal: Principal, action: str, resource: Resource, facts: Facts, unknown: Collection[str]
    ) -> tuple[Decision, Policies]:
        """A decision, and the policies that apply."""
        subject = await self._subject(principal)
        policies, facts = await self._applying(subject, resource, facts)
        asked = without_conditions_on(unknown, policies) if unknown else policies
        return self._decide(subject, action, resource, facts, asked), policies

    async def _subject(self, principal: Principal) -> _Subject:
        if principal.kind is PrincipalKind.ANONYMOUS:
            return _ANYBODY
        is_root, is_role = principal.kind is PrincipalKind.ROOT, principal.kind is PrincipalKind.ROLE
        role_arn = principal.role_arn if is_role else None
        requester = Requester(principal.arn, principal.account_id, is_root=is_root, role_arn=role_arn)
        sessions = self._directory.session_policies(principal.session)
        session_facts: dict[str, Fact] = {} if principal.session is None else dict(principal.session.facts)
        # No policy can be attached to the root user; one of a repository may still deny it something.
        find = self._directory.role if is_role else self._directory.user
        user = None if is_root else await find(principal.name)
        if user is None:
            return _Subject(
                principal.kind, requester, principal_facts(principal, {}) | session_facts, sessions=sessions
            )
        return _Subject(principal.kind, requester, user.facts | session_facts, user.policies, user.boundary, sessions)

    async def _applying(self, subject: _Subject, resource: Resource, facts: Facts) -> tuple[Policies, Facts]:
        """The policies that apply to a request, and its facts with those of the resource."""
        registry = await self._directory.registry_policy()
        if resource.repository is None:
            return subject.under(None, registry), facts
        rules = await self._directory.repository(resource.repository)
        return subject.under(rules.policy, registry), {**facts, **rules.facts} if rules.facts else facts

    def _decide(self, subject: _Subject, action: str, resource: Resource, facts: Facts, policies: Policies) -> Decision:
        requester, lack = subject.requester, None
        if requester.account_id not in {"", self._account_id}:
            return _STRANGER
        if policies.any_apply:
            context = Context({**facts, **subject.facts})
            found = evaluate(Request(requester, action, resource.arn, context), policies)
            if found.outcome is not Outcome.IMPLICIT_DENY and (found.matches or not requester.is_root):
                return Decision(found.outcome, _reason(found.matches), found.matches)
            lack = found.lack
        match subject.kind:
            case PrincipalKind.ROOT:
                return _ROOT if lack is None else Decision(Outcome.IMPLICIT_DENY, lack.value)
            case PrincipalKind.ANONYMOUS:
                return self._decide_anonymous(action)
            case PrincipalKind.USER | PrincipalKind.ROLE:
                return _decide_undecided(action, resource, policies, lack or Lack.GRANT)
            case _:
                assert_never(subject.kind)

    def _decide_anonymous(self, action: str) -> Decision:
        match self._anonymous:
            case "none":
                return _NOBODY
            case "pull":
                # GET /v2/ without credentials stays refused: its challenge is what makes clients log in at all.
                return _READERS if action in _READS else _NO_READ
            case "push":
                return _EVERYBODY if action in SCOPE_WORDS else _NOBODY
            case _:
                assert_never(self._anonymous)

    async def _granted(self, subject: _Subject, scope: Scope, facts: Facts) -> frozenset[ScopeWord]:
        """The words of a scope for which any action might be allowed; each is decided by itself when it is used."""
        resource = self.repository(scope.name) if scope.type is ScopeType.REPOSITORY else REGISTRY
        applying, facts = await self._applying(subject, resource, facts)
        policies = without_conditions_on(KEYS_OF_IMAGES, applying)

        def is_granted(word: ScopeWord) -> bool:
            if scope.name == ADMIN and scope.type is ScopeType.REGISTRY:
                return subject.kind is PrincipalKind.ROOT or allows_any(policies.identity, _ADMIN_ACTIONS)
            actions = _actions_of(scope.type, word)
            return any(self._decide(subject, action, resource, facts, policies).allowed for action in actions)

        words = {word for word in scope.actions if is_granted(word)}
        if ScopeWord.ALL in scope.actions and scope.type is ScopeType.REPOSITORY:
            # `*` covers whatever there is to do, so it takes every right.
            whole = all(is_granted(word) for word in _EVERY_WORD)
            words |= {ScopeWord.ALL} if whole else set()
        return frozenset(words)

    async def _granted_for_all(self, subject: _Subject, scope: Scope, facts: Facts) -> frozenset[ScopeWord]:
        """The words of a repository's scope for which every action is allowed on every image."""
        resource = self.repository(scope.name)
        applying, facts = await self._applying(subject, resource, facts)
        policies = against_image_conditions(applying)

        def is_granted(word: ScopeWord) -> bool:
            words = _EVERY_WORD if word is ScopeWord.ALL else {word}
            actions = (action for each in words for action in _actions_of(scope.type, each))
            return all(self._decide(subject, action, resource, facts, policies).allowed for action in actions)

        return frozenset(word for word in scope.actions if is_granted(word))

    def _is_turned_away(self, principal: Principal) -> bool:
        return principal.kind is PrincipalKind.ANONYMOUS and self._anonymous == "none"

    def _refusal(self, caller: Caller, action: str, resource: Resource, decision: Decision) -> AuthError:
        if caller.principal.kind is PrincipalKind.ANONYMOUS:
            if caller.ceiling is not None and self._is_turned_away(caller.principal):
                return TokenInvalid("anonymous access was turned off")
            return CredentialsMissing()
        denied_by = decision.matches[0] if decision.outcome is Outcome.EXPLICIT_DENY else None
        return AccessDenied(caller.principal, action, resource, decision.reason, denied_by)


def _actions_of(scope_type: ScopeType, word: ScopeWord) -> Iterator[str]:
    return (action for action, needed in SCOPE_WORDS.items() if needed == (scope_type, word))


def _decide_undecided(action: str, resource: Resource, policies: Policies, lack: Lack) -> Decision:
    """What holds for a user where no statement decided."""
    if action == Action.GET_AUTHORIZATION_TOKEN:
        return _LOGIN
    if resource is REGISTRY and action == Action.DESCRIBE_REPOSITORIES and allows_somewhere(policies.identity, action):
        return _SOMEWHERE
    return Decision(Outcome.IMPLICIT_DENY, lack.value)


def _reason(matches: Sequence[Match]) -> str:
    """The first statement that decided, in words."""
    match = matches[0]
    statement = f"statement {match.sid}" if match.sid else f"statement number {match.index + 1}"
    return f"{statement} of policy {match.policy} says {match.effect.value}"
