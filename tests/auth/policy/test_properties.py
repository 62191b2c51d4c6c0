"""What holds of every set of policies, and agreement with an evaluator written for clarity alone."""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.auth.policy.table import (
    ACCOUNT,
    ALICE,
    ALLOWED,
    BOB,
    DENIED,
    NOTHING,
    PULL,
    PUSH,
    ROLE,
    ROOT,
    SESSION,
    STRANGER,
    Json,
    allow,
    decide,
    deny,
    request,
)

NAMES = ["a", "ab", "b"]
REPOSITORIES = [f"arn:aws:ecr:local:{ACCOUNT}:repository/{name}" for name in NAMES]
PRINCIPALS = [ALICE, BOB, SESSION, STRANGER, ROOT, "anonymous"]

_names = st.sampled_from(NAMES)
_actions = st.sampled_from([PULL, PUSH, "ecr:*", "ecr:Put*", "*"])
_resources = st.sampled_from([*REPOSITORIES, "*", REPOSITORIES[0] + "*", f"arn:aws:ecr:*:*:repository/?{NAMES[2]}"])
_operators = st.sampled_from(
    [prefix + name for prefix in ("", "ForAllValues:", "ForAnyValue:")
     for name in ("StringEquals", "StringNotEquals", "StringEqualsIfExists", "StringNotEqualsIfExists")] + ["Null"]
)  # fmt: skip
_keys = st.sampled_from(["jwt:a", "jwt:b"])


@st.composite
def _conditions(draw: st.DrawFn) -> Any:
    operators = draw(st.lists(_operators, max_size=2, unique=True))
    values = {name: st.sampled_from(["true", "false"]) if name == "Null" else st.lists(_names, max_size=2)
              for name in operators}  # fmt: skip
    return {name: draw(st.dictionaries(_keys, values[name], min_size=1, max_size=2)) for name in operators}


def _statements(*, principals: bool) -> st.SearchStrategy[Json]:
    parts: dict[str, Any] = {"Effect": st.sampled_from(["Allow", "Deny"]), "Condition": _conditions()}
    action = st.sampled_from(["Action", "Action", "NotAction"])
    resource = st.sampled_from(["Resource", "Resource", "NotResource"])
    named = st.lists(st.sampled_from([ALICE, BOB, ROLE, SESSION, STRANGER, "*", ACCOUNT]), min_size=1, max_size=2)
    if principals:
        parts["Principal"] = named.map(lambda names: {"AWS": names})
    return st.builds(
        lambda base, action, resource, actions, resources: base | {action: actions, resource: resources},
        st.fixed_dictionaries(parts), action, resource,
        st.lists(_actions, min_size=1, max_size=2), st.lists(_resources, min_size=1, max_size=2),
    )  # fmt: skip


IDENTITY = st.lists(_statements(principals=False), max_size=3)
RESOURCE = st.lists(_statements(principals=True), max_size=3)
WORLDS = st.fixed_dictionaries({"identity": IDENTITY, "resource": RESOURCE, "boundary": IDENTITY, "session": IDENTITY})
CONTEXTS = st.dictionaries(_keys, st.lists(_names, max_size=2))
REQUESTS = st.builds(
    request,
    st.sampled_from(PRINCIPALS),
    st.sampled_from([PULL, PUSH]),
    st.sampled_from([*REPOSITORIES, "*"]),
    CONTEXTS,
)
World = Mapping[str, Sequence[Json]]
SORTS = st.sampled_from(["identity", "resource", "boundary", "session"])


def _with(world: World, sort: str, statement: Json) -> World:
    return {**world, sort: [*world[sort], {**statement, **({"Principal": "*"} if sort == "resource" else {})}]}


@given(WORLDS, REQUESTS, SORTS, _statements(principals=False))
def test_a_deny_never_widens(world: World, asked: Any, sort: str, statement: Json) -> None:
    """Whatever Deny is added to a policy that is there, nothing becomes allowed by it."""
    before = decide(asked, **world)
    if not world[sort] and sort in {"boundary", "session"}:
        return  # a policy that was not there limits by being there
    after = decide(asked, **_with(world, sort, {**statement, "Effect": "Deny"}))

    assert before.allowed or not after.allowed


@given(WORLDS, REQUESTS, SORTS, _statements(principals=False))
def test_an_allow_never_narrows(world: World, asked: Any, sort: str, statement: Json) -> None:
    """Whatever Allow is added to a policy that is there, nothing becomes denied by it."""
    before = decide(asked, **world)
    if not world[sort] and sort in {"boundary", "session"}:
        return  # a policy that was not there limits by being there
    after = decide(asked, **_with(world, sort, {**statement, "Effect": "Allow"}))

    assert after.allowed or not before.allowed


