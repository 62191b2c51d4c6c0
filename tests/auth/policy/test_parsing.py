"""The grammar of policies: what is refused, where, and by which rule."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auth.policy.document import PolicyKind
from auth.policy.findings import PolicyInvalid, Rule, Severity
from auth.policy.parsing import parse_policy, validate_policy
from tests.auth.policy.table import ALICE, allow, deny, document, grant

HOST = "token.actions.githubusercontent.com"
GITHUB = {"Federated": f"arn:aws:iam::123456789012:oidc-provider/{HOST}"}
WEB_IDENTITY = "sts:AssumeRoleWithWebIdentity"
IDENTITY, RESOURCE, REGISTRY, TRUST = PolicyKind.IDENTITY, PolicyKind.RESOURCE, PolicyKind.REGISTRY, PolicyKind.TRUST

# (the rule, line, field, kind, the document)
ERRORS: list[tuple[Rule, int, str, PolicyKind, str]] = [
    (Rule.JSON_SYNTAX_ERROR, 1, "", IDENTITY, ""),
    (Rule.JSON_SYNTAX_ERROR, 2, "", IDENTITY, '{"Version": "2012-10-17",\n}'),
    (Rule.JSON_SYNTAX_ERROR, 3, "", IDENTITY, '{"Version":\n"2012-10-17"\n"Id": "x"}'),
    (Rule.JSON_SYNTAX_ERROR, 2, "", IDENTITY, "{}\n{}"),
    (Rule.JSON_SYNTAX_ERROR, 1, "", IDENTITY, '{"Version" "2012-10-17"}'),
    (Rule.JSON_SYNTAX_ERROR, 1, "", IDENTITY, '{"Version": NaN}'),
    (Rule.JSON_SYNTAX_ERROR, 1, "", IDENTITY, '{"Version": "\\ud800"}'),
    (Rule.JSON_SYNTAX_ERROR, 1, "", IDENTITY, '{"Version": "2012'),
    (Rule.DEPTH_EXCEEDED, 1, "", IDENTITY, "[" * 33 + "]" * 33),
    (Rule.POLICY_SIZE_EXCEEDED, 1, "", IDENTITY, document(allow("ecr:" + "*" * 6144))),
    (Rule.POLICY_SIZE_EXCEEDED, 1, "", RESOURCE, document(grant("*", "ecr:" + "*" * 10240))),
    (Rule.POLICY_SIZE_EXCEEDED, 1, "", IDENTITY, " " * 200_000),
    (Rule.DATA_TYPE_MISMATCH, 1, "", IDENTITY, "[]"),
    (Rule.DATA_TYPE_MISMATCH, 1, "", IDENTITY, "null"),
    (Rule.INVALID_VERSION, 1, "Version", IDENTITY, document(allow(), version="2012-10-18")),
    (Rule.DATA_TYPE_MISMATCH, 1, "Version", IDENTITY, '{"Version": 2012, "Statement": []}'),
    (Rule.MISSING_STATEMENT, 1, "Statement", IDENTITY, "{}"),
    (Rule.MISSING_STATEMENT, 2, "Statement", IDENTITY, '{"Version": "2012-10-17",\n"Statement": []}'),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement", IDENTITY, '{"Statement": "Allow"}'),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0]", IDENTITY, '{"Statement": [7]}'),
    (Rule.UNKNOWN_MEMBER, 2, "Statements", IDENTITY, '{"Statement": {},\n"Statements": {}}'),
    (Rule.DUPLICATE_MEMBER, 3, "Version", IDENTITY, '{"Version": "2012-10-17",\n\n"Version": "2012-10-17"}'),
    (Rule.DUPLICATE_MEMBER, 2, "Statement.Effect", IDENTITY, '{"Statement": {"Effect": "Deny",\n"Effect": "Allow"}}'),
    (Rule.UNKNOWN_MEMBER, 1, "Statement[0].Actions", IDENTITY, document(allow(Actions="*"))),
    (Rule.UNKNOWN_MEMBER, 1, "Statement[0].effect", IDENTITY, document(allow(effect="Allow"))),
    (Rule.MISSING_EFFECT, 2, "Statement[1].Effect", IDENTITY,
     f'{{"Statement": [{json.dumps(allow())},\n{{"Action": "*", "Resource": "*"}}]}}'),
    (Rule.INVALID_EFFECT, 1, "Statement[0].Effect", IDENTITY, document(allow(Effect="allow"))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Effect", IDENTITY, document(allow(Effect=["Allow"]))),
    (Rule.INVALID_SID, 1, "Statement[0].Sid", IDENTITY, document(allow(Sid="not so"))),
    (Rule.INVALID_SID, 1, "Statement[0].Sid", RESOURCE, document(grant("*", Sid="\x1b[2J"))),
    (Rule.INVALID_SID, 1, "Statement[0].Sid", RESOURCE, document(grant("*", Sid="a\u202eb"))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Sid", IDENTITY, document(allow(Sid=7))),
    (Rule.DUPLICATE_SID, 1, "Statement[1].Sid", IDENTITY, document(allow(Sid="A"), deny(Sid="A"))),
    (Rule.MISSING_ACTION, 1, "Statement[0].Action", IDENTITY, document({"Effect": "Allow", "Resource": "*"})),
    (Rule.UNSUPPORTED_ELEMENT_COMBINATION, 1, "Statement[0].NotAction", IDENTITY,
     document(allow("*", "*") | {"NotAction": "*"})),
    (Rule.UNSUPPORTED_ELEMENT_COMBINATION, 1, "Statement[0].NotResource", IDENTITY,
     document(allow("*", "*") | {"NotResource": "*"})),
    (Rule.UNSUPPORTED_ELEMENT_COMBINATION, 1, "Statement[0].NotPrincipal", RESOURCE,
     document(grant("*", NotPrincipal="*"))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Action", IDENTITY, document(allow(Action={}))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Action[1]", IDENTITY, document(allow(Action=["*", 7]))),
    (Rule.EMPTY_LIST, 1, "Statement[0].Action", IDENTITY, document(allow([]))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action", IDENTITY, document(allow("BatchGetImage"))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action", IDENTITY, document(allow(""))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action", IDENTITY, document(allow("ecr:${aws:username}"))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action[0]", IDENTITY, document(allow(["ecr:PullImage"]))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action", IDENTITY, document(allow("ecr:ListImageReferrers"))),
    (Rule.INVALID_ACTION, 1, "Statement[0].NotAction", IDENTITY, document(allow(NotAction="lading:Everything"))),
    (Rule.INVALID_ACTION, 1, "Statement[0].Action", TRUST, document(grant({"AWS": ALICE}, "sts:BecomeRole"))),
    (Rule.MISSING_RESOURCE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", None))),
    (Rule.MISSING_RESOURCE, 1, "Statement[0].Resource", REGISTRY, document(grant("*"))),
    (Rule.UNSUPPORTED_ELEMENT, 1, "Statement[0].Resource", TRUST, document(grant({"AWS": ALICE}, Resource="*"))),
    (Rule.INVALID_RESOURCE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", "team/app"))),
    (Rule.INVALID_RESOURCE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", ""))),
    (Rule.INVALID_RESOURCE, 1, "Statement[0].NotResource[1]", IDENTITY, document(allow(NotResource=["*", "a*"]))),
    (Rule.EMPTY_LIST, 1, "Statement[0].Resource", IDENTITY, document(allow("*", []))),
    (Rule.INVALID_VARIABLE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:::${aws:username"))),
    (Rule.INVALID_VARIABLE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:::${}"))),
    (Rule.INVALID_VARIABLE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:::${a b}"))),
    (Rule.INVALID_VARIABLE, 1, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:::${jwt:a, x}"))),
    (Rule.UNSUPPORTED_VARIABLE, 1, "Statement[0].Resource", IDENTITY,
     document(allow("*", "arn:aws:ecr:${jwt:region}::x"))),
    (Rule.UNSUPPORTED_ELEMENT, 1, "Statement[0].Principal", IDENTITY, document(allow(Principal="*"))),
    (Rule.UNSUPPORTED_ELEMENT, 1, "Statement[0].NotPrincipal", IDENTITY, document(allow(NotPrincipal="*"))),
    (Rule.UNSUPPORTED_ELEMENT, 1, "Statement[0].NotPrincipal", TRUST, document(deny("*", None, NotPrincipal="*"))),
    (Rule.MISSING_PRINCIPAL, 1, "Statement[0].Principal", RESOURCE, document(allow("*", None))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal", RESOURCE, document(grant(ALICE))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal", RESOURCE, document(grant({}))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal.AWS", RESOURCE, document(grant({"AWS": "alice"}))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal.AWS[1]", RESOURCE, document(grant({"AWS": [ALICE, "12"]}))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal.AWS", RESOURCE, document(grant({"AWS": ALICE + "*"}))),
    (Rule.INVALID_PRINCIPAL, 1, "Statement[0].Principal.Federated", RESOURCE, document(grant({"Federated": "*"}))),
    (Rule.UNKNOWN_MEMBER, 1, "Statement[0].Principal.CanonicalUser", RESOURCE, document(grant({"CanonicalUser": "x"}))),
    (Rule.EMPTY_LIST, 1, "Statement[0].Principal.AWS", RESOURCE, document(grant({"AWS": []}))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Condition", IDENTITY, document(allow(Condition=[]))),
    (Rule.INVALID_OPERATOR, 1, "Statement[0].Condition.StringIs", IDENTITY,
     document(allow(Condition={"StringIs": {}}))),
    (Rule.INVALID_OPERATOR, 1, "Statement[0].Condition.stringequals", IDENTITY,
     document(allow(Condition={"stringequals": {}}))),
    (Rule.INVALID_OPERATOR, 1, "Statement[0].Condition.NullIfExists", IDENTITY,
     document(allow(Condition={"NullIfExists": {}}))),
    (Rule.INVALID_OPERATOR, 1, "Statement[0].Condition.ForAnyValue:Null", IDENTITY,
     document(allow(Condition={"ForAnyValue:Null": {}}))),
    (Rule.INVALID_OPERATOR, 1, "Statement[0].Condition.ForSomeValues:StringEquals", IDENTITY,
     document(allow(Condition={"ForSomeValues:StringEquals": {}}))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Condition.Bool", IDENTITY, document(allow(Condition={"Bool": "true"}))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Condition.StringLike.aws:username", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:username": None}}))),
    (Rule.DATA_TYPE_MISMATCH, 1, "Statement[0].Condition.StringLike.aws:username[1]", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:username": ["x", {}]}}))),
    (Rule.DUPLICATE_MEMBER, 1, "Statement[0].Condition.StringLike.AWS:username", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:username": "x", "AWS:username": "y"}}))),
    (Rule.INVALID_VARIABLE, 1, "Statement[0].Condition.StringLike.aws:username", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:username": "${jwt:sub"}}))),
    (Rule.UNSUPPORTED_VARIABLE, 1, "Statement[0].Condition.Bool.jwt:a", IDENTITY,
     document(allow(Condition={"Bool": {"jwt:a": "${jwt:b}"}}))),
    *((Rule.INVALID_CONDITION_VALUE, 1, f"Statement[0].Condition.{operator}.{key}", IDENTITY,
       document(allow(Condition={operator: {key: value}})))
      for operator, key, value in [
          ("NumericEquals", "jwt:a", "ten"),
          ("NumericLessThanIfExists", "jwt:a", "1e3"),
          ("DateLessThan", "aws:CurrentTime", "2024-13-01"),
          ("DateLessThan", "aws:CurrentTime", "tomorrow"),
          ("DateLessThan", "aws:CurrentTime", "2024-01-01T00:00:00+99:99"),
          ("Bool", "aws:SecureTransport", "yes"),
          ("Null", "jwt:a", "maybe"),
          ("BinaryEquals", "jwt:a", "not base64"),
          ("IpAddress", "aws:SourceIp", "10.0.0.0/33"),
          ("NotIpAddress", "aws:SourceIp", "localhost"),
          ("ForAnyValue:IpAddress", "aws:SourceIp", "fe80::1%eth0"),
      ]),
]  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "line", "field", "kind", "text"), ERRORS, ids=[f"{row[0].value} {row[2]}" for row in ERRORS]
)
def test_errors(rule: Rule, line: int, field: str, kind: PolicyKind, text: str) -> None:
    """A policy that breaks the grammar is refused, and the finding says where and which rule."""
    with pytest.raises(PolicyInvalid) as caught:
        parse_policy(text, kind)

    places = [(found.rule, found.line, found.field) for found in caught.value.findings]
    assert (rule, line, field) in places
    assert list(caught.value.findings) == validate_policy(text, kind)


# (the rule, field, kind, the document)
WARNINGS: list[tuple[Rule, str, PolicyKind, str]] = [
    (Rule.UNSUPPORTED_ELEMENT, "Id", IDENTITY, json.dumps({"Id": "x", "Statement": allow()})),
    (Rule.DUPLICATE_SID, "Statement[1].Sid", RESOURCE, document(grant("*", Sid="A"), grant("*", Sid="A"))),
    (Rule.INVALID_ACTION, "Statement[0].Action", IDENTITY, document(allow("ecr:Pull*"))),
    (Rule.WILDCARD_IN_SERVICE, "Statement[0].Action", IDENTITY, document(allow("ec?:BatchGetImage"))),
    (Rule.WILDCARD_IN_SERVICE, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:*:::x"))),
    (Rule.INCOMPLETE_ARN, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:*"))),
    (Rule.VARIABLE_NEEDS_VERSION, "Statement[0].Resource", IDENTITY,
     document(allow("*", "arn:aws:ecr:::${aws:username}"), version=None)),
    (Rule.VARIABLE_NEEDS_VERSION, "Statement[0].Condition.StringLike.jwt:a", IDENTITY,
     document(allow(Condition={"StringLike": {"jwt:a": "${jwt:b}"}}), version="2008-10-17")),
    (Rule.UNKNOWN_CONDITION_KEY, "Statement[0].Resource", IDENTITY, document(allow("*", "arn:aws:ecr:::${aws:name}"))),
    (Rule.UNKNOWN_CONDITION_KEY, "Statement[0].Condition.StringLike.aws:PrincipalTag/", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:PrincipalTag/": "x"}}))),
    (Rule.UNKNOWN_CONDITION_KEY, "Statement[0].Condition.StringLike.ecr:Tag", IDENTITY,
     document(allow(Condition={"StringLike": {"ecr:Tag": "x"}}))),
    (Rule.UNKNOWN_CONDITION_KEY, "Statement[0].Condition.StringLike.aws:userid", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:userid": "AIDA*"}}))),
    (Rule.UNKNOWN_CONDITION_KEY, "Statement[0].Condition.StringLike.issuer:sub", TRUST,
     document(grant("*", "sts:AssumeRole", Condition={"StringLike": {"issuer:sub": "x"}}))),
    (Rule.EMPTY_CONDITION_VALUES, "Statement[0].Condition.StringLike.jwt:a", IDENTITY,
     document(allow(Condition={"StringLike": {"jwt:a": []}}))),
    (Rule.MISSING_QUALIFIER, "Statement[0].Condition.StringLike.aws:tagkeys", IDENTITY,
     document(allow(Condition={"StringLike": {"aws:tagkeys": "x"}}))),
    (Rule.FORALLVALUES_WITH_ALLOW, "Statement[0].Condition.ForAllValues:StringLike.aws:TagKeys", IDENTITY,
     document(allow(Condition={"ForAllValues:StringLike": {"aws:TagKeys": "x"}}))),
    (Rule.ALLOW_WITH_NOT_PRINCIPAL, "Statement[0].NotPrincipal", RESOURCE,
     document(allow("*", None, NotPrincipal={"AWS": ALICE}))),
    *((Rule.ALLOW_WITHOUT_CLAIM, "Statement[0].Principal", TRUST, text) for text in (
        document(grant(GITHUB, WEB_IDENTITY)),
        document(grant(GITHUB, "sts:*")),
        document(grant("*", WEB_IDENTITY)),
        document(grant({"AWS": "*"}, "*")),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringEquals": {f"{HOST}:aud": "registry"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringEquals": {"sts:RoleSessionName": "ci"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringLike": {f"{HOST}:sub": "*"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringNotEquals": {f"{HOST}:sub": "repo:evil/app"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"Null": {f"{HOST}:sub": "false"}})),
    )),
    (Rule.UNUSABLE_PRINCIPAL, "Statement[0].Principal.Service", RESOURCE,
     document(grant({"Service": "codebuild.amazonaws.com"}))),
]  # fmt: skip


@pytest.mark.parametrize(
    "text",
    [
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringLike": {f"{HOST}:sub": "repo:acme/*"}})),
        document(grant(GITHUB, WEB_IDENTITY, Condition={"StringEquals": {"jwt:repository_owner_id": "74"}})),
        document(grant(GITHUB, "sts:AssumeRole")),
        document(grant({"AWS": ALICE}, "sts:*")),
        document(grant("*", "sts:AssumeRole")),
        document(grant(GITHUB, WEB_IDENTITY, Effect="Deny")),
    ],
)
def test_trust_that_tells_who_is_meant_is_no_warning(text: str) -> None:
    """One that lets in no web identities needs no claim."""
    assert validate_policy(text, TRUST) == []


@pytest.mark.parametrize(
    ("rule", "field", "kind", "text"), WARNINGS, ids=[f"{row[0].value} {row[1]}" for row in WARNINGS]
)
def test_warnings(rule: Rule, field: str, kind: PolicyKind, text: str) -> None:
    """What is allowed and hardly meant is found, and the policy can be used."""
    findings = validate_policy(text, kind)

    assert [(found.severity, found.rule, found.field) for found in findings] == [(Severity.WARNING, rule, field)]
    assert parse_policy(text, kind).statements


VALID: list[tuple[PolicyKind, Any]] = [
    (IDENTITY, {"Version": "2012-10-17", "Statement": allow()}),
    (IDENTITY, {"Version": "2008-10-17", "Statement": [allow(Sid=""), deny(Sid="Deny1")]}),
    (IDENTITY, {"Statement": [allow(Sid=""), deny(Sid="")]}),
    (IDENTITY, {"Statement": allow("s3:Anything", "arn:aws:s3:::bucket/*")}),
    (IDENTITY, {"Statement": allow(["lading:CreateUser", "sts:AssumeRole", "ecr:ReplicateImage"])}),
    (IDENTITY, {"Statement": allow(Condition={"ForAllValues:StringLike": {"aws:TagKeys": "x"},
                                              "Null": {"aws:TagKeys": "false"}})}),
    (IDENTITY, {"Statement": deny(Condition={"ForAllValues:StringLike": {"aws:TagKeys": "x"}})}),
    (RESOURCE, {"Id": "any text", "Statement": grant({"AWS": ["123456789012", ALICE, "*"]}, Sid="any text")}),
    (RESOURCE, {"Statement": grant("*", Resource="*")}),
    (REGISTRY, {"Statement": grant("*", "ecr:ReplicateImage", Resource="arn:aws:ecr:local:123456789012:repository/*")}),
    (TRUST, {"Statement": grant({"Federated": "https://token.example"}, "sts:AssumeRoleWithWebIdentity",
                                Condition={"StringEquals": {"jwt:aud": "lading", "jwt:sub": "ci"}})}),
    (TRUST, {"Statement": grant({"Federated": "arn:aws:iam::123456789012:oidc-provider/git.example:8443/ci"},
                                "sts:AssumeRoleWithWebIdentity",
                                Condition={"StringLike": {"git.example:8443/ci:sub": "a:*", "localhost:80:x": "y"}})}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "policy"), VALID)
def test_valid_policies_have_no_findings(kind: PolicyKind, policy: Any) -> None:
    """What AWS's documents write is taken as it is."""
    assert validate_policy(json.dumps(policy), kind) == []


