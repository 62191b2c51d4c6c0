"""What policies might allow, asked before everything about a request is known.

- A token is fetched before the client says which tag it means, and a catalog is asked for without naming a repository.
- These answers only open the way to the real question: each request, and each name, is still decided by itself.
- Where nobody will ask again, the strict answer is the one to take.
"""

from collections.abc import Collection, Iterable
from dataclasses import replace
from typing import Final

from auth.policy.context import NO_CONTEXT
from auth.policy.document import Effect, Policy, Statement
from auth.policy.evaluation import NamedPolicy, Policies

ARTIFACT_TYPE: Final = frozenset({"ecr:artifacttype"})
"""What a push does not tell before its manifest is read."""
KEYS_OF_IMAGES: Final = frozenset({"ecr:imagetag", "ecr:imagedigest"}) | ARTIFACT_TYPE
"""What nobody knows when a token is fetched."""


def without_conditions_on(keys: Collection[str], policies: Policies) -> Policies:
    """The policies as if any values of these keys met the conditions of an Allow, and none those of a Deny."""
    return _decided_for_all(keys, policies, dropped=Effect.DENY)


def against_image_conditions(policies: Policies) -> Policies:
    """The policies as if no image met the conditions of an Allow, and every one those of a Deny."""
    return _decided_for_all(KEYS_OF_IMAGES, policies, dropped=Effect.ALLOW)


def allows_somewhere(policies: Iterable[NamedPolicy], action: str) -> bool:
    """Whether any statement allows the action on anything at all."""
    lowered = action.lower()
    return any(
        statement.effect is Effect.ALLOW
        and statement.actions.patterns.matches(lowered, NO_CONTEXT) is not statement.actions.negated
        for named in policies
        for statement in named.policy.statements
    )


def allows_any(policies: Iterable[NamedPolicy], actions: Iterable[str]) -> bool:
    """Whether any statement allows any of the actions on anything at all."""
    kept = tuple(policies)
    return any(allows_somewhere(kept, action) for action in actions)


def _decided_for_all(keys: Collection[str], policies: Policies, *, dropped: Effect) -> Policies:
    """Statements of one effect go where they ask for a key; those of the other stop asking."""

    def change(named: NamedPolicy) -> NamedPolicy:
        policy = named.policy
        if not any(_asks(statement, keys) for statement in policy.statements):
            return named
        statements = tuple(
            _without(statement, keys)
            for statement in policy.statements
            if statement.effect is not dropped or not _asks(statement, keys)
        )
        return NamedPolicy(named.name, Policy(policy.kind, policy.version, policy.id, statements))

    return Policies(
        identity=tuple(map(change, policies.identity)),
        resource=policies.resource and change(policies.resource),
        registry=policies.registry and change(policies.registry),
        boundary=policies.boundary and change(policies.boundary),
        sessions=tuple(map(change, policies.sessions)),
    )


def _asks(statement: Statement, keys: Collection[str]) -> bool:
    return any(condition.key in keys for condition in statement.conditions)


def _without(statement: Statement, keys: Collection[str]) -> Statement:
    kept = tuple(condition for condition in statement.conditions if condition.key not in keys)
    return replace(statement, conditions=kept)
