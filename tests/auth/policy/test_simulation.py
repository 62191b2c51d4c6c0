"""One line in, one line out: the contract of `lading policy simulate --input`."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.policy.simulation import simulate_line
from tests.auth.policy.table import ALICE, APP, PULL, PUSH, ROLE, ROOT, SESSION, Json, allow, deny, grant, refuse

WHOLE: dict[str, Any] = {
    "principal": ALICE,
    "action": PULL,
    "resource": APP,
    "context": {"aws:username": ["alice"]},
    "identity_policies": [],
    "resource_policy": None,
    "permissions_boundary": None,
}


def policy(*statements: Json) -> dict[str, Any]:
    return {"Version": "2012-10-17", "Statement": list(statements)}


def simulate(**changes: Any) -> Any:
    answer = simulate_line(json.dumps(WHOLE | changes))
    assert "\n" not in answer
    return json.loads(answer)


def test_nothing_allows() -> None:
    """The default is to deny, and no statement said so."""
    assert simulate() == {"decision": "implicitDeny", "statements": []}


def test_an_identity_policy_allows() -> None:
    """The answer names the policy by its place in the request."""
    answer = simulate(identity_policies=[policy(allow(PUSH, Sid="Push")), policy(allow(PULL, Sid="Pull"))])

    assert answer == {
        "decision": "allowed",
        "statements": [{"policy": "identity_policies[1]", "sid": "Pull", "effect": "Allow"}],
    }


def test_a_statement_without_sid_has_none() -> None:
    """What has no name is not given one."""
    answer = simulate(identity_policies=[policy(allow())])

    assert answer["statements"] == [{"policy": "identity_policies[0]", "sid": None, "effect": "Allow"}]


def test_a_resource_policy_denies() -> None:
    """An explicit denial names the denials only."""
    answer = simulate(
        identity_policies=[policy(allow(Sid="All"))], resource_policy=policy(refuse({"AWS": ALICE}, Sid="No"))
    )

    assert answer == {
        "decision": "explicitDeny",
        "statements": [{"policy": "resource_policy", "sid": "No", "effect": "Deny"}],
    }


def test_a_permissions_boundary_limits() -> None:
    """Identity and boundary must both allow."""
    identity = [policy(allow(Sid="All"))]

    limited = simulate(identity_policies=identity, permissions_boundary=policy(allow(PUSH)))
    within = simulate(identity_policies=identity, permissions_boundary=policy(allow(PULL, Sid="Limit")))

    assert limited == {"decision": "implicitDeny", "statements": []}
    assert within == {
        "decision": "allowed",
        "statements": [
            {"policy": "identity_policies[0]", "sid": "All", "effect": "Allow"},
            {"policy": "permissions_boundary", "sid": "Limit", "effect": "Allow"},
        ],
    }


@pytest.mark.parametrize(
    "value", [["true"], "true", True, [True], ["x", "true"]], ids=["list", "string", "boolean", "booleans", "several"]
)
def test_context_values_may_be_written_in_several_ways(value: Any) -> None:
    """A single value need not stand in a list, nor a Boolean in quotation marks."""
    answer = simulate(
        context={"AWS:SecureTransport": value, "aws:EpochTime": 7, "jwt:nothing": None},
        identity_policies=[
            policy(
                allow(
                    Condition={
                        "Bool": {"aws:SecureTransport": "true"},
                        "NumericEquals": {"aws:EpochTime": "7"},
                        "Null": {"jwt:nothing": "true"},
                    }
                )
            )
        ],
    )

    assert answer["decision"] == "allowed"


def test_documents_may_be_strings() -> None:
    """A document can be given as the text that was stored."""
    answer = simulate(
        identity_policies=[json.dumps(policy(allow()), indent=2)], resource_policy=json.dumps(policy(refuse("*", PUSH)))
    )

    assert answer["decision"] == "allowed"


def test_a_single_document_may_stand_for_a_list() -> None:
    """One identity policy needs no brackets."""
    assert simulate(identity_policies=policy(allow()))["decision"] == "allowed"


@pytest.mark.parametrize(
    "missing", ["resource", "context", "identity_policies", "resource_policy", "permissions_boundary"]
)
def test_what_is_left_out_is_none(missing: str) -> None:
    """Only the action must be named."""
    request = {"identity_policies": [policy(allow())]} | {"principal": ALICE, "action": PULL, "resource": APP}
    request.pop(missing, None)

    answer = json.loads(simulate_line(json.dumps(request)))

    assert answer["decision"] == ("implicitDeny" if missing == "identity_policies" else "allowed")


@pytest.mark.parametrize("principal", [None, "", "*", "anonymous"])
def test_no_principal_is_an_anonymous_caller(principal: str | None) -> None:
    """Whoever gave no credentials has what is granted to everyone."""
    assert simulate(principal=principal, resource_policy=policy(grant("*")))["decision"] == "allowed"
    assert simulate(principal=principal, identity_policies=[policy(allow())])["decision"] == "implicitDeny"


@pytest.mark.parametrize(("principal", "arn"), [(ALICE, ALICE), (SESSION, ROLE), (ROOT, ROOT)])
def test_the_principal_is_in_the_context(principal: str, arn: str) -> None:
    """aws:PrincipalArn is part of every request; for a session it is the role's."""
    answer = simulate(principal=principal, resource_policy=policy(
        refuse("*", Condition={"ArnEquals": {"aws:PrincipalArn": arn}})))  # fmt: skip

    assert answer["decision"] == "explicitDeny"


