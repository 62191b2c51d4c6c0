"""Whether policies allow a request, and which statements decided.

The order is AWS's (IAM User Guide, "Policy evaluation logic", "Permissions boundaries for IAM entities",
"Cross-account policy evaluation logic"):

- Everything is denied unless allowed; an explicit Deny in any policy wins over every Allow.
- Within one account, an identity policy or a resource policy may allow. The permissions boundary and the session
  policies must allow as well, and grant nothing themselves.
- A resource policy that names the very user, session or everyone (`*`) is not limited by a boundary, and except for the
  user's ARN not by a session policy; one that names a role is limited by both; one that names the account only
  delegates: the account's identity policies still have to allow.
- From another account, the resource policy and the caller's own policies must both allow.
- A role's trust policy must itself allow; an identity policy alone never does.
- The root user is allowed everything in its account but what a Deny or a session policy refuses it, and no Deny of a
  policy keeps it from reading, replacing or deleting that same policy, so that nobody is locked out (as Amazon S3 does
  for bucket policies).
- Callers without credentials, or with a web identity, have what a resource policy allows them directly.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from auth.policy.document import Effect, Policy, PolicyKind, Request
from auth.policy.requesters import Reach


class Outcome(StrEnum):
    """The decision, in the words of IAM's policy simulator."""

    ALLOWED = "allowed"
    EXPLICIT_DENY = "explicitDeny"
    IMPLICIT_DENY = "implicitDeny"


class Lack(StrEnum):
    """Why a request is denied implicitly, in the words of AWS's messages."""

    GRANT = "no identity-based or resource-based policy allows it"
    BOUNDARY = "no permissions boundary allows it"
    SESSION = "no session policy allows it"
    RESOURCE = "no resource-based policy allows it"
    IDENTITY = "no identity-based policy allows it"


@dataclass(frozen=True, slots=True)
class NamedPolicy:
    """A policy under the name that decisions give for it."""

    name: str
    policy: Policy


@dataclass(frozen=True, slots=True)
class Policies:
    """Every policy that applies to a request; `sessions` limit together: one of them must allow."""

    identity: tuple[NamedPolicy, ...] = ()
    resource: NamedPolicy | None = None
    registry: NamedPolicy | None = None
    boundary: NamedPolicy | None = None
    sessions: tuple[NamedPolicy, ...] = ()

    @property
    def any_apply(self) -> bool:
        """Whether there is any policy to ask."""
        return bool(self.identity or self.resource or self.registry or self.boundary or self.sessions)


@dataclass(frozen=True, slots=True)
class Match:
    """A statement that applied; `index` counts from 0 and names a statement without `sid`."""

    policy: str
    sid: str | None
    index: int
    effect: Effect


@dataclass(frozen=True, slots=True)
class Decision:
    """The outcome, the statements that decided it, and what an implicit denial lacks.

    The statements are every Deny that applied, or every Allow that the outcome rests on; none for an implicit denial,
    nor for a root user whom no statement need allow.
    """

    outcome: Outcome
    matches: tuple[Match, ...] = ()
    lack: Lack | None = None

    @property
    def allowed(self) -> bool:
        """Whether the request may go on."""
        return self.outcome is Outcome.ALLOWED


_OWN_POLICY_ACTIONS: Final = {
    PolicyKind.RESOURCE: frozenset(
        {
            *("ecr:getrepositorypolicy", "ecr:setrepositorypolicy", "ecr:deleterepositorypolicy"),
            *("lading:getrepositorypolicy", "lading:putrepositorypolicy", "lading:deleterepositorypolicy"),
        }
    ),
    PolicyKind.REGISTRY: frozenset(
        f"{service}:{verb}registrypolicy" for service in ("ecr", "lading") for verb in ("get", "put", "delete")
    ),
}
_ARN_PARTS: Final = 6
_ACCOUNT: Final = 4


class _Found:
    """The statements of some policies that apply, gathered policy by policy."""

    __slots__ = ("allows", "denies")

    def __init__(self) -> None:
        self.denies: list[Match] = []
        self.allows: list[tuple[Match, Reach]] = []

    @property
    def matches(self) -> list[Match]:
        return [match for match, _ in self.allows]

    def scan(self, named: NamedPolicy, request: Request, action: str) -> None:
        for statement in named.policy.statements:
            reach = statement.reach(request, action)
            if reach is None:
                continue
            match = Match(named.name, statement.sid, statement.index, statement.effect)
            if statement.effect is Effect.ALLOW:
                self.allows.append((match, reach))
            elif not _frees_root(named.policy.kind, request, action):
                self.denies.append(match)


