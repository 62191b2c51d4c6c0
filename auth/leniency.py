"""What policies might allow, asked before everything about a request is known.

- A token is fetched before the client says which tag it means, and a catalog is asked for without naming a repository.
- These answers only open the way to the real question: each request, and each name, is still decided by itself.
- Where nobody will ask again, the strict answer is the one to take.
"""

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Final

from auth.policy.context import NO_CONTEXT
from auth.policy.document import Effect, Policy, Statement
from auth.policy.evaluation import NamedPolicy, Policies

_KEYS_OF_IMAGES: Final = frozenset({"ecr:imagetag", "ecr:imagedigest", "ecr:artifacttype"})


def without_image_conditions(policies: Policies) -> Policies:
    """The policies as if every image met the conditions of an Allow, and none those of a Deny."""
    return _each(_lenient, policies)


def against_image_conditions(policies: Policies) -> Policies:
    """The policies as if no image met the conditions of an Allow, and every one those of a Deny."""
    return _each(_strict, policies)


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


def _each(change: Callable[[NamedPolicy], NamedPolicy], policies: Policies) -> Policies:
    return Policies(
        identity=tuple(map(change, policies.identity)),
        resource=policies.resource and change(policies.resource),
        registry=policies.registry and change(policies.registry),
        boundary=policies.boundary and change(policies.boundary),
        sessions=tuple(map(change, policies.sessions)),
    )


def _lenient(named: NamedPolicy) -> NamedPolicy:
    return _decided_for_all_images(named, dropped=Effect.DENY)


def _strict(named: NamedPolicy) -> NamedPolicy:
    return _decided_for_all_images(named, dropped=Effect.ALLOW)


def _decided_for_all_images(named: NamedPolicy, *, dropped: Effect) -> NamedPolicy:
    """Statements of one effect go where they ask for an image; those of the other stop asking."""
    policy = named.policy
    statements = tuple(
        _without_image_keys(statement)
        for statement in policy.statements
        if statement.effect is not dropped or not _asks_for_image(statement)
    )
    return NamedPolicy(named.name, Policy(policy.kind, policy.version, policy.id, statements))


def _asks_for_image(statement: Statement) -> bool:
    return any(condition.key in _KEYS_OF_IMAGES for condition in statement.conditions)


def _without_image_keys(statement: Statement) -> Statement:
    kept = tuple(condition for condition in statement.conditions if condition.key not in _KEYS_OF_IMAGES)
    return replace(statement, conditions=kept)
