"""The elements of a statement that say who may do what to what: Action, Resource, Principal and their opposites."""

import re
from typing import Final

from auth.policy.context import NO_CONTEXT
from auth.policy.document import Actions, Audience, Effect, PolicyKind, Resources
from auth.policy.findings import Findings, Rule
from auth.policy.members import Text, join, members_of, texts_of
from auth.policy.patterns import ARN_PARTS, action_patterns, arn_parts, arn_patterns
from auth.policy.reading import Member, Object
from auth.policy.requesters import Principals
from auth.policy.templates import Token, Variable, VariableInvalid, has_variable_syntax
from auth.policy.vocabulary import ACTIONS_IN_LOWER_CASE, CHECKED_PREFIXES, is_known_key

_ACTION = re.compile(r"(?P<service>[A-Za-z0-9*?-]+):(?P<name>[A-Za-z0-9*?]+)")
_EVERY_ACTION: Final = frozenset({"*", "*:*"})
_ACCOUNT_ID = re.compile(r"[0-9]{12}")
_ACCOUNT_ARN = re.compile(r"arn:aws[a-z-]*:iam::([0-9]{12}):root")
_PRINCIPAL_ARN = re.compile(
    r"arn:aws[a-z-]*:(?:iam::[0-9]{12}:(?:user|role)/[!-~]+|sts::[0-9]{12}:(?:assumed-role/[^/\s*?]+|federated-user)/[!-~]+)"
)
_SERVICE: Final = 2


def read_actions(member: Member, field: str, findings: Findings) -> Actions:
    """Read Action or NotAction."""
    texts = texts_of(member.node, join(field, member.name), findings)
    for text in texts:
        _check_action(text, findings)
    return Actions(action_patterns(text.value for text in texts), member.name == "NotAction")


def read_resources(member: Member, field: str, findings: Findings, *, variables: bool) -> Resources | None:
    """Read Resource or NotResource; None, with findings, if it cannot be used."""
    texts = texts_of(member.node, join(field, member.name), findings)
    usable = [text.value for text in texts if _check_resource(text, findings, variables=variables)]
    return Resources(arn_patterns(usable, variables=variables, complete=True), member.name == "NotResource")


def read_audience(member: Member, field: str, findings: Findings, kind: PolicyKind, effect: Effect | None) -> Audience:
    """Read Principal or NotPrincipal."""
    negated = member.name == "NotPrincipal"
    path = join(field, member.name)
    if negated and kind is PolicyKind.TRUST:
        message = "Role trust policies do not support NotPrincipal. Use Principal instead."
        findings.error(Rule.UNSUPPORTED_ELEMENT, member.start, path, message)
    elif negated and effect is Effect.ALLOW:
        message = "Using Allow with NotPrincipal can be overly permissive. We recommend that you use Principal instead."
        findings.warn(Rule.ALLOW_WITH_NOT_PRINCIPAL, member.start, path, message)
    return Audience(_read_principals(member, path, findings), negated)


def check_variables(tokens: tuple[Token, ...], text: Text, findings: Findings) -> None:
    """Warn of variables whose keys no request carries."""
    for token in tokens:
        if isinstance(token, Variable) and not is_known_key(token.key):
            message = f"The policy variable {token.key} does not exist: it never has a value."
            findings.warn(Rule.UNKNOWN_CONDITION_KEY, text.start, text.field, message)


def check_version(text: Text, findings: Findings) -> None:
    """Warn of what would be a variable under a version that knows them."""
    if has_variable_syntax(text.value):
        message = 'To include variables in your policy, use "Version": "2012-10-17"; here ${ is literal text.'
        findings.warn(Rule.VARIABLE_NEEDS_VERSION, text.start, text.field, message)


def _check_action(text: Text, findings: Findings) -> None:
    if text.value in _EVERY_ACTION:
        return
    action = _ACTION.fullmatch(text.value)
    if action is None:
        message = f"The action {text.value} must be * or prefaced by a service, for example ecr:BatchGetImage."
        findings.error(Rule.INVALID_ACTION, text.start, text.field, message)
    elif {"*", "?"} & set(action["service"]):
        message = "Avoid using wildcards (*, ?) in the service name because it might grant access to other services."
        findings.warn(Rule.WILDCARD_IN_SERVICE, text.start, text.field, message)
    elif action["service"].lower() in CHECKED_PREFIXES:
        _check_action_exists(text, findings)


