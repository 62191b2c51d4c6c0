"""The condition operators of IAM, and when a condition holds.

- The operators of a block, and the keys of an operator, must all hold; of the values for a key, any one.
- Negated operators hold when no value matches, so they hold for a missing key too; others do not.
- Source: IAM User Guide, "Condition operators" and "Conditions with multiple keys or values".
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum, auto
from operator import eq, ge, gt, le, lt
from types import MappingProxyType
from typing import Final

from auth.policy.comparisons import (
    Networks,
    parse_address,
    parse_boolean,
    parse_bytes,
    parse_instant,
    parse_network,
    parse_number,
)
from auth.policy.context import Context
from auth.policy.patterns import arn_patterns, string_patterns

Compare = Callable[[Decimal, Decimal], bool]
Test = Callable[[str, Context], bool]


class Family(Enum):
    """What an operator compares."""

    STRING = "String"
    STRING_IGNORE_CASE = "StringIgnoreCase"
    STRING_LIKE = "StringLike"
    NUMERIC = "Numeric"
    DATE = "Date"
    BOOL = "Bool"
    BINARY = "Binary"
    IP_ADDRESS = "IpAddress"
    ARN = "Arn"
    NULL = "Null"


TAKE_VARIABLES: Final = frozenset({Family.STRING, Family.STRING_IGNORE_CASE, Family.STRING_LIKE, Family.ARN})
"""The families whose values may hold policy variables."""


class Quantifier(Enum):
    """How the several values of one key count."""

    NONE = auto()
    FOR_ALL = auto()
    FOR_ANY = auto()


@dataclass(frozen=True, slots=True)
class Operator:
    """A condition operator as a policy names it."""

    family: Family
    negated: bool = False
    compare: Compare = eq
    quantifier: Quantifier = Quantifier.NONE
    if_exists: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One key of one operator; `key` is in lower case."""

    operator: Operator
    key: str
    test: Test

    def holds(self, context: Context) -> bool:
        """Whether the request meets it."""
        operator, values = self.operator, context.values(self.key)
        if operator.family is Family.NULL:
            return self.test("false" if values else "true", context)
        if not values:
            return self._holds_without_values()
        match operator.quantifier:
            case Quantifier.NONE:
                return any(self.test(value, context) for value in values) != operator.negated
            case Quantifier.FOR_ALL:
                return not any(values) or all(self.test(value, context) != operator.negated for value in values)
            case Quantifier.FOR_ANY:
                return any(values) and any(self.test(value, context) != operator.negated for value in values)

    def _holds_without_values(self) -> bool:
        operator = self.operator
        if operator.if_exists or operator.quantifier is Quantifier.FOR_ALL:
            return True
        return operator.negated and operator.quantifier is Quantifier.NONE


_ORDERED: Final[tuple[tuple[str, bool, Compare], ...]] = (
    ("Equals", False, eq),
    ("NotEquals", True, eq),
    ("LessThan", False, lt),
    ("LessThanEquals", False, le),
    ("GreaterThan", False, gt),
    ("GreaterThanEquals", False, ge),
)

_OPERATORS: Final = MappingProxyType(
    {
        "StringEquals": Operator(Family.STRING),
        "StringNotEquals": Operator(Family.STRING, negated=True),
        "StringEqualsIgnoreCase": Operator(Family.STRING_IGNORE_CASE),
        "StringNotEqualsIgnoreCase": Operator(Family.STRING_IGNORE_CASE, negated=True),
        "StringLike": Operator(Family.STRING_LIKE),
        "StringNotLike": Operator(Family.STRING_LIKE, negated=True),
        "Bool": Operator(Family.BOOL),
        "BinaryEquals": Operator(Family.BINARY),
        "IpAddress": Operator(Family.IP_ADDRESS),
        "NotIpAddress": Operator(Family.IP_ADDRESS, negated=True),
        "ArnEquals": Operator(Family.ARN),
        "ArnNotEquals": Operator(Family.ARN, negated=True),
        "ArnLike": Operator(Family.ARN),
        "ArnNotLike": Operator(Family.ARN, negated=True),
        "Null": Operator(Family.NULL),
    }
    | {f"Numeric{name}": Operator(Family.NUMERIC, negated, compare) for name, negated, compare in _ORDERED}
    | {f"Date{name}": Operator(Family.DATE, negated, compare) for name, negated, compare in _ORDERED}
)

