"""The Condition element: operators, keys and values, checked and compiled."""

from collections.abc import Iterable

from auth.policy.conditions import (
    TAKE_VARIABLES,
    Condition,
    Family,
    Operator,
    Quantifier,
    compile_condition,
    expected_value,
    parse_operator,
)
from auth.policy.context import NO_CONTEXT
from auth.policy.document import Effect
from auth.policy.elements import check_variables, check_version
from auth.policy.findings import Findings, Rule
from auth.policy.members import Text, items_of, join, members_of, value_of
from auth.policy.reading import Array, Member
from auth.policy.templates import VariableInvalid, has_variable_syntax, tokenise
from auth.policy.vocabulary import MULTIVALUED_KEYS, is_known_key


def read_conditions(
    member: Member, field: str, findings: Findings, effect: Effect | None, *, variables: bool
) -> tuple[Condition, ...]:
    """Read a Condition block; what cannot be used is left out, with a finding."""
    path = join(field, member.name)
    conditions: list[tuple[Member, str, Condition]] = []
    for name, block in members_of(member.node, path, findings, known=None).items():
        operator = parse_operator(name)
        if operator is None:
            message = f"The condition operator {name} is not valid. Use a valid condition operator."
            findings.error(Rule.INVALID_OPERATOR, block.start, join(path, name), message)
            continue
        keys = members_of(block.node, join(path, name), findings, known=None)
        _check_case(keys.values(), join(path, name), findings)
        for key in keys.values():
            key_path = join(join(path, name), key.name)
            condition = _read_condition(key, key_path, findings, operator, variables=variables)
            if condition is not None:
                conditions.append((key, key_path, condition))
    if effect is Effect.ALLOW:
        _check_for_all(conditions, findings)
    return tuple(condition for _, _, condition in conditions)


def _read_condition(
    key: Member, path: str, findings: Findings, operator: Operator, *, variables: bool
) -> Condition | None:
    _check_key(key, path, findings, operator)
    values = [text for item, place in items_of(key.node, path) if (text := value_of(item, place, findings)) is not None]
    if isinstance(key.node, Array) and not key.node.items:
        message = f"There are no values for the condition key {key.name}: no value of a request matches."
        findings.warn(Rule.EMPTY_CONDITION_VALUES, key.start, path, message)
    usable = [_check_value(value, findings, operator, variables=variables) for value in values]
    if not all(usable):
        return None
    return compile_condition(operator, key.name, [value.value for value in values], variables=variables)


def _check_key(key: Member, path: str, findings: Findings, operator: Operator) -> None:
    if not is_known_key(key.name):
        message = f"The condition key {key.name} does not exist: no request carries it."
        findings.warn(Rule.UNKNOWN_CONDITION_KEY, key.start, path, message)
    single = operator.quantifier is Quantifier.NONE and operator.family is not Family.NULL
    if single and key.name.lower() in MULTIVALUED_KEYS:
        message = f"The request context key {key.name} has multiple values. Use ForAllValues or ForAnyValue."
        findings.warn(Rule.MISSING_QUALIFIER, key.start, path, message)


def _check_value(value: Text, findings: Findings, operator: Operator, *, variables: bool) -> bool:
    if operator.family in TAKE_VARIABLES:
        return _check_variables(value, findings, variables=variables)
    if has_variable_syntax(value.value):
        message = "Policy variables can only be used with String and ARN operators."
        findings.error(Rule.UNSUPPORTED_VARIABLE, value.start, value.field, message)
        return False
    expected = expected_value(operator, value.value)
    if expected is not None:
        message = f"{value.value!r} will not do: the condition operator takes {expected}."
        findings.error(Rule.INVALID_CONDITION_VALUE, value.start, value.field, message)
    return expected is None


def _check_variables(value: Text, findings: Findings, *, variables: bool) -> bool:
    if not variables:
        check_version(value, findings)
        return True
    try:
        check_variables(tokenise(value.value, variables=True, wildcards=True), value, findings)
    except VariableInvalid as error:
        findings.error(Rule.INVALID_VARIABLE, value.start, value.field, str(error))
        return False
    return True


def _check_case(keys: Iterable[Member], path: str, findings: Findings) -> None:
    """Condition keys are case-insensitive, so one may not stand twice in different letters."""
    seen: set[str] = set()
    for key in keys:
        if key.name.lower() in seen:
            message = f"The condition key {key.name} appears more than once with different capitalization."
            findings.error(Rule.DUPLICATE_MEMBER, key.start, join(path, key.name), message)
        seen.add(key.name.lower())


def _check_for_all(conditions: list[tuple[Member, str, Condition]], findings: Findings) -> None:
    """Warn of an Allow that a request without the key would pass (IAM User Guide, ForAllValues)."""
    required = {condition.key for _, _, condition in conditions if _requires_key(condition)}
    for key, path, condition in conditions:
        if condition.operator.quantifier is Quantifier.FOR_ALL and condition.key not in required:
            message = (
                f"ForAllValues with Allow also matches when the request lacks {key.name}, or it is empty. "
                f'Add "Null": {{"{key.name}": "false"}}.'
            )
            findings.warn(Rule.FORALLVALUES_WITH_ALLOW, key.start, path, message)


def _requires_key(condition: Condition) -> bool:
    """Whether this is a Null that holds only if the key is there."""
    is_null = condition.operator.family is Family.NULL
    return is_null and condition.test("false", NO_CONTEXT) and not condition.test("true", NO_CONTEXT)
