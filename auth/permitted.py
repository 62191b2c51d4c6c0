"""What was permitted to the bearers of tokens, kept while nothing has changed that the decision rests on.

- Only what was allowed is kept: a refusal is worked out anew, with its reasons.
- Where a policy looks at facts of a request, only a request with the very same facts finds the decision again.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from auth.callers import Caller
from auth.policy.document import Statement
from auth.policy.evaluation import NamedPolicy, Policies
from auth.principals import Fact

Facts = Mapping[str, Fact]
DecisionT = TypeVar("DecisionT")

_MOST_KEPT: Final = 16_384


@dataclass(frozen=True, slots=True)
class _Kept(Generic[DecisionT]):
    """Why a caller was allowed; `facts` are those that it took, None where any would have done."""

    caller: Caller
    facts: Facts | None
    decision: DecisionT


class Permitted(Generic[DecisionT]):
    """The decisions of one process, for as long as its directory has not changed."""

    def __init__(self) -> None:
        self._edition: object = None
        self._kept: dict[tuple[int, str, str], _Kept[DecisionT]] = {}

    def find(
        self, edition: object, caller: Caller, action: str, resource: str, facts: Facts | None
    ) -> DecisionT | None:
        """Why this very caller was allowed to do this, if it was and nothing has changed since.

        Where not all facts are known, for None, it is only what none of them could have decided otherwise.
        """
        if edition is not self._edition:
            return None
        kept = self._kept.get((id(caller), action, resource))
        # The caller that is kept keeps its id from being another's.
        if kept is None or kept.caller is not caller:
            return None
        return kept.decision if kept.facts is None or kept.facts == facts else None

    def keep(
        self, edition: object, caller: Caller, action: str, resource: str, facts: Facts | None, decision: DecisionT
    ) -> None:
        """Keep that the caller was allowed to do this, with these facts or, for None, with any."""
        if edition is not self._edition or len(self._kept) >= _MOST_KEPT:
            self._edition = edition
            self._kept.clear()
        self._kept[id(caller), action, resource] = _Kept(caller, facts, decision)


def are_about_everything(policies: Policies) -> bool:
    """Whether these policies decide alike for every repository that has no policy and no tags."""
    return all(map(_is_about_everything, _every(policies)))


def _every(policies: Policies) -> Iterator[NamedPolicy]:
    yield from (*policies.identity, *policies.sessions)
    yield from filter(None, (policies.resource, policies.registry, policies.boundary))


def _is_about_everything(named: NamedPolicy) -> bool:
    every = (statement.resources for statement in named.policy.statements)
    return all(resources is None or (resources.patterns.everything and not resources.negated) for resources in every)


def look_at_facts(policies: Policies) -> bool:
    """Whether any of these policies may decide otherwise for a request with other facts."""
    return any(map(_looks_at_facts, _every(policies)))


def _looks_at_facts(named: NamedPolicy) -> bool:
    return any(map(_has_conditions_or_variables, named.policy.statements))


def _has_conditions_or_variables(statement: Statement) -> bool:
    resources = statement.resources
    return bool(statement.conditions) or (resources is not None and bool(resources.patterns.templates))
