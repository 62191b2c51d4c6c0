"""The members and lists of a policy document, with a finding for each that is unknown, repeated or of another type."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from auth.policy.findings import Findings, Rule
from auth.policy.reading import Array, Member, Node, Number, Object, Scalar


@dataclass(frozen=True, slots=True)
class Text:
    """A string of the document: where it stands, its field, and what it says."""

    start: int
    field: str
    value: str


def members_of(node: Node, field: str, findings: Findings, *, known: Collection[str] | None) -> Mapping[str, Member]:
    """The members of an object by name; nothing if it is no object. With `known`, others are errors."""
    if not isinstance(node, Object):
        findings.error(Rule.DATA_TYPE_MISMATCH, node.start, field, "The text does not match the expected type: object.")
        return {}
    members: dict[str, Member] = {}
    for member in node.members:
        path = join(field, member.name)
        if member.name in members:
            message = f"{member.name} appears more than once. Remove the duplicate."
            findings.error(Rule.DUPLICATE_MEMBER, member.start, path, message)
        elif known is not None and member.name not in known:
            message = f"{member.name} is not an element of the policy grammar here."
            findings.error(Rule.UNKNOWN_MEMBER, member.start, path, message)
        else:
            members[member.name] = member
    return members


def text_of(node: Node, field: str, findings: Findings) -> Text | None:
    """A string; None, with a finding, if it is something else."""
    if isinstance(node, Scalar) and isinstance(node.value, str) and not isinstance(node.value, Number):
        return Text(node.start, field, node.value)
    findings.error(Rule.DATA_TYPE_MISMATCH, node.start, field, "The text does not match the expected type: string.")
    return None


def texts_of(node: Node, field: str, findings: Findings) -> list[Text]:
    """A string or a list of strings that is not empty."""
    if isinstance(node, Array) and not node.items:
        findings.error(Rule.EMPTY_LIST, node.start, field, "The list is empty. Name at least one value.")
    return [text for item, path in items_of(node, field) if (text := text_of(item, path, findings)) is not None]


def value_of(node: Node, field: str, findings: Findings) -> Text | None:
    """A string, number or boolean as text: quotation marks are optional in the values of conditions."""
    if isinstance(node, Scalar):
        match node.value:
            case bool(flag):
                return Text(node.start, field, "true" if flag else "false")
            case str(text):
                return Text(node.start, field, str(text))
    message = "The text does not match the expected type: string, number or Boolean."
    findings.error(Rule.DATA_TYPE_MISMATCH, node.start, field, message)
    return None


def items_of(node: Node, field: str) -> Iterator[tuple[Node, str]]:
    """The items of a list with their fields, or the one value that stands for a list of one."""
    if isinstance(node, Array):
        yield from ((item, f"{field}[{index}]") for index, item in enumerate(node.items))
    else:
        yield node, field


def join(field: str, name: str) -> str:
    """The field of a member."""
    return f"{field}.{name}" if field else name
