"""Cases whose outcome follows from AWS's rules for Action, NotAction, Resource, NotResource and variables."""

from collections.abc import Mapping

import pytest

from auth.policy.evaluation import Policies, evaluate
from tests.auth.policy.table import (
    ACCOUNT,
    ALLOWED,
    APP,
    DENIED,
    NOTHING,
    PULL,
    PUSH,
    Json,
    Values,
    allow,
    decide,
    deny,
    identity,
    request,
)

A = f"arn:aws:ecr:local:{ACCOUNT}:repository"

# (the rule, the statements, the action asked for, the outcome)
ACTIONS: list[tuple[str, list[Json], str, str]] = [
    ("an action allows itself", [allow(PULL)], PULL, ALLOWED),
    ("an action allows no other", [allow(PULL)], PUSH, NOTHING),
    ("nothing is allowed by default", [allow("ecr:ListImages")], PULL, NOTHING),
    ("action names are case-insensitive in policies", [allow("ecr:batchgetimage")], PULL, ALLOWED),
    ("the service prefix is case-insensitive", [allow("ECR:BatchGetImage")], PULL, ALLOWED),
    ("action names are case-insensitive in requests", [allow(PULL)], "ECR:BATCHGETIMAGE", ALLOWED),
    ("* is every action", [allow("*")], PULL, ALLOWED),
    ("*:* is every action", [allow("*:*")], PULL, ALLOWED),
    ("ecr:* is every action of the service", [allow("ecr:*")], PULL, ALLOWED),
    ("ecr:* is no action of another service", [allow("ecr:*")], "sts:AssumeRole", NOTHING),
    ("s3:* is no action of this service", [allow("s3:*")], PULL, NOTHING),
    ("* matches within a name", [allow("ecr:Batch*Image")], PULL, ALLOWED),
    ("* at the end", [allow("ecr:BatchGet*")], PULL, ALLOWED),
    ("* at the beginning", [allow("ecr:*Image")], PUSH, ALLOWED),
    ("* matches an empty run", [allow("ecr:BatchGetImage*")], PULL, ALLOWED),
    ("* needs what stands around it", [allow("ecr:Describe*")], PULL, NOTHING),
    ("wildcards ignore case too", [allow("ecr:batchGET*")], PULL, ALLOWED),
    ("? is one character", [allow("ecr:PutImag?")], PUSH, ALLOWED),
    ("? is not none", [allow("ecr:PutImage?")], PUSH, NOTHING),
    ("? is not two", [allow("ecr:PutIma?")], PUSH, NOTHING),
    ("several ? and *", [allow("ecr:?ut*e")], PUSH, ALLOWED),
    ("a list allows each of its actions", [allow([PULL, PUSH])], PUSH, ALLOWED),
    ("a list allows no other", [allow([PULL, PUSH])], "ecr:ListImages", NOTHING),
    ("statements add up", [allow(PULL), allow(PUSH)], PUSH, ALLOWED),
    ("a Deny wins over an Allow", [allow("*"), deny(PUSH)], PUSH, DENIED),
    ("a Deny wins wherever it stands", [deny(PUSH), allow("*")], PUSH, DENIED),
    ("a Deny of the same action wins", [allow(PUSH), deny(PUSH)], PUSH, DENIED),
    ("a Deny concerns its actions only", [allow("*"), deny(PUSH)], PULL, ALLOWED),
    ("a Deny allows nothing", [deny(PUSH)], PULL, NOTHING),
    ("a Deny by wildcard", [allow("*"), deny("ecr:Put*")], PUSH, DENIED),
    ("a specific Allow does not undo a wide Deny", [deny("ecr:*"), allow(PULL)], PULL, DENIED),
    ("NotAction allows everything else", [allow(NotAction=PUSH)], PULL, ALLOWED),
    ("NotAction leaves out what it names", [allow(NotAction=PUSH)], PUSH, NOTHING),
    ("NotAction reaches other services", [allow(NotAction="ecr:*")], "sts:AssumeRole", ALLOWED),
    ("NotAction takes wildcards", [allow(NotAction="ecr:Put*")], PUSH, NOTHING),
    ("NotAction ignores case", [allow(NotAction="ecr:putimage")], PUSH, NOTHING),
    ("NotAction with a list leaves out each", [allow(NotAction=[PULL, PUSH])], PULL, NOTHING),
    ("NotAction is no Deny", [allow(NotAction=PUSH), allow(PUSH)], PUSH, ALLOWED),
    ("Deny with NotAction denies the rest", [allow("*"), deny(NotAction=PULL)], PUSH, DENIED),
    ("Deny with NotAction spares what it names", [allow("*"), deny(NotAction=PULL)], PULL, ALLOWED),
]