def test_white_space_does_not_count() -> None:
    """Policy size calculations do not include white space (IAM quotas)."""
    text = document(allow(["ecr:PutImage"] * 380))

    assert len(text) > 6144 > len(text.replace(" ", ""))
    assert validate_policy(text, IDENTITY) == []


def test_every_breach_is_found_in_the_order_of_the_text() -> None:
    """An author mends a document in one go."""
    text = '{\n"Version": "2012",\n"Statement": [\n{"Effect": "No",\n"Action": "ecr:Pull",\n"Resource": "x"}]}'

    findings = validate_policy(text, IDENTITY)

    assert [(found.line, found.field) for found in findings] == [
        (2, "Version"),
        (4, "Statement[0].Effect"),
        (5, "Statement[0].Action"),
        (6, "Statement[0].Resource"),
    ]
    assert str(findings[2]) == "line 5, Statement[0].Action: The action ecr:Pull does not exist."


ELEMENTS = ["Version", "Statement", "Sid", "Effect", "Action", "NotAction", "Resource", "Principal", "Condition"]
MEMBERS = st.text() | st.sampled_from([*ELEMENTS, "NotPrincipal", "AWS", "StringLike", "IpAddress", "aws:SourceIp"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(MEMBERS, inner),
)
OPERATORS = st.sampled_from(["StringLike", "DateEquals", "NumericLessThan", "IpAddress", "ArnLike", "Bool"])
VALUES = JSON | st.text("0123456789-:TZ.+/${}*'")
STATEMENTS = st.fixed_dictionaries(
    {
        "Effect": st.sampled_from(["Allow", "Deny"]),
        "Action": JSON | st.text("ecr:*?${}', "),
        "Resource": JSON | st.text("arn:*?${}', "),
    },
    optional={"Condition": st.dictionaries(OPERATORS, st.dictionaries(st.text(), VALUES))},
)
POLICIES = st.fixed_dictionaries({"Version": st.just("2012-10-17"), "Statement": STATEMENTS})
DOCUMENTS = st.text() | (JSON | POLICIES).map(json.dumps)


@given(DOCUMENTS, st.sampled_from(PolicyKind))
@example("[" * 100_000, IDENTITY)
@example('{"a":' * 30_000, IDENTITY)
@example("9" * 5000, IDENTITY)
@example('"\ud800"', IDENTITY)
def test_any_text_is_read_or_refused(text: str, kind: PolicyKind) -> None:
    """No text raises anything but PolicyInvalid, and parsing agrees with validation."""
    errors = [found for found in validate_policy(text, kind) if found.severity is Severity.ERROR]
    try:
        parse_policy(text, kind)
    except PolicyInvalid:
        assert errors
    else:
        assert not errors


@given(st.text(min_size=1), st.integers(0, 200))
def test_lines_are_within_the_text(text: str, position: int) -> None:
    """A finding points into the document."""
    broken = document(allow())[:position] + text

    assert all(1 <= found.line <= broken.count("\n") + 1 for found in validate_policy(broken, IDENTITY))


@pytest.mark.parametrize(
    "key",
    [
        "token.actions.githubusercontent.com:sub",
        "oidc.eks.eu-west-1.amazonaws.com/id/D43CF17C27A865933144EA99A26FB128:aud",
        "gitlab.example.com:8443:project_path",
        "keycloak:8080/realms/ci:groups",
        "tenant.eu.auth0.com/:https://example.com/roles",
        "kubernetes.default.svc:kubernetes.io/serviceaccount/name",
        "jwt:repository",
        "sts:RoleSessionName",
    ],
)
def test_a_trust_policy_asks_for_claims_by_the_name_of_their_provider(key: str) -> None:
    assert validate_policy(document(grant("*", "sts:AssumeRole", Condition={"StringEquals": {key: "x"}})), TRUST) == []
