"""What policies might allow."""

import json
from typing import Any

import pytest

from auth.leniency import KEYS_OF_IMAGES, against_image_conditions, allows_somewhere, without_conditions_on
from auth.policy.context import NO_CONTEXT
from auth.policy.document import PolicyKind, Request
from auth.policy.evaluation import NamedPolicy, Outcome, Policies, evaluate
from auth.policy.parsing import parse_policy
from auth.policy.requesters import Requester

ALICE = Requester.of_arn("arn:aws:iam::123456789012:user/alice")
APP = "arn:aws:ecr:local:123456789012:repository/app"
TAGGED = {"StringLike": {"ecr:ImageTag": "dev-*"}}


def policy(*statements: dict[str, Any]) -> NamedPolicy:
    return NamedPolicy("p", parse_policy(json.dumps({"Statement": statements}), PolicyKind.IDENTITY))


def statement(effect: str, action: str = "ecr:PutImage", **members: Any) -> dict[str, Any]:
    return {"Effect": effect, "Action": action, "Resource": "*", **members}


@pytest.mark.parametrize(
    ("statements", "outcome"),
    [
        ([statement("Allow", Condition=TAGGED)], Outcome.ALLOWED),
        ([statement("Allow"), statement("Deny", Condition=TAGGED)], Outcome.ALLOWED),
        ([statement("Allow"), statement("Deny", Condition={"StringNotLike": TAGGED["StringLike"]})], Outcome.ALLOWED),
        ([statement("Allow", Condition={"StringEquals": {"aws:username": "bob"}})], Outcome.IMPLICIT_DENY),
        ([statement("Allow", Condition=TAGGED | {"Bool": {"aws:SecureTransport": True}})], Outcome.IMPLICIT_DENY),
        ([statement("Allow", Condition=TAGGED), statement("Deny")], Outcome.EXPLICIT_DENY),
        ([], Outcome.IMPLICIT_DENY),
    ],
)
def test_images_that_are_not_named_yet_meet_every_condition(statements: list[dict[str, Any]], outcome: Outcome) -> None:
    """For a token; whatever else the policies ask for is asked for."""
    policies = Policies(identity=(policy(*statements),) if statements else ())

    found = evaluate(Request(ALICE, "ecr:PutImage", APP, NO_CONTEXT), without_conditions_on(KEYS_OF_IMAGES, policies))

    assert found.outcome is outcome


@pytest.mark.parametrize(
    ("statements", "outcome"),
    [
        ([statement("Allow", Condition=TAGGED)], Outcome.IMPLICIT_DENY),
        ([statement("Allow", Condition={"StringLikeIfExists": TAGGED["StringLike"]})], Outcome.IMPLICIT_DENY),
        ([statement("Allow"), statement("Deny", Condition=TAGGED)], Outcome.EXPLICIT_DENY),
        (
            [statement("Allow"), statement("Deny", Condition={"StringNotLike": TAGGED["StringLike"]})],
            Outcome.EXPLICIT_DENY,
        ),
        ([statement("Allow"), statement("Deny", Condition={"Bool": {"aws:SecureTransport": True}})], Outcome.ALLOWED),
        ([statement("Allow"), statement("Allow", Condition=TAGGED)], Outcome.ALLOWED),
        ([], Outcome.IMPLICIT_DENY),
    ],
)
def test_where_nobody_asks_again_every_condition_on_images_goes_against(
    statements: list[dict[str, Any]], outcome: Outcome
) -> None:
    """What is allowed then is allowed for every image."""
    policies = Policies(identity=(policy(*statements),) if statements else ())

    found = evaluate(Request(ALICE, "ecr:PutImage", APP, NO_CONTEXT), against_image_conditions(policies))

    assert found.outcome is outcome


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (statement("Allow", "ecr:*"), True),
        (statement("Allow", "ecr:describerepositories", Resource=APP), True),
        (statement("Allow"), False),
        (statement("Deny", "ecr:*"), False),
        ({"Effect": "Allow", "NotAction": "ecr:PutImage", "Resource": "*"}, True),
        ({"Effect": "Allow", "NotAction": "ecr:Describe*", "Resource": "*"}, False),
    ],
)
def test_action_is_allowed_somewhere_or_nowhere(given: dict[str, Any], expected: bool) -> None:  # noqa: FBT001  a table
    """Whatever the resource is."""
    assert allows_somewhere([policy(given)], "ecr:DescribeRepositories") is expected