@given(WORLDS, REQUESTS, st.randoms(use_true_random=False))
def test_the_order_of_statements_is_irrelevant(world: World, asked: Any, random: Random) -> None:
    """A policy is a set of statements."""
    shuffled = {sort: random.sample(statements, len(statements)) for sort, statements in world.items()}

    assert decide(asked, **shuffled).outcome == decide(asked, **world).outcome


@given(WORLDS, REQUESTS)
def test_decisions_name_statements_of_the_effect_that_decided(world: World, asked: Any) -> None:
    """A denial is explained by denials, an allowance by allowances."""
    decision = decide(asked, **world)

    effects = {match.effect.value for match in decision.matches}
    assert effects <= {ALLOWED: {"Allow"}, DENIED: {"Deny"}, NOTHING: set()}[decision.outcome]
    assert effects or decision.outcome != DENIED


@given(WORLDS, REQUESTS)
def test_the_engine_agrees_with_the_reference(world: World, asked: Any) -> None:
    """The evaluator below reads the documents anew for every request and knows no compilation."""
    assert decide(asked, **world).outcome == _reference(asked, json.loads(json.dumps(world)))


@given(st.sampled_from([ALICE, BOB, SESSION]), CONTEXTS, st.sampled_from(REPOSITORIES))
def test_deny_everything_denies(principal: str, context: Any, repository: str) -> None:
    """Nothing that any policy says can undo it."""
    asked = request(principal, PULL, repository, context)

    assert decide(asked, identity=[allow(), deny()], resource=[allow(Principal="*")]).outcome == DENIED


def _reference(asked: Any, world: Mapping[str, Any]) -> str:
    """AWS's order, sentence by sentence."""
    who = asked.requester
    applying = {sort: [s for s in world[sort] if _applies(s, asked)] for sort in world}
    if any(s["Effect"] == "Deny" for statements in applying.values() for s in statements):
        return DENIED
    named = [name for s in applying["resource"] for name in s["Principal"]["AWS"] if _names_requester(name, who)]
    limited = any(world[sort] and not applying[sort] for sort in ("boundary", "session"))
    directly = "*" in named or SESSION in named or (set(named) & {ALICE, BOB} and not world["session"])
    if who.account_id == "":
        allowed = "*" in named
    elif asked.resource != "*" and who.account_id != ACCOUNT:
        allowed = bool(named) and bool(applying["identity"]) and not limited
    elif who.is_root:
        allowed = not world["session"] or bool(applying["session"])
    else:
        granted = applying["identity"] or [name for name in named if name != ACCOUNT]
        # A stranger's own ARN grants as any user's does, where the resource has no account.
        directly = directly or (STRANGER in named and not world["session"])
        allowed = bool(directly) or (bool(granted) and not limited)
    return ALLOWED if allowed else NOTHING


def _names_requester(name: str, who: Any) -> bool:
    return name in {"*", who.arn, who.role_arn} or (name == ACCOUNT == who.account_id)


def _applies(statement: Any, asked: Any) -> bool:
    actions = any(_like(p.lower(), asked.action.lower()) for p in statement.get("Action", statement.get("NotAction")))
    resources = any(_arn_like(p, asked.resource) for p in statement.get("Resource", statement.get("NotResource")))
    names = statement.get("Principal", {"AWS": ["*"]})["AWS"]
    return (
        actions is ("Action" in statement)
        and resources is ("Resource" in statement)
        and any(_names_requester(name, asked.requester) for name in names)
        and all(
            _holds(operator, asked.context.values(key), values)
            for operator, block in statement["Condition"].items()
            for key, values in block.items()
        )
    )


def _like(pattern: str, text: str) -> bool:
    if not pattern or not text:
        return not pattern.strip("*") and not text
    if pattern[0] == "*":
        return _like(pattern[1:], text) or _like(pattern, text[1:])
    return pattern[0] in {"?", text[0]} and _like(pattern[1:], text[1:])


def _arn_like(pattern: str, arn: str) -> bool:
    if pattern == "*":
        return True
    parts = arn.split(":", 5)
    return len(parts) == 6 and all(map(_like, pattern.split(":", 5), parts))


def _holds(operator: str, present: Sequence[str], wanted: Any) -> bool:
    if operator == "Null":
        return (wanted == "true") is (not present)
    negated = "Not" in operator
    if not present:
        return "IfExists" in operator or "ForAll" in operator or (negated and "ForAny" not in operator)
    each = [(value in wanted) is not negated for value in present]
    if "ForAny" in operator:
        return any(each)
    return all(each) if negated or "ForAll" in operator else any(each)
