"""What is wrong with a policy document: where, which rule, and in AWS's words where AWS has words for it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from auth.errors import AuthError

_MOST_NAMED: Final = 10


class Severity(StrEnum):
    """Whether a finding keeps the policy from being used."""

    ERROR = "error"
    WARNING = "warning"


class Rule(StrEnum):
    """The rules of the grammar, named as IAM Access Analyzer's policy checks name them where it has the check."""

    JSON_SYNTAX_ERROR = "JSON_SYNTAX_ERROR"
    DEPTH_EXCEEDED = "DEPTH_EXCEEDED"
    POLICY_SIZE_EXCEEDED = "POLICY_SIZE_EXCEEDED"
    DUPLICATE_MEMBER = "DUPLICATE_MEMBER"
    UNKNOWN_MEMBER = "UNKNOWN_MEMBER"
    DATA_TYPE_MISMATCH = "DATA_TYPE_MISMATCH"
    INVALID_VERSION = "INVALID_VERSION"
    UNSUPPORTED_ELEMENT = "UNSUPPORTED_ELEMENT"
    UNSUPPORTED_ELEMENT_COMBINATION = "UNSUPPORTED_ELEMENT_COMBINATION"
    EMPTY_LIST = "EMPTY_LIST"
    MISSING_STATEMENT = "MISSING_STATEMENT"
    MISSING_EFFECT = "MISSING_EFFECT"
    MISSING_ACTION = "MISSING_ACTION"
    MISSING_RESOURCE = "MISSING_RESOURCE"
    MISSING_PRINCIPAL = "MISSING_PRINCIPAL"
    INVALID_EFFECT = "INVALID_EFFECT"
    INVALID_SID = "INVALID_SID"
    DUPLICATE_SID = "DUPLICATE_SID"
    INVALID_ACTION = "INVALID_ACTION"
    INVALID_PRINCIPAL = "INVALID_PRINCIPAL"
    UNUSABLE_PRINCIPAL = "UNUSABLE_PRINCIPAL"
    ALLOW_WITH_NOT_PRINCIPAL = "ALLOW_WITH_NOT_PRINCIPAL"
    ALLOW_WITHOUT_CLAIM = "ALLOW_WITHOUT_CLAIM"
    INVALID_RESOURCE = "INVALID_RESOURCE"
    INCOMPLETE_ARN = "INCOMPLETE_ARN"
    WILDCARD_IN_SERVICE = "WILDCARD_IN_SERVICE"
    INVALID_VARIABLE = "INVALID_VARIABLE"
    UNSUPPORTED_VARIABLE = "UNSUPPORTED_VARIABLE"
    VARIABLE_NEEDS_VERSION = "VARIABLE_NEEDS_VERSION"
    INVALID_OPERATOR = "INVALID_OPERATOR"
    INVALID_CONDITION_VALUE = "INVALID_CONDITION_VALUE"
    EMPTY_CONDITION_VALUES = "EMPTY_CONDITION_VALUES"
    UNKNOWN_CONDITION_KEY = "UNKNOWN_CONDITION_KEY"
    MISSING_QUALIFIER = "MISSING_QUALIFIER"
    FORALLVALUES_WITH_ALLOW = "FORALLVALUES_WITH_ALLOW"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know about a policy document.

    `line` counts from 1; `field` is a path such as `Statement[1].Condition.StringLike`, empty for the document itself.
    """

    severity: Severity
    rule: Rule
    line: int
    field: str
    message: str

    def __str__(self) -> str:
        """The finding as a line for people."""
        return f"line {self.line}{f', {self.field}' if self.field else ''}: {self.message}"


class Findings:
    """The findings about one text, as they are made."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._findings: list[tuple[int, Finding]] = []

    @property
    def has_errors(self) -> bool:
        """Whether anything found so far keeps the policy from being used."""
        return any(finding.severity is Severity.ERROR for _, finding in self._findings)

    def error(self, rule: Rule, position: int, field: str, message: str) -> None:
        """Add what makes the policy invalid."""
        self._add(Severity.ERROR, rule, position, field, message)

    def warn(self, rule: Rule, position: int, field: str, message: str) -> None:
        """Add what the policy's author should know."""
        self._add(Severity.WARNING, rule, position, field, message)

    def in_order(self) -> list[Finding]:
        """Everything found, in the order of the text."""
        return [finding for _, finding in sorted(self._findings, key=lambda found: found[0])]

    def _add(self, severity: Severity, rule: Rule, position: int, field: str, message: str) -> None:
        line = self._text.count("\n", 0, position) + 1
        self._findings.append((position, Finding(severity, rule, line, field, message)))


class PolicyInvalid(AuthError):
    """The policy document breaks the grammar; nothing of it applies."""

    def __init__(self, findings: Iterable[Finding]) -> None:
        self.findings = tuple(findings)
        errors = [str(finding) for finding in self.findings if finding.severity is Severity.ERROR]
        more = [f"and {len(errors) - _MOST_NAMED} more"] if len(errors) > _MOST_NAMED else []
        super().__init__("invalid policy: " + "; ".join([*errors[:_MOST_NAMED], *more]))
