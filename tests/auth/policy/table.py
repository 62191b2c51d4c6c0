"""What the tables of policy cases are written in: short statements, requests and documents."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from auth.policy.context import Context
from auth.policy.document import PolicyKind, Request
from auth.policy.evaluation import Decision, NamedPolicy, Policies, evaluate
from auth.policy.parsing import parse_policy
from auth.policy.requesters import Requester

ACCOUNT = "123456789012"
OTHER_ACCOUNT = "999999999999"
ALICE = f"arn:aws:iam::{ACCOUNT}:user/alice"
BOB = f"arn:aws:iam::{ACCOUNT}:user/bob"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ci"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/ci/build-7"
STRANGER = f"arn:aws:iam::{OTHER_ACCOUNT}:user/eve"
APP = f"arn:aws:ecr:local:{ACCOUNT}:repository/team/app"
PULL, PUSH = "ecr:BatchGetImage", "ecr:PutImage"
ALLOWED, DENIED, NOTHING = "allowed", "explicitDeny", "implicitDeny"

Json = dict[str, Any]
Values = str | Sequence[str]


def allow(action: Values = "*", resource: Values | None = "*", /, **others: Any) -> Json:
    """An Allow; `resource=None` leaves Resource out, other elements are given by name."""
    return _statement("Allow", action, resource, others)


def deny(action: Values = "*", resource: Values | None = "*", /, **others: Any) -> Json:
    """A Deny, written the same."""
    return _statement("Deny", action, resource, others)


def grant(principal: Any, action: Values = "*", /, **others: Any) -> Json:
    """An Allow of a repository's policy."""
    return _statement("Allow", action, None, {"Principal": principal, **others})


def refuse(principal: Any, action: Values = "*", /, **others: Any) -> Json:
    """A Deny of a repository's policy."""
    return _statement("Deny", action, None, {"Principal": principal, **others})


def document(*statements: Json, version: str | None = "2012-10-17") -> str:
    """A policy of these statements."""
    return json.dumps(({"Version": version} if version else {}) | {"Statement": list(statements)})


def named(name: str, kind: PolicyKind, *statements: Json, version: str | None = "2012-10-17") -> NamedPolicy:
    return NamedPolicy(name, parse_policy(document(*statements, version=version), kind))


def identity(*statements: Json, version: str | None = "2012-10-17") -> NamedPolicy:
    return named("identity", PolicyKind.IDENTITY, *statements, version=version)


def request(
    principal: str = ALICE, action: str = PULL, resource: str = APP, context: Mapping[str, Values] | None = None
) -> Request:
    return Request(Requester.of_arn(principal), action, resource, Context(context or {}))


def decide(
    asked: Request,
    *,
    identity: Sequence[Json] = (),
    resource: Sequence[Json] = (),
    registry: Sequence[Json] = (),
    boundary: Sequence[Json] | None = None,
    session: Sequence[Json] | None = None,
) -> Decision:
    """Decide with one policy of each sort that has statements."""
    policies = Policies(
        identity=(named("identity", PolicyKind.IDENTITY, *identity),) if identity else (),
        resource=named("resource", PolicyKind.RESOURCE, *resource) if resource else None,
        registry=named("registry", PolicyKind.REGISTRY, *registry) if registry else None,
        boundary=named("boundary", PolicyKind.IDENTITY, *boundary) if boundary else None,
        sessions=(named("session", PolicyKind.IDENTITY, *session),) if session else (),
    )
    return evaluate(asked, policies)


def _statement(effect: str, action: Values, resource: Values | None, others: Json) -> Json:
    statement: dict[str, Any] = {"Effect": effect}
    if "NotAction" not in others:
        statement["Action"] = action
    if resource is not None and "NotResource" not in others:
        statement["Resource"] = resource
    return statement | others
