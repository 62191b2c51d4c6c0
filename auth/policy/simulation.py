"""One request and the policies for it in a line of JSON, the decision in a line of JSON; no database is asked.

A line holds `principal`, `action`, `resource`, `context`, `identity_policies`, `resource_policy` and
`permissions_boundary`, and may hold `session_policies` and `registry_policy`. What is left out or null is none: no
principal is an anonymous caller, no resource the registry itself. A document is an object, or a string that holds one;
a context value is a string, number or Boolean, or a list of them. `aws:PrincipalArn` and `aws:PrincipalAccount` follow
from the principal where the context does not give them; every other key is as the context says.
"""

import json
from collections.abc import Iterator

from auth.policy.context import Context
from auth.policy.document import PolicyKind, Request
from auth.policy.evaluation import Decision, NamedPolicy, Policies, evaluate
from auth.policy.findings import Findings, PolicyInvalid
from auth.policy.members import items_of, members_of, text_of, value_of
from auth.policy.parsing import parse_policy
from auth.policy.reading import Array, JsonInvalid, Member, Node, Number, Scalar, read_json
from auth.policy.requesters import ANYBODY, Requester


class SimulationInvalid(ValueError):
    """The line is no request that could be simulated."""


def simulate_line(line: str) -> str:
    """Answer one line: `decision` and `statements`, or `error` with what is wrong."""
    try:
        decision = _simulate(line)
    except (SimulationInvalid, JsonInvalid) as error:
        return json.dumps({"error": str(error)})
    return json.dumps(
        {
            "decision": decision.outcome.value,
            "statements": [
                {"policy": match.policy, "sid": match.sid, "effect": match.effect.value} for match in decision.matches
            ],
        }
    )


def _simulate(line: str) -> Decision:
    findings = Findings(line)
    members = {
        name: member
        for name, member in members_of(read_json(line), "", findings, known=None).items()
        if not (isinstance(member.node, Scalar) and member.node.value is None)
    }
    requester = _requester(members.get("principal"), findings)
    action = _text(members.get("action"), findings)
    resource = _text(members.get("resource"), findings)
    facts = _facts(members.get("context"), requester, findings)
    if findings.has_errors:
        raise SimulationInvalid("; ".join(f"{finding.field}: {finding.message}" for finding in findings.in_order()))
    if not action:
        raise SimulationInvalid("action: name the action to decide, such as ecr:BatchGetImage")
    return evaluate(Request(requester, action, resource or "*", Context(facts)), _policies(line, members))


def _requester(member: Member | None, findings: Findings) -> Requester:
    arn = _text(member, findings)
    if arn in {"", "*"}:
        return ANYBODY
    try:
        return Requester.of_arn(arn)
    except ValueError as error:
        raise SimulationInvalid(f"principal: {error}") from error


def _text(member: Member | None, findings: Findings) -> str:
    text = text_of(member.node, member.name, findings) if member is not None else None
    return text.value if text is not None else ""


def _facts(member: Member | None, requester: Requester, findings: Findings) -> dict[str, list[str]]:
    given: dict[str, list[str]] = {}
    if member is not None:
        for key, fact in members_of(member.node, member.name, findings, known=None).items():
            given[key] = list(_values(fact.node, f"{member.name}.{key}", findings))
    present = {key.lower() for key in given}
    if requester.account_id:
        arn = requester.role_arn or requester.arn
        facts = {"aws:PrincipalArn": [arn], "aws:PrincipalAccount": [requester.account_id]}
        given |= {key: values for key, values in facts.items() if key.lower() not in present}
    return given


def _values(node: Node, field: str, findings: Findings) -> Iterator[str]:
    """The values of a context key; null is no value."""
    for item, path in items_of(node, field):
        if isinstance(item, Scalar) and item.value is None:
            continue
        value = value_of(item, path, findings)
        if value is not None:
            yield value.value


def _policies(line: str, members: dict[str, Member]) -> Policies:
    boundary = _policy(line, members, "permissions_boundary", PolicyKind.IDENTITY)
    return Policies(
        identity=_several(line, members, "identity_policies"),
        resource=_policy(line, members, "resource_policy", PolicyKind.RESOURCE),
        registry=_policy(line, members, "registry_policy", PolicyKind.REGISTRY),
        boundary=boundary,
        sessions=_several(line, members, "session_policies"),
    )


def _several(line: str, members: dict[str, Member], name: str) -> tuple[NamedPolicy, ...]:
    if name not in members:
        return ()
    node = members[name].node
    nodes = node.items if isinstance(node, Array) else (node,)
    return tuple(_named(line, item, f"{name}[{index}]", PolicyKind.IDENTITY) for index, item in enumerate(nodes))


def _policy(line: str, members: dict[str, Member], name: str, kind: PolicyKind) -> NamedPolicy | None:
    return _named(line, members[name].node, name, kind) if name in members else None


def _named(line: str, node: Node, name: str, kind: PolicyKind) -> NamedPolicy:
    """Read one document from where it stands in the line, so that repeated members are seen."""
    text = line[node.start : node.end]
    if isinstance(node, Scalar) and isinstance(node.value, str) and not isinstance(node.value, Number):
        text = node.value
    try:
        return NamedPolicy(name, parse_policy(text, kind))
    except PolicyInvalid as error:
        raise SimulationInvalid(f"{name}: {error}") from error
