"""Cases whose outcome follows from the order in which AWS evaluates policies of several sorts."""

from dataclasses import dataclass
from typing import Any

import pytest

from auth.policy.context import NO_CONTEXT
from auth.policy.document import PolicyKind, Request
from auth.policy.evaluation import Lack, Match, NamedPolicy, Policies, evaluate
from auth.policy.requesters import Requester
from tests.auth.policy.table import (
    ACCOUNT,
    ALICE,
    ALLOWED,
    BOB,
    DENIED,
    NOTHING,
    OTHER_ACCOUNT,
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
    grant,
    named,
    refuse,
    request,
)


@dataclass(frozen=True, slots=True)
class Case:
    """Which policies meet, who asks, and what comes of it; `identity`, `boundary` and the like hold statements."""

    rule: str
    outcome: str
    principal: str = ALICE
    action: str = PULL
    identity: tuple[Json, ...] = ()
    resource: tuple[Json, ...] = ()
    registry: tuple[Json, ...] = ()
    boundary: tuple[Json, ...] = ()
    session: tuple[Json, ...] = ()


def aws(*names: str) -> dict[str, Any]:
    return {"AWS": list(names)}


ANYTHING = (allow(),)
PUSH_ONLY = (allow(PUSH),)
NO_PULL = (deny(PULL),)
USER_SESSION = f"arn:aws:sts::{ACCOUNT}:federated-user/alice"
STRANGERS = f"arn:aws:iam::{OTHER_ACCOUNT}:root"
ALL_OF_THE_REGISTRY = {"Principal": "*", "Resource": "*"}

UNION = [
    Case("no policy at all", NOTHING),
    Case("identity allows", ALLOWED, identity=ANYTHING),
    Case("resource names the user", ALLOWED, resource=(grant(aws(ALICE)),)),
    Case("resource names another user", NOTHING, resource=(grant(aws(BOB)),)),
    Case("resource names several", ALLOWED, resource=(grant(aws(BOB, ALICE)),)),
    Case("resource is for everyone", ALLOWED, resource=(grant("*"),)),
    Case("resource is for everyone, written as a map", ALLOWED, resource=(grant({"AWS": "*"}),)),
    Case("resource allows another action", NOTHING, resource=(grant(aws(ALICE), PUSH),)),
    Case("both allow", ALLOWED, identity=ANYTHING, resource=(grant(aws(ALICE)),)),
    Case("identity allows, resource is silent", ALLOWED, identity=ANYTHING, resource=(grant(aws(BOB)),)),
    Case("resource allows, identity is silent", ALLOWED, identity=PUSH_ONLY, resource=(grant(aws(ALICE)),)),
    Case("identity denies what resource allows", DENIED, identity=NO_PULL, resource=(grant(aws(ALICE)),)),
    Case("resource denies what identity allows", DENIED, identity=ANYTHING, resource=(refuse(aws(ALICE)),)),
    Case("resource denies another user", ALLOWED, identity=ANYTHING, resource=(refuse(aws(BOB)),)),
    Case("resource denies everyone", DENIED, identity=ANYTHING, resource=(refuse("*"),)),
    Case("resource denies the account", DENIED, identity=ANYTHING, resource=(refuse(aws(ACCOUNT)),)),
    Case("resource denies the account by its ARN", DENIED, identity=ANYTHING, resource=(refuse(aws(ROOT)),)),
    Case("an account delegates", NOTHING, resource=(grant(aws(ACCOUNT)),)),
    Case("an account's ARN is the same", NOTHING, resource=(grant(aws(ROOT)),)),
    Case("an account delegates, identity allows", ALLOWED, identity=ANYTHING, resource=(grant(aws(ROOT)),)),
    Case("the registry policy allows", ALLOWED, registry=(allow(**ALL_OF_THE_REGISTRY),)),
    Case("the registry policy denies", DENIED, identity=ANYTHING, registry=(deny(**ALL_OF_THE_REGISTRY),)),
    Case("the repository's policy allows, the registry's denies", DENIED, resource=(grant("*"),),
         registry=(deny(**ALL_OF_THE_REGISTRY),)),
]  # fmt: skip