_QUANTIFIERS: Final = (("ForAllValues:", Quantifier.FOR_ALL), ("ForAnyValue:", Quantifier.FOR_ANY))
_IF_EXISTS: Final = "IfExists"

_PARSERS: Final[MappingProxyType[Family, tuple[Callable[[str], object], str]]] = MappingProxyType(
    {
        Family.NUMERIC: (parse_number, "a valid numeric value"),
        Family.DATE: (parse_instant, "a valid date: YYYY-MM-DD, another ISO 8601 date and time, or epoch seconds"),
        Family.BOOL: (parse_boolean, "a valid Boolean value (true or false)"),
        Family.NULL: (parse_boolean, "a valid Boolean value (true or false)"),
        Family.BINARY: (parse_bytes, "a valid base64-encoded string value"),
        Family.IP_ADDRESS: (parse_network, "a valid IP address or range in standard CIDR format"),
    }
)


def parse_operator(name: str) -> Operator | None:
    """The operator of this name; None if there is none. Null takes neither prefix nor suffix."""
    quantifier = Quantifier.NONE
    for prefix, meaning in _QUANTIFIERS:
        if name.startswith(prefix):
            name, quantifier = name.removeprefix(prefix), meaning
    if_exists = name.endswith(_IF_EXISTS)
    plain = _OPERATORS.get(name.removesuffix(_IF_EXISTS))
    if plain is None or (quantifier is Quantifier.NONE and not if_exists):
        return plain
    if plain.family is Family.NULL:
        return None
    return Operator(plain.family, plain.negated, plain.compare, quantifier, if_exists)


def expected_value(operator: Operator, value: str) -> str | None:
    """What should stand where this value does; None if the value will do."""
    parser = _PARSERS.get(operator.family)
    return parser[1] if parser is not None and parser[0](value) is None else None


def compile_condition(operator: Operator, key: str, values: Sequence[str], *, variables: bool) -> Condition:
    """A condition ready to be asked; values that the operator does not take match nothing. Raises VariableInvalid."""
    return Condition(operator, key.lower(), _test(operator, values, variables=variables))


def _test(operator: Operator, values: Sequence[str], *, variables: bool) -> Test:
    match operator.family:
        case Family.STRING | Family.STRING_IGNORE_CASE | Family.STRING_LIKE as family:
            return string_patterns(
                values,
                variables=variables,
                wildcards=family is Family.STRING_LIKE,
                fold=family is Family.STRING_IGNORE_CASE,
            ).matches
        case Family.ARN:
            return arn_patterns(values, variables=variables, complete=False).matches
        case Family.NUMERIC | Family.DATE as family:
            return _ordered_test(parse_number if family is Family.NUMERIC else parse_instant, operator.compare, values)
        case Family.BOOL | Family.NULL | Family.BINARY as family:
            return _parsed_test(parse_bytes if family is Family.BINARY else parse_boolean, values)
        case Family.IP_ADDRESS:
            return _address_test(values)


def _ordered_test(parse: Callable[[str], Decimal | None], compare: Compare, values: Sequence[str]) -> Test:
    limits = [limit for limit in map(parse, values) if limit is not None]

    def test(text: str, _context: Context) -> bool:
        value = parse(text)
        return value is not None and any(compare(value, limit) for limit in limits)

    return test


def _parsed_test(parse: Callable[[str], bool | bytes | None], values: Sequence[str]) -> Test:
    wanted = frozenset(value for value in map(parse, values) if value is not None)
    return lambda text, _context: parse(text) in wanted


def _address_test(values: Sequence[str]) -> Test:
    networks = Networks.of([network for network in map(parse_network, values) if network is not None])

    def test(text: str, _context: Context) -> bool:
        address = parse_address(text)
        return address is not None and networks.hold(address)

    return test
