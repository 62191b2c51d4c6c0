"""A policy that was read, checked and compiled: values that only answer whether they apply."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from auth.policy.conditions import Condition
from auth.policy.context import Context
from auth.policy.patterns import PatternSet
from auth.policy.requesters import Principals, Reach, Requester


class PolicyKind(StrEnum):
    """What a policy is attached to, which decides what it must and must not say."""

    IDENTITY = "identity"
    """Users, groups and roles; permissions boundaries and session policies are written the same."""
    RESOURCE = "resource"
    """A repository."""
    REGISTRY = "registry"
    """The registry with all its repositories."""
    TRUST = "trust"
    """A role: who may assume it."""


class Effect(StrEnum):
    """What a statement does when it applies."""

    ALLOW = "Allow"
    DENY = "Deny"


VERSIONS: Final = ("2008-10-17", "2012-10-17")
"""The versions of the language, oldest first; the oldest is meant when none is named, and knows no variables."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: the facts in `context` are all that conditions and variables see."""

    requester: Requester
    action: str
    resource: str
    context: Context


@dataclass(frozen=True, slots=True)
class Actions:
    """Action, or NotAction when negated."""

    patterns: PatternSet
    negated: bool


@dataclass(frozen=True, slots=True)
class Resources:
    """Resource, or NotResource when negated."""

    patterns: PatternSet
    negated: bool


@dataclass(frozen=True, slots=True)
class Audience:
    """Principal, or NotPrincipal when negated."""

    principals: Principals
    negated: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement; `resources` is None where it is about the resource that carries it, `audience` in identities'."""

    index: int
    sid: str | None
    effect: Effect
    actions: Actions
    resources: Resources | None
    audience: Audience | None
    conditions: tuple[Condition, ...]

    def reach(self, request: Request, action: str) -> Reach | None:
        """How directly the statement applies to the request; None if it does not. `action` is in lower case."""
        context = request.context
        actions, resources = self.actions, self.resources
        if actions.patterns.matches(action, context) is actions.negated:
            return None
        if resources is not None and resources.patterns.matches(request.resource, context) is resources.negated:
            return None
        reach = Reach.DIRECT if self.audience is None else self._audience_reach(self.audience, request.requester)
        if reach is None:
            return None
        for condition in self.conditions:
            if not condition.holds(context):
                return None
        return reach

    def _audience_reach(self, audience: Audience, requester: Requester) -> Reach | None:
        if not audience.negated:
            return audience.principals.reach(requester)
        excepted = audience.principals.excepts(requester, whole_accounts=self.effect is Effect.ALLOW)
        # AWS does not say how far Allow with NotPrincipal reaches; as for a role, boundaries and sessions limit it.
        return None if excepted else Reach.ROLE


@dataclass(frozen=True, slots=True)
class Policy:
    """A valid policy document, ready to be asked."""

    kind: PolicyKind
    version: str
    id: str | None
    statements: tuple[Statement, ...]