PRINCIPALS = [
    Case("the role's session by its role", ALLOWED, SESSION, resource=(grant(aws(ROLE)),)),
    Case("the role's session by its own ARN", ALLOWED, SESSION, resource=(grant(aws(SESSION)),)),
    Case("another session of the role", NOTHING, SESSION + "2", resource=(grant(aws(SESSION)),)),
    Case("a Deny of the role is of its sessions", DENIED, SESSION, identity=ANYTHING, resource=(refuse(aws(ROLE)),)),
    Case("NotPrincipal denies others", DENIED, BOB, identity=ANYTHING,
         resource=(deny("*", None, NotPrincipal=aws(ALICE, ROOT)),)),
    Case("NotPrincipal spares the one it names", ALLOWED, identity=ANYTHING,
         resource=(deny("*", None, NotPrincipal=aws(ALICE, ROOT)),)),
    Case("NotPrincipal spares the role's session", ALLOWED, SESSION, identity=ANYTHING,
         resource=(deny("*", None, NotPrincipal=aws(ROLE, ROOT)),)),
    Case("NotPrincipal with the account alone denies its users", DENIED, identity=ANYTHING,
         resource=(deny("*", None, NotPrincipal=aws(ROOT)),)),
    Case("Allow with NotPrincipal allows others", ALLOWED, BOB, resource=(allow("*", None, NotPrincipal=aws(ALICE)),)),
    Case("Allow with NotPrincipal leaves out", NOTHING, resource=(allow("*", None, NotPrincipal=aws(ALICE)),)),
    Case("Allow with NotPrincipal leaves out an account", NOTHING,
         resource=(allow("*", None, NotPrincipal=aws(ACCOUNT)),)),
    Case("anonymous: nothing", NOTHING, "anonymous"),
    Case("anonymous: everyone", ALLOWED, "anonymous", resource=(grant("*"),)),
    Case("anonymous: everyone, written as a map", ALLOWED, "anonymous", resource=(grant(aws("*")),)),
    Case("anonymous: an account", NOTHING, "anonymous", resource=(grant(aws(ACCOUNT)),)),
    Case("anonymous: a Deny for everyone", DENIED, "anonymous", resource=(grant("*"), refuse("*", PULL))),
    Case("anonymous: Allow with NotPrincipal", ALLOWED, "anonymous",
         resource=(allow("*", None, NotPrincipal=aws(ALICE)),)),
]  # fmt: skip

LIMITS = [
    Case("a boundary grants nothing", NOTHING, boundary=ANYTHING),
    Case("identity and boundary allow", ALLOWED, identity=ANYTHING, boundary=ANYTHING),
    Case("identity allows, boundary does not", NOTHING, identity=ANYTHING, boundary=PUSH_ONLY),
    Case("boundary allows, identity does not", NOTHING, identity=PUSH_ONLY, boundary=ANYTHING),
    Case("boundary denies", DENIED, identity=ANYTHING, boundary=(allow(), deny(PULL))),
    Case("boundary does not limit what names the user", ALLOWED, boundary=PUSH_ONLY, resource=(grant(aws(ALICE)),)),
    Case("boundary does not limit everyone", ALLOWED, boundary=PUSH_ONLY, resource=(grant("*"),)),
    Case("boundary's Deny concerns what names the user", DENIED, boundary=NO_PULL, resource=(grant(aws(ALICE)),)),
    Case("boundary limits what names the role", NOTHING, SESSION, boundary=PUSH_ONLY, resource=(grant(aws(ROLE)),)),
    Case("boundary limits the role itself", NOTHING, ROLE, boundary=PUSH_ONLY, resource=(grant(aws(ROLE)),)),
    Case("boundary does not limit what names the session", ALLOWED, SESSION, boundary=PUSH_ONLY,
         resource=(grant(aws(SESSION)),)),
    Case("boundary limits what names the account", NOTHING, identity=ANYTHING, boundary=PUSH_ONLY,
         resource=(grant(aws(ROOT)),)),
    Case("boundary limits Allow with NotPrincipal", NOTHING, boundary=PUSH_ONLY,
         resource=(allow("*", None, NotPrincipal=aws(BOB)),)),
    Case("a session policy grants nothing", NOTHING, SESSION, session=ANYTHING),
    Case("identity and session policy allow", ALLOWED, SESSION, identity=ANYTHING, session=ANYTHING),
    Case("identity allows, session policy does not", NOTHING, SESSION, identity=ANYTHING, session=PUSH_ONLY),
    Case("session policy denies", DENIED, SESSION, identity=ANYTHING, session=(allow(), deny(PULL))),
    Case("session policy limits the role", NOTHING, SESSION, session=PUSH_ONLY, resource=(grant(aws(ROLE)),)),
    Case("session policy does not limit what names the session", ALLOWED, SESSION, session=PUSH_ONLY,
         resource=(grant(aws(SESSION)),)),
    Case("session policy limits what names the user behind it", NOTHING, session=PUSH_ONLY,
         resource=(grant(aws(ALICE)),)),
    Case("session policy does not limit a federated user's own ARN", ALLOWED, USER_SESSION, session=PUSH_ONLY,
         resource=(grant(aws(USER_SESSION)),)),
    Case("identity, boundary and session policy allow", ALLOWED, SESSION, identity=ANYTHING, boundary=ANYTHING,
         session=ANYTHING),
    Case("only two of the three allow", NOTHING, SESSION, identity=ANYTHING, boundary=PUSH_ONLY, session=ANYTHING),
]  # fmt: skip

