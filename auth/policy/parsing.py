"""Policy documents: the IAM JSON grammar, every breach found with its line and its field.

- Nothing but PolicyInvalid comes of a text, whatever it holds; work and depth are bounded by its length.
- The grammar is that of the IAM User Guide, "Grammar of the IAM JSON policy language", with its notes; what an
  attachment must not have is refused for that attachment.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from auth.policy.clauses import read_conditions
from auth.policy.document import VERSIONS, Actions, Audience, Effect, Policy, PolicyKind, Resources, Statement
from auth.policy.elements import read_actions, read_audience, read_resources
from auth.policy.findings import Finding, Findings, PolicyInvalid, Rule
from auth.policy.members import Text, items_of, join, members_of, text_of
from auth.policy.patterns import PatternSet
from auth.policy.reading import Array, JsonInvalid, Member, Node, read_json
from auth.policy.trust import check_trust

MOST_CHARACTERS: Final[Mapping[PolicyKind, int]] = MappingProxyType(
    {
        PolicyKind.IDENTITY: 6144,
        PolicyKind.RESOURCE: 10240,
        PolicyKind.REGISTRY: 10240,
        PolicyKind.TRUST: 4096,
    }
)
"""The characters that a document may have, white space not counted (IAM and Amazon ECR quotas)."""

_MOST_CHARACTERS_READ: Final = 128 * 1024
_SPACE = re.compile(r"\s+")
_IDENTITY_SID = re.compile(r"[A-Za-z0-9]*")
_UNREADABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_DOCUMENT: Final = ("Version", "Id", "Statement")
_STATEMENT: Final = (
    *("Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction"),
    *("Resource", "NotResource", "Condition"),
)
_NO_ACTIONS: Final = Actions(PatternSet(), negated=False)


def parse_policy(text: str, kind: PolicyKind) -> Policy:
    """Read, check and compile a policy. Raises PolicyInvalid, which carries every finding, warnings included."""
    findings = Findings(text)
    policy = _read(text, kind, findings)
    if policy is None or findings.has_errors:
        raise PolicyInvalid(findings.in_order())
    return policy


def validate_policy(text: str, kind: PolicyKind) -> list[Finding]:
    """Everything to say about a policy, in the order of its text; it can be used if no finding is an error."""
    findings = Findings(text)
    _read(text, kind, findings)
    return findings.in_order()


def _read(text: str, kind: PolicyKind, findings: Findings) -> Policy | None:
    size = len(_SPACE.sub("", text)) if len(text) <= _MOST_CHARACTERS_READ else len(text)
    if size > MOST_CHARACTERS[kind]:
        message = (
            f"The {size} characters in the {kind.value} policy, excluding whitespace, "
            f"exceed the {MOST_CHARACTERS[kind]} character maximum."
        )
        findings.error(Rule.POLICY_SIZE_EXCEEDED, 0, "", message)
        return None
    try:
        node = read_json(text)
    except JsonInvalid as error:
        rule = Rule.DEPTH_EXCEEDED if error.too_deep else Rule.JSON_SYNTAX_ERROR
        findings.error(rule, error.position, "", f"Fix the JSON syntax error: {error.message}.")
        return None
    return _Document(kind, findings).read(node)


class _Document:
    """One reading of one document."""

    def __init__(self, kind: PolicyKind, findings: Findings) -> None:
        self._kind = kind
        self._findings = findings
        self._sids: set[str] = set()
        self._variables = False

    def read(self, node: Node) -> Policy:
        members = members_of(node, "", self._findings, known=_DOCUMENT)
        version = self._version(members.get("Version"))
        self._variables = version != VERSIONS[0]
        identifier = self._id(members.get("Id"))
        return Policy(self._kind, version, identifier, self._statements(node, members.get("Statement")))

    def _version(self, member: Member | None) -> str:
        text = text_of(member.node, "Version", self._findings) if member is not None else None
        if text is None:
            return VERSIONS[0]
        if text.value not in VERSIONS:
            message = f"The version {text.value} is not valid. Use {' or '.join(VERSIONS)}."
            self._findings.error(Rule.INVALID_VERSION, text.start, "Version", message)
        return text.value

    def _id(self, member: Member | None) -> str | None:
        if member is None:
            return None
        if self._kind is PolicyKind.IDENTITY:
            message = "The Id element is for resource-based policies. Remove it."
            self._findings.warn(Rule.UNSUPPORTED_ELEMENT, member.start, "Id", message)
        text = text_of(member.node, "Id", self._findings)
        return text.value if text is not None else None

    def _statements(self, document: Node, member: Member | None) -> tuple[Statement, ...]:
        if member is None or (isinstance(member.node, Array) and not member.node.items):
            start = document.start if member is None else member.start
            self._findings.error(Rule.MISSING_STATEMENT, start, "Statement", "Add a statement to the policy.")
            return ()
        items = items_of(member.node, "Statement")
        return tuple(self._statement(index, node, field) for index, (node, field) in enumerate(items))

    def _statement(self, index: int, node: Node, field: str) -> Statement:
        members = members_of(node, field, self._findings, known=_STATEMENT)
        effect = self._effect(node, field, members.get("Effect"))
        statement = Statement(
            index=index,
            sid=self._sid(field, members.get("Sid")),
            effect=effect or Effect.DENY,
            actions=self._actions(node, field, members),
            resources=self._resources(node, field, members),
            audience=self._audience(node, field, members, effect),
            conditions=read_conditions(members["Condition"], field, self._findings, effect, variables=self._variables)
            if "Condition" in members
            else (),
        )
        if self._kind is PolicyKind.TRUST and "Principal" in members:
            check_trust(statement, members["Principal"], field, self._findings)
        return statement

    def _effect(self, node: Node, field: str, member: Member | None) -> Effect | None:
        path = join(field, "Effect")
        if member is None:
            message = "Add an Effect element to the policy statement with a value of Allow or Deny."
            self._findings.error(Rule.MISSING_EFFECT, node.start, path, message)
            return None
        text = text_of(member.node, path, self._findings)
        if text is None:
            return None
        try:
            return Effect(text.value)
        except ValueError:
            message = f"The effect {text.value} is not valid. Use Allow or Deny."
            self._findings.error(Rule.INVALID_EFFECT, text.start, path, message)
            return None

    def _sid(self, field: str, member: Member | None) -> str | None:
        text = text_of(member.node, join(field, "Sid"), self._findings) if member is not None else None
        if text is None or not text.value:  # tools write an empty one where there is none
            return None
        if self._kind is PolicyKind.IDENTITY and not _IDENTITY_SID.fullmatch(text.value):
            message = "Update the characters in the Sid element to use [a-z, A-Z, 0-9]."
            self._findings.error(Rule.INVALID_SID, text.start, text.field, message)
        elif _UNREADABLE.search(text.value):
            # Refusals say it to whoever was refused, on whatever terminal.
            message = "The Sid element holds control characters. Use text that can be read."
            self._findings.error(Rule.INVALID_SID, text.start, text.field, message)
        if text.value in self._sids:
            self._refuse_repeated(text)
        self._sids.add(text.value)
        return text.value

    def _refuse_repeated(self, text: Text) -> None:
        message = f"Statement IDs (SID) in a single policy must be unique: {text.value} stands twice."
        if self._kind is PolicyKind.IDENTITY:
            self._findings.error(Rule.DUPLICATE_SID, text.start, text.field, message)
        else:
            self._findings.warn(Rule.DUPLICATE_SID, text.start, text.field, message)

    def _actions(self, node: Node, field: str, members: Mapping[str, Member]) -> Actions:
        member = self._one_of(field, members, "Action", "NotAction")
        if member is None:
            message = "Add an Action or NotAction element to the policy statement."
            self._findings.error(Rule.MISSING_ACTION, node.start, join(field, "Action"), message)
            return _NO_ACTIONS
        return read_actions(member, field, self._findings)

    def _resources(self, node: Node, field: str, members: Mapping[str, Member]) -> Resources | None:
        member = self._one_of(field, members, "Resource", "NotResource")
        if member is None:
            if self._kind in {PolicyKind.IDENTITY, PolicyKind.REGISTRY}:
                message = "Add a Resource or NotResource element to the policy statement."
                self._findings.error(Rule.MISSING_RESOURCE, node.start, join(field, "Resource"), message)
            return None
        if self._kind is PolicyKind.TRUST:
            message = "Role trust policies apply to the role that they are attached to. Remove the element."
            self._findings.error(Rule.UNSUPPORTED_ELEMENT, member.start, join(field, member.name), message)
        return read_resources(member, field, self._findings, variables=self._variables)

    def _audience(
        self, node: Node, field: str, members: Mapping[str, Member], effect: Effect | None
    ) -> Audience | None:
        member = self._one_of(field, members, "Principal", "NotPrincipal")
        if self._kind is PolicyKind.IDENTITY:
            if member is not None:
                message = f"Identity-based policies do not support the {member.name} element. Remove it."
                self._findings.error(Rule.UNSUPPORTED_ELEMENT, member.start, join(field, member.name), message)
            return None
        if member is None:
            message = "Add a Principal element to the policy statement."
            self._findings.error(Rule.MISSING_PRINCIPAL, node.start, join(field, "Principal"), message)
            return None
        return read_audience(member, field, self._findings, self._kind, effect)

    def _one_of(self, field: str, members: Mapping[str, Member], name: str, opposite: str) -> Member | None:
        member, other = members.get(name), members.get(opposite)
        if member is not None and other is not None:
            message = f"The policy elements {name} and {opposite} can not be used in the same statement. Remove one."
            self._findings.error(Rule.UNSUPPORTED_ELEMENT_COMBINATION, other.start, join(field, opposite), message)
        return member or other