def _check_action_exists(text: Text, findings: Findings) -> None:
    lowered = text.value.lower()
    if lowered in ACTIONS_IN_LOWER_CASE:
        return
    patterns = action_patterns([text.value])
    if not {"*", "?"} & set(lowered):
        message = f"The action {text.value} does not exist."
        findings.error(Rule.INVALID_ACTION, text.start, text.field, message)
    elif not any(patterns.matches(action, NO_CONTEXT) for action in ACTIONS_IN_LOWER_CASE):
        message = f"No action matches {text.value}."
        findings.warn(Rule.INVALID_ACTION, text.start, text.field, message)


def _check_resource(text: Text, findings: Findings, *, variables: bool) -> bool:
    """Whether the pattern can be compiled; whatever is wrong with it is found."""
    if not variables:
        check_version(text, findings)
    try:
        parts = arn_parts(text.value, variables=variables)
    except VariableInvalid as error:
        findings.error(Rule.INVALID_VARIABLE, text.start, text.field, str(error))
        return False
    if len(parts) == 1 and text.value.strip("*") == "" != text.value:
        return True
    if parts[0] != ("arn",):
        message = f'Resource {text.value} must be in ARN format or "*".'
        findings.error(Rule.INVALID_RESOURCE, text.start, text.field, message)
        return False
    _check_arn_parts(parts, text, findings)
    return True


def _check_arn_parts(parts: tuple[tuple[Token, ...], ...], text: Text, findings: Findings) -> None:
    if len(parts) < ARN_PARTS:
        message = "The ARN has fewer than six fields; the missing ones match anything. Write them out."
        findings.warn(Rule.INCOMPLETE_ARN, text.start, text.field, message)
    if len(parts) > _SERVICE and not all(isinstance(token, str | Variable) for token in parts[_SERVICE]):
        message = "A wildcard is not supported in the service segment of an ARN; name the service."
        findings.warn(Rule.WILDCARD_IN_SERVICE, text.start, text.field, message)
    if any(isinstance(token, Variable) for part in parts[: ARN_PARTS - 1] for token in part):
        message = "Policy variables are supported only after the fifth colon of a Resource ARN."
        findings.error(Rule.UNSUPPORTED_VARIABLE, text.start, text.field, message)
    check_variables(parts[-1], text, findings)


def _read_principals(member: Member, path: str, findings: Findings) -> Principals:
    if not isinstance(member.node, Object):
        texts = texts_of(member.node, path, findings)
        if [text.value for text in texts] != ["*"] or len(texts) != 1:
            message = 'The Principal element is "*" or a map such as {"AWS": "123456789012"}.'
            findings.error(Rule.INVALID_PRINCIPAL, member.node.start, path, message)
        return Principals(everyone=True)
    kinds = members_of(member.node, path, findings, known=("AWS", "Federated", "Service"))
    if not member.node.members:
        message = "This statement includes no principals. Specify principals."
        findings.error(Rule.INVALID_PRINCIPAL, member.node.start, path, message)
    named = {name: texts_of(kind.node, join(path, name), findings) for name, kind in kinds.items()}
    for text in named.get("Service", []):
        message = f"The service principal {text.value} never calls this registry."
        findings.warn(Rule.UNUSABLE_PRINCIPAL, text.start, text.field, message)
    accounts = {account for text in named.get("AWS", []) if (account := _account(text.value))}
    arns = {text.value for text in named.get("AWS", []) if _is_identity(text, findings)}
    federated = {text.value for text in named.get("Federated", []) if _is_provider(text, findings)}
    everyone = any(text.value == "*" for text in named.get("AWS", []))
    return Principals(everyone, frozenset(accounts), frozenset(arns), frozenset(federated))


def _account(principal: str) -> str | None:
    if _ACCOUNT_ID.fullmatch(principal):
        return principal
    account = _ACCOUNT_ARN.fullmatch(principal)
    return account[1] if account else None


def _is_identity(text: Text, findings: Findings) -> bool:
    """Whether this names a user, role or session; what names nothing at all is an error."""
    if text.value == "*" or _account(text.value):
        return False
    if _PRINCIPAL_ARN.fullmatch(text.value) and not {"*", "?"} & set(text.value):
        return True
    message = f"Invalid principal in policy: {text.value}. Use *, an account, or the ARN of a user, role or session."
    findings.error(Rule.INVALID_PRINCIPAL, text.start, text.field, message)
    return False


def _is_provider(text: Text, findings: Findings) -> bool:
    if text.value and not {"*", "?"} & set(text.value):
        return True
    message = "Wildcards (*, ?) are not supported with the principal key Federated. Name the identity provider."
    findings.error(Rule.INVALID_PRINCIPAL, text.start, text.field, message)
    return False