ACROSS = [
    Case("another account: its identity allows only", NOTHING, STRANGER, identity=ANYTHING),
    Case("another account: resource allows only", NOTHING, STRANGER, resource=(grant(aws(STRANGER)),)),
    Case("another account: both allow", ALLOWED, STRANGER, identity=ANYTHING, resource=(grant(aws(STRANGER)),)),
    Case("another account: resource names the account", ALLOWED, STRANGER, identity=ANYTHING,
         resource=(grant(aws(STRANGERS)),)),
    Case("another account: everyone, identity is silent", NOTHING, STRANGER, resource=(grant("*"),)),
    Case("another account: everyone, identity allows", ALLOWED, STRANGER, identity=ANYTHING, resource=(grant("*"),)),
    Case("another account: boundary does not allow", NOTHING, STRANGER, identity=ANYTHING, boundary=PUSH_ONLY,
         resource=(grant(aws(STRANGER)),)),
    Case("another account: resource names this account", NOTHING, STRANGER, identity=ANYTHING,
         resource=(grant(aws(ROOT)),)),
    Case("another account: resource denies", DENIED, STRANGER, identity=ANYTHING,
         resource=(grant("*"), refuse(aws(OTHER_ACCOUNT)))),
    Case("another account's root user: nothing", NOTHING, STRANGERS),
    Case("another account's root user: resource allows", ALLOWED, STRANGERS, resource=(grant(aws(STRANGERS)),)),
]  # fmt: skip

ROOT_USER = [
    Case("root: everything", ALLOWED, ROOT),
    Case("root: resource is silent", ALLOWED, ROOT, resource=(grant(aws(ALICE)),)),
    Case("root: resource denies", DENIED, ROOT, resource=(refuse("*"),)),
    Case("root: resource denies the account", DENIED, ROOT, resource=(refuse(aws(ACCOUNT)),)),
    Case("root: resource denies another", ALLOWED, ROOT, resource=(refuse(aws(ALICE)),)),
    Case("root: may replace the policy that denies", ALLOWED, ROOT, "ecr:SetRepositoryPolicy", resource=(refuse("*"),)),
    Case("root: may delete the policy that denies", ALLOWED, ROOT, "ecr:DeleteRepositoryPolicy",
         resource=(refuse("*"),)),
    Case("root: may read the policy that denies", ALLOWED, ROOT, "ecr:GetRepositoryPolicy", resource=(refuse("*"),)),
    Case("others may not", DENIED, ALICE, "ecr:SetRepositoryPolicy", identity=ANYTHING, resource=(refuse("*"),)),
    Case("root: another policy's Deny stands", DENIED, ROOT, "ecr:SetRepositoryPolicy",
         registry=(deny(**ALL_OF_THE_REGISTRY),)),
    Case("root: may replace the registry policy that denies", ALLOWED, ROOT, "ecr:PutRegistryPolicy",
         registry=(deny(**ALL_OF_THE_REGISTRY),)),
    Case("root: a session policy limits it", NOTHING, ROOT, session=PUSH_ONLY),
    Case("root: a session policy that allows", ALLOWED, ROOT, session=ANYTHING),
    Case("root: spared by NotPrincipal", ALLOWED, ROOT, resource=(deny("*", None, NotPrincipal=aws(ROOT)),)),
    Case("another account's root user may not replace it", DENIED, STRANGERS, "ecr:SetRepositoryPolicy",
         resource=(refuse("*"),)),
]  # fmt: skip

CASES = [*UNION, *PRINCIPALS, *LIMITS, *ACROSS, *ROOT_USER]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.rule)
def test_order(case: Case) -> None:
    """IAM User Guide, "Policy evaluation logic" and what it refers to; the root user's rules are this registry's."""
    decision = decide(
        request(case.principal, case.action),
        identity=case.identity,
        resource=case.resource,
        registry=case.registry,
        boundary=case.boundary,
        session=case.session,
    )

    assert decision.outcome == case.outcome