def test_the_context_wins_over_what_follows_from_the_principal() -> None:
    """A simulation may say anything."""
    answer = simulate(
        context={"AWS:PRINCIPALARN": ROLE},
        identity_policies=[policy(allow(Condition={"ArnEquals": {"aws:PrincipalArn": ROLE}}))],
    )

    assert answer["decision"] == "allowed"


def test_the_root_user_needs_no_policy() -> None:
    """Its account's ARN ends in root."""
    assert simulate(principal=ROOT) == {"decision": "allowed", "statements": []}


def test_session_and_registry_policies_may_be_given() -> None:
    """They limit and grant as they do in a running registry."""
    registry = policy(grant("*", Resource="*", Sid="Registry"))

    assert simulate(registry_policy=registry)["statements"][0]["policy"] == "registry_policy"
    assert (
        simulate(identity_policies=[policy(allow())], session_policies=[policy(allow(PUSH))])["decision"]
        == "implicitDeny"
    )


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        (
            {"identity_policies": [policy(allow()), policy(allow(Principal="*"))]},
            "identity_policies[1]: invalid policy:",
        ),
        (
            {"identity_policies": [policy(allow("ecr:Pull"))]},
            "Statement[0].Action: The action ecr:Pull does not exist.",
        ),
        ({"resource_policy": policy(allow())}, "resource_policy: invalid policy: line 1, Statement[0].Principal"),
        ({"permissions_boundary": "{"}, "permissions_boundary: invalid policy: line 1: Fix the JSON syntax error"),
        ({"permissions_boundary": 7}, "permissions_boundary: invalid policy:"),
        ({"principal": "alice"}, "principal:"),
        ({"action": None}, "action:"),
        ({"action": 7}, "action:"),
        ({"context": []}, "context:"),
        ({"context": {"aws:username": {}}}, "context.aws:username:"),
    ],
)
def test_errors(changes: dict[str, Any], says: str) -> None:
    """An invalid document or request is answered, not raised, and the answer says which and why."""
    answer = simulate(**changes)

    assert list(answer) == ["error"]
    assert says in answer["error"]


def test_repeated_members_are_seen_inside_the_line() -> None:
    """A document given as an object is read as strictly as one given as text."""
    statement = '{"Effect": "Deny", "Effect": "Allow", "Action": "*", "Resource": "*"}'

    answer = json.loads(
        simulate_line(f'{{"action": "ecr:PutImage", "identity_policies": [{{"Statement": {statement}}}]}}')
    )

    assert "Effect appears more than once" in answer["error"]


@given(
    st.text()
    | st.dictionaries(st.sampled_from(list(WHOLE)), st.none() | st.text() | st.lists(st.text())).map(json.dumps)
)
def test_any_line_is_answered(line: str) -> None:
    """No line raises, and every answer is one line of JSON with a decision or an error."""
    answer = json.loads(simulate_line(line))

    assert set(answer) in ({"decision", "statements"}, {"error"})


def test_a_denial_by_identity_policy() -> None:
    """All that denied is named, in the order of the policies."""
    answer = simulate(identity_policies=[policy(deny(Sid="A")), policy(allow(), deny(PULL, Sid="B"))])

    assert [statement["sid"] for statement in answer["statements"]] == ["A", "B"]
