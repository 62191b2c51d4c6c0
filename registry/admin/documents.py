"""What the documents of the admin API are made of: strict models, names, times, pages."""

import json
import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from auth.credentials import has_control_characters
from auth.policy.parsing import MOST_CHARACTERS

NAME_PATTERN: Final = r"^[A-Za-z0-9_+=,.@-]{1,64}$"
PRINTABLE: Final = r"^[^\x00-\x1f\x7f-\x9f]*$"

_IDENTITY: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": "ecr:BatchGetImage", "Resource": "*"}],
}
_RESOURCE: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "ecr:BatchGetImage", "Resource": "*"}],
}
_TRUST: Final = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
}


def _inert(text: str) -> str:
    if has_control_characters(text):
        raise ValueError("it holds a control character")
    return text


Inert = AfterValidator(_inert)
"""Refuses control characters, which no name or value needs and not every database takes."""

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,6})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def _written_out(given: object) -> datetime:
    """A number of seconds is no time that a person could check."""
    if isinstance(given, str) and _MOMENT.fullmatch(given):
        return datetime.fromisoformat(given.upper())
    raise ValueError("write a time as in 2030-01-31T00:00:00Z")


# Of the years that a time can be written in, the first and the last would not fit in every zone.
Moment = Annotated[
    AwareDatetime,
    BeforeValidator(_written_out),
    Field(ge=datetime(1970, 1, 1, tzinfo=UTC), lt=datetime(9999, 1, 1, tzinfo=UTC)),
]
"""A time as RFC 3339 has it, from 1970 to 9998."""

# What a name, a secret or a tag may be is a rule of auth, which tells it in its own words: here it is for readers.
Name = Annotated[
    str,
    Inert,
    Field(
        description="Of a user, group, role or policy.", examples=["alice"], json_schema_extra={"pattern": NAME_PATTERN}
    ),
]
Secret = Annotated[str, Field(json_schema_extra={"minLength": 1, "maxLength": 1024, "pattern": PRINTABLE})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]
Tags = Annotated[
    dict[
        Annotated[str, Field(min_length=1, max_length=128)],
        Annotated[str, Inert, Field(max_length=256, json_schema_extra={"pattern": PRINTABLE})],
    ],
    Field(
        max_length=50,
        description="For conditions of policies.",
        examples=[{"team": "payments"}],
        json_schema_extra={"propertyNames": {"minLength": 1, "maxLength": 128, "pattern": PRINTABLE}},
    ),
]
_DOCUMENT: Final = "A policy in IAM's language: the text itself, or the object that it is."
Document = Annotated[str | dict[str, Any], Field(description=_DOCUMENT, examples=[_IDENTITY])]
ResourceDocument = Annotated[str | dict[str, Any], Field(description=_DOCUMENT, examples=[_RESOURCE])]
TrustDocument = Annotated[str | dict[str, Any], Field(description=_DOCUMENT, examples=[_TRUST])]

_PAGE: Final = 100
_MOST_INDENTED: Final = max(MOST_CHARACTERS.values())


class Model(BaseModel):
    """A document; what it does not know is refused, so that nothing is set by accident."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, hide_input_in_errors=True)


class Page(Model):
    """Which part of a list is wanted: entries that sort after `after`, at most `limit`."""

    limit: int = Field(default=_PAGE, ge=1, le=1000)
    after: Annotated[str, Inert] = Field(
        default="",
        max_length=512,
        description="The `next` of the page before.",
        json_schema_extra={"pattern": PRINTABLE},
    )


def policy_text(document: str | dict[str, Any]) -> str:
    """The text of a policy; an object is written as people write it, unless no policy can be as large."""
    if isinstance(document, str):
        return document
    # Anybody who has logged in may send one: indented, a megabyte that nests deep is a fifth of a gigabyte.
    compact = json.dumps(document, separators=(",", ":"))
    return compact if len(compact) > _MOST_INDENTED else json.dumps(document, indent=2)


def rfc3339(seconds: float) -> str:
    """A time in seconds since the epoch, to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