def test_registry_actions_belong_to_every_account() -> None:
    """What is asked of the registry itself has no account to be foreign to."""
    asked = request(STRANGER, "ecr:GetAuthorizationToken", "*")

    assert decide(asked, identity=ANYTHING).allowed


@pytest.mark.parametrize(
    ("provider", "outcome"), [("https://token.example", ALLOWED), ("https://other.example", NOTHING), (None, NOTHING)]
)
def test_web_identities_have_what_a_trust_policy_gives_their_provider(provider: str | None, outcome: str) -> None:
    """A caller with a web identity has no account and no policies of its own."""
    trust = named(
        "trust", PolicyKind.TRUST, grant({"Federated": "https://token.example"}, "sts:AssumeRoleWithWebIdentity")
    )
    asked = Request(Requester("", "", federated=provider), "sts:AssumeRoleWithWebIdentity", ROLE, NO_CONTEXT)

    assert evaluate(asked, Policies(resource=trust)).outcome == outcome


@pytest.mark.parametrize(
    ("trusted", "identity", "outcome"),
    [
        (ALICE, (), ALLOWED),
        (BOB, ANYTHING, NOTHING),
        (ROOT, (), NOTHING),
        (ROOT, ANYTHING, ALLOWED),
    ],
)
def test_a_trust_policy_must_itself_allow(trusted: str, identity: tuple[Json, ...], outcome: str) -> None:
    """Role trust policies are AWS's exception to the union of identity and resource policies."""
    policies = Policies(
        identity=(named("identity", PolicyKind.IDENTITY, *identity),) if identity else (),
        resource=named("trust", PolicyKind.TRUST, grant(aws(trusted), "sts:AssumeRole")),
    )

    assert evaluate(Request(Requester.of_arn(ALICE), "sts:AssumeRole", ROLE, NO_CONTEXT), policies).outcome == outcome


def test_several_session_policies_limit_together() -> None:
    """AWS adds up the session policies of one session, and intersects the sum with the rest."""
    sessions = (
        named("sessions[0]", PolicyKind.IDENTITY, *PUSH_ONLY),
        named("sessions[1]", PolicyKind.IDENTITY, allow(PULL)),
    )
    policies = Policies(identity=(named("identity", PolicyKind.IDENTITY, *ANYTHING),), sessions=sessions)

    assert evaluate(request(SESSION), policies).allowed


def test_a_denial_names_every_statement_that_denied() -> None:
    """An administrator sees all that has to change."""
    decision = decide(
        request(),
        identity=[allow(Sid="Everything"), deny(PULL, Sid="NoPull")],
        resource=[refuse("*"), grant("*")],
        boundary=[allow()],
    )

    assert [(match.policy, match.sid, match.index, match.effect) for match in decision.matches] == [
        ("identity", "NoPull", 1, "Deny"),
        ("resource", None, 0, "Deny"),
    ]


def test_an_allowance_names_the_statements_it_rests_on() -> None:
    """The grants and, since they count only within them, the limits."""
    decision = decide(
        request(),
        identity=[allow(PUSH, Sid="Push"), allow(PULL, Sid="Pull")],
        boundary=[allow(Sid="Boundary")],
        session=[allow(Sid="Session")],
    )

    assert [match.sid for match in decision.matches] == ["Pull", "Boundary", "Session"]


def test_an_allowance_that_no_boundary_limits_does_not_name_it() -> None:
    """What the repository's policy gives the very user does not rest on a boundary."""
    decision = decide(request(), resource=[grant(aws(ALICE), Sid="Alice")], boundary=[allow()])

    assert [match.sid for match in decision.matches] == ["Alice"]


@pytest.mark.parametrize(
    ("policies", "lack"),
    [
        ({}, Lack.GRANT),
        ({"identity": ANYTHING, "boundary": PUSH_ONLY}, Lack.BOUNDARY),
        ({"identity": ANYTHING, "session": PUSH_ONLY}, Lack.SESSION),
        ({"resource": (grant(aws(ACCOUNT)),)}, Lack.IDENTITY),
    ],
)
def test_an_implicit_denial_says_what_is_lacking(policies: dict[str, Any], lack: Lack) -> None:
    """No statement denied, so none can be named."""
    decision = decide(request(), **policies)

    assert (decision.matches, decision.lack) == ((), lack)


def test_policies_are_named_in_decisions() -> None:
    """A decision names the policy as the caller knows it."""
    policy = named("team/pullers", PolicyKind.IDENTITY, allow())

    assert evaluate(request(), Policies((NamedPolicy("x", policy.policy), policy))).matches[1] == Match(
        "team/pullers", None, 0, policy.policy.statements[0].effect
    )