@pytest.mark.parametrize(("rule", "statements", "action", "outcome"), ACTIONS, ids=[row[0] for row in ACTIONS])
def test_actions(rule: str, statements: list[Json], action: str, outcome: str) -> None:
    """IAM User Guide, "Action" and "NotAction"."""
    assert decide(request(action=action), identity=statements).outcome == outcome


# (the rule, Resource, the resource asked for, whether it matches)
RESOURCES: list[tuple[str, Values, str, bool]] = [
    ("* is every resource", "*", APP, True),
    ("* is the registry itself", "*", "*", True),
    ("an ARN is itself", APP, APP, True),
    ("an ARN is not its neighbour", f"{A}/team/other", APP, False),
    ("an ARN is no prefix", f"{A}/team", APP, False),
    ("an ARN is not a part of a longer one", APP, f"{APP}-2", False),
    ("repository names are case-sensitive", f"{A}/Team/App", APP, False),
    ("* at the end", f"{A}/team/*", APP, True),
    ("* spans slashes", f"{A}/*", APP, True),
    ("* spans slashes within a name", f"{A}/*/app", f"{A}/a/b/app", True),
    ("* matches an empty run", f"{A}/team/app*", APP, True),
    ("* in the middle", f"{A}/t*m/app", APP, True),
    ("* needs what follows", f"{A}/t*m/app", f"{A}/team/web", False),
    ("? is one character", f"{A}/team/a?p", APP, True),
    ("? is not none", f"{A}/team/app?", APP, False),
    ("? is a slash too", f"{A}/team?app", APP, True),
    ("several wildcards", f"{A}/*/?p*", APP, True),
    ("a wildcard region", f"arn:aws:ecr:*:{ACCOUNT}:repository/team/app", APP, True),
    ("a wildcard account", "arn:aws:ecr:local:*:repository/team/app", APP, True),
    ("wildcards in every place that may have one", "arn:aws:ecr:*:*:*", APP, True),
    ("another region", f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/team/app", APP, False),
    ("another account", "arn:aws:ecr:local:999999999999:repository/team/app", APP, False),
    ("another service", f"arn:aws:s3:local:{ACCOUNT}:repository/team/app", APP, False),
    ("another partition", f"arn:aws-cn:ecr:local:{ACCOUNT}:repository/team/app", APP, False),
    ("another type", f"arn:aws:ecr:local:{ACCOUNT}:registry/team/app", APP, False),
    ("* in the region does not cross a colon", "arn:aws:ecr:*:repository/team/app", APP, False),
    (
        "* at the start of a segment does not cross a colon",
        f"arn:aws:ecr:l*{ACCOUNT}:x:repository/team/app",
        APP,
        False,
    ),
    ("? does not match a colon", f"arn:aws:ecr:local?{ACCOUNT}:repository/team/app:x", APP, False),
    ("* in the resource part spans colons", "arn:aws:ecr:*:*:repository/*", f"{APP}:x:y", True),
    ("an incomplete ARN is completed with wildcards", "arn:aws:ecr", APP, True),
    ("an incomplete ARN of another service is not this", "arn:aws:s3", APP, False),
    ("an incomplete ARN keeps what it says", "arn:aws:ecr:eu-west-1", APP, False),
    ("an ARN is not the registry itself", f"{A}/*", "*", False),
    ("the first of a list", [APP, f"{A}/x"], APP, True),
    ("the last of a list", [f"{A}/x", f"{A}/t*p"], APP, True),
    ("none of a list", [f"{A}/x", f"{A}/y*"], APP, False),
    ("a dot is a dot", f"{A}/team.app", APP, False),
    ("a bracket is a bracket", f"{A}/[t]eam/app", APP, False),
]


@pytest.mark.parametrize(("rule", "pattern", "resource", "matches"), RESOURCES, ids=[row[0] for row in RESOURCES])
def test_resources(rule: str, pattern: Values, resource: str, *, matches: bool) -> None:
    """IAM User Guide, "Resource"; NotResource is its opposite, for every row."""
    asked = request(resource=resource)

    assert decide(asked, identity=[allow("*", pattern)]).outcome == (ALLOWED if matches else NOTHING)
    assert decide(asked, identity=[allow("*", None, NotResource=pattern)]).allowed is not matches
    assert decide(asked, identity=[allow(), deny("*", pattern)]).outcome == (DENIED if matches else ALLOWED)


# (the rule, Resource, the context, the resource asked for, whether it matches)
VARIABLES: list[tuple[str, str, Mapping[str, Values], str, bool]] = [
    ("a variable is the request's value", f"{A}/${{aws:username}}/*", {"aws:username": "team"}, APP, True),
    ("a variable is no other value", f"{A}/${{aws:username}}/*", {"aws:username": "bob"}, APP, False),
    ("a variable without a value matches nothing", f"{A}/${{aws:username}}/*", {}, APP, False),
    ("a variable with two values has none", f"{A}/${{aws:username}}/*", {"aws:username": ["team", "x"]}, APP, False),
    ("names of variables ignore case", f"{A}/${{AWS:UserName}}/*", {"aws:username": "team"}, APP, True),
    ("keys of the context ignore case", f"{A}/${{aws:username}}/*", {"AWS:USERNAME": "team"}, APP, True),
    ("a principal's tag", f"{A}/${{aws:PrincipalTag/unit}}/*", {"aws:PrincipalTag/unit": "team"}, APP, True),
    ("a claim of a web identity", f"{A}/${{jwt:sub}}/app", {"jwt:sub": "team"}, APP, True),
    ("two variables", f"{A}/${{jwt:a}}/${{jwt:b}}", {"jwt:a": "team", "jwt:b": "app"}, APP, True),
    ("two variables, one without a value", f"{A}/${{jwt:a}}/${{jwt:b}}", {"jwt:a": "team"}, APP, False),
    ("a variable beside text", f"{A}/t${{jwt:a}}m/app", {"jwt:a": "ea"}, APP, True),
    ("a default when there is no value", f"{A}/${{aws:PrincipalTag/u, 'team'}}/*", {}, APP, True),
    ("no default when there is a value", f"{A}/${{jwt:u, 'team'}}/*", {"jwt:u": "x"}, APP, False),
    ("a default is literal", f"{A}/${{jwt:u, '*'}}/app", {}, APP, False),
    ("a value's wildcard is literal", f"{A}/${{aws:username}}/app", {"aws:username": "*"}, APP, False),
    ("a value's ? is literal", f"{A}/${{aws:username}}/app", {"aws:username": "tea?"}, APP, False),
    ("${*} is an asterisk", f"{A}/${{*}}", {}, f"{A}/*", True),
    ("${*} is no wildcard", f"{A}/${{*}}", {}, APP, False),
    ("${?} is a question mark", f"{A}/x${{?}}", {}, f"{A}/x?", True),
    ("${?} is no wildcard", f"{A}/x${{?}}", {}, f"{A}/xy", False),
    ("${$} is a dollar sign", f"{A}/${{$}}x", {}, f"{A}/$x", True),
    ("a dollar sign alone is itself", f"{A}/$x", {}, f"{A}/$x", True),
    ("a colon in a value stays in the resource", f"{A}/${{jwt:sub}}", {"jwt:sub": "a:b"}, f"{A}/a:b", True),
]


@pytest.mark.parametrize(
    ("rule", "pattern", "context", "resource", "matches"), VARIABLES, ids=[row[0] for row in VARIABLES]
)
def test_variables(rule: str, pattern: str, context: Mapping[str, Values], resource: str, *, matches: bool) -> None:
    """IAM User Guide, "Variables and tags"; in NotResource too, a variable without a value matches nothing."""
    asked = request(resource=resource, context=context)

    assert decide(asked, identity=[allow("*", pattern)]).outcome == (ALLOWED if matches else NOTHING)
    assert decide(asked, identity=[allow("*", None, NotResource=pattern)]).allowed is not matches


@pytest.mark.parametrize("version", ["2008-10-17", None])
def test_versions_without_variables_take_them_as_text(version: str | None) -> None:
    """Earlier versions of the language, and documents that name none, have no variables."""
    policies = Policies((identity(allow("*", f"{A}/${{aws:username}}"), version=version),))
    context = {"aws:username": "bob"}

    assert evaluate(request(resource=f"{A}/bob", context=context), policies).outcome == NOTHING
    assert evaluate(request(resource=f"{A}/${{aws:username}}", context=context), policies).outcome == ALLOWED


def test_wildcards_inside_what_is_no_variable_stay_wildcards() -> None:
    """Under version 2008-10-17 `${*}` is a dollar sign, a brace, any run and a brace."""
    policies = Policies((identity(allow("*", f"{A}/${{*}}"), version="2008-10-17"),))

    assert evaluate(request(resource=f"{A}/${{anything}}"), policies).outcome == ALLOWED
    assert evaluate(request(resource=f"{A}/anything"), policies).outcome == NOTHING
