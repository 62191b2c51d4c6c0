"""Answers: their headers, and XML put together as text, since every request of a test makes one."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import formatdate
from xml.sax.saxutils import escape

from tests.s3.refusals import Refused

_NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"


@dataclass(frozen=True, slots=True)
class Answer:
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


def element(name: str, text: str | float) -> str:
    return f"<{name}>{escape(str(text))}</{name}>"


def elements(**texts: str | float | None) -> str:
    """Elements in the order of the arguments; those that are None are left out."""
    return "".join(element(name, text) for name, text in texts.items() if text is not None)


def document(root: str, inside: str, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Answer:
    """An answer that is an XML document; `inside` is XML already."""
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{root} xmlns="{_NAMESPACE}">{inside}</{root}>'
    return Answer(status, {"Content-Type": "application/xml", **(headers or {})}, text.encode())


def refusal(refused: Refused, resource: str, request_id: str) -> Answer:
    """An error document, which has no namespace (S3 API reference, "REST error responses")."""
    inside = elements(Code=refused.code, Message=refused.message, **refused.elements)
    inside += elements(Resource=resource, RequestId=request_id)
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error>{inside}</Error>'
    body = b"" if refused.status == 304 else text.encode()  # RFC 9110 15.4.5: it has no content
    return Answer(refused.status, {"Content-Type": "application/xml"}, body)


def http_date(moment: float) -> str:
    return formatdate(moment, usegmt=True)


def iso_date(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