def evaluate(request: Request, policies: Policies) -> Decision:
    """Decide one request; see the module for the order."""
    action = request.action.lower()
    identity = _scan(policies.identity, request, action)
    resource = _scan((policies.resource, policies.registry), request, action)
    boundary = _scan((policies.boundary,), request, action)
    sessions = _scan(policies.sessions, request, action)
    denies = [*identity.denies, *resource.denies, *boundary.denies, *sessions.denies]
    if denies:
        return Decision(Outcome.EXPLICIT_DENY, tuple(denies))
    limits = _Limits(
        boundary=None if policies.boundary is None else boundary.matches,
        sessions=sessions.matches if policies.sessions else None,
    )
    return _decide_allows(request, policies, identity, resource, limits)


@dataclass(frozen=True, slots=True)
class _Limits:
    """What the boundary and the session policies allow; None where there is none."""

    boundary: list[Match] | None
    sessions: list[Match] | None

    @property
    def lack(self) -> Lack | None:
        if self.boundary is not None and not self.boundary:
            return Lack.BOUNDARY
        return Lack.SESSION if self.sessions is not None and not self.sessions else None

    @property
    def matches(self) -> list[Match]:
        return [*(self.boundary or ()), *(self.sessions or ())]


def _decide_allows(
    request: Request, policies: Policies, identity: _Found, resource: _Found, limits: _Limits
) -> Decision:
    requester = request.requester
    same_account = _account_of(request.resource) in {"", requester.account_id}
    if not requester.account_id:
        return _allowed_if(resource.matches, Lack.RESOURCE)
    if not same_account:
        return _decide_across_accounts(request, identity, resource, limits)
    if requester.is_root:
        is_limited = limits.sessions is not None and not limits.sessions
        return Decision(Outcome.IMPLICIT_DENY, lack=Lack.SESSION) if is_limited else Decision(Outcome.ALLOWED)
    direct = _direct(resource, limits)
    grants = [match for match, reach in resource.allows if reach is not Reach.ACCOUNT]
    if resource.allows or not _is_trust(policies.resource):
        grants = [*identity.matches, *grants]
    if not grants:
        return Decision(Outcome.IMPLICIT_DENY, lack=Lack.IDENTITY if resource.allows else Lack.GRANT)
    if limits.lack is not None:
        return _allowed_if(direct, limits.lack)
    rests_on_limits = len(grants) > len(direct)
    return Decision(Outcome.ALLOWED, (*grants, *limits.matches) if rests_on_limits else tuple(grants))


def _decide_across_accounts(request: Request, identity: _Found, resource: _Found, limits: _Limits) -> Decision:
    """Both accounts must allow; a root user speaks for its own."""
    if not resource.allows:
        return Decision(Outcome.IMPLICIT_DENY, lack=Lack.RESOURCE)
    if request.requester.is_root:
        return Decision(Outcome.ALLOWED, tuple(resource.matches))
    lack = limits.lack if identity.allows else Lack.IDENTITY
    if lack is not None:
        return Decision(Outcome.IMPLICIT_DENY, lack=lack)
    return Decision(Outcome.ALLOWED, (*identity.matches, *resource.matches, *limits.matches))


def _allowed_if(grants: list[Match], lack: Lack) -> Decision:
    return Decision(Outcome.ALLOWED, tuple(grants)) if grants else Decision(Outcome.IMPLICIT_DENY, lack=lack)


def _direct(resource: _Found, limits: _Limits) -> list[Match]:
    """The grants that no boundary or session policy limits."""
    least = Reach.DIRECT if limits.sessions is not None else Reach.USER
    return [match for match, reach in resource.allows if reach >= least]


def _is_trust(named: NamedPolicy | None) -> bool:
    return named is not None and named.policy.kind is PolicyKind.TRUST


def _scan(policies: Iterable[NamedPolicy | None], request: Request, action: str) -> _Found:
    found = _Found()
    for named in policies:
        if named is not None:
            found.scan(named, request, action)
    return found


def _frees_root(kind: PolicyKind, request: Request, action: str) -> bool:
    """Whether this is the root user of the resource's account, about to mend the policy that denies."""
    requester = request.requester
    if not requester.is_root or action not in _OWN_POLICY_ACTIONS.get(kind, ()):
        return False
    return _account_of(request.resource) in {"", requester.account_id}


def _account_of(resource: str) -> str:
    """The account that owns the resource; empty for the registry itself, which every account here shares."""
    parts = resource.split(":", _ARN_PARTS - 1)
    return parts[_ACCOUNT] if len(parts) == _ARN_PARTS and parts[_ACCOUNT].isdigit() else ""
