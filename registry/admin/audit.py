"""The audit trail: who did what, found page by page, and proven to be as it was recorded."""

import re
from typing import Annotated, Any, Literal

from pydantic import Field

from auth.actions import REGISTRY, Resource
from auth.authorizer import REGION
from auth.bootstrap import ROOT_USER
from auth.principals import ANONYMOUS, Principal, PrincipalKind
from registry.admin.documents import PRINTABLE, Inert, Model, Moment, Time
from registry.admin.facts import RequestInvalid
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata.audit import AuditQuery, Place
from storage.metadata.audit_event import THE_REGISTRY, UNKNOWN, EventKind, Verdict

_WITHOUT_ARN = frozenset({ANONYMOUS.arn, UNKNOWN, THE_REGISTRY})


Wanted = Annotated[str, Inert, Field(json_schema_extra={"pattern": PRINTABLE})]
# 15 digits of a second since the epoch and its fraction, and the id of a row.
_PLACE = re.compile(r"\d{1,15}(?:\.\d{1,15})?:\d{1,18}", re.ASCII)


class Decider(Model):
    """The statement that decided; `index` counts from 0."""

    policy: str
    sid: str | None
    index: int


class Event(Model):
    """Something that happened, or was refused."""

    id: int
    time: Time
    event: EventKind
    principal: str
    source: str
    action: str
    resource: str
    decision: Verdict
    statement: Decider | None
    request_id: str
    details: dict[str, Any]
    seal: str = Field(description="Ties the event to those before it.")


class Events(Model):
    """A page of events."""

    items: list[Event]
    next: str | None


class Search(Model):
    """Which events are wanted; a name that ends in `*` stands for all that begin so."""

    since: Moment | None = Field(default=None, description="Inclusive; RFC 3339.")
    until: Moment | None = Field(default=None, description="Exclusive; RFC 3339.")
    event: EventKind | None = None
    decision: Verdict | None = None
    principal: Wanted | None = Field(default=None, max_length=512, description="An ARN or a user's name.")
    action: Wanted | None = Field(default=None, max_length=128)
    resource: Wanted | None = Field(default=None, max_length=512, description="An ARN or a repository's name.")
    order: Literal["newest", "oldest"] = Field(default="newest", description="Which come first.")
    limit: int = Field(default=100, ge=1, le=1000)
    after: str = Field(default="", max_length=64, description="The `next` of the page before.")


class Checked(Model):
    """How many events there are, all of them as they were recorded."""

    events: int


async def _search(services: Services, call: Call[None, Search]) -> Events:
    asked = call.query
    found = await services.audit_history.page(
        query_of(asked, services.account_id),
        after=_place(asked.after),
        limit=asked.limit + 1,
        newest_first=asked.order == "newest",
    )
    items = [
        Event.model_validate({**recorded.document(), "seal": recorded.seal.hex()}) for recorded in found[: asked.limit]
    ]
    last = found[asked.limit - 1].place if len(found) > asked.limit else None
    return Events(items=items, next=None if last is None else f"{last[0]!r}:{last[1]}")


async def _check(services: Services, call: Call[None, None]) -> Checked:  # noqa: ARG001 (an operation's signature)
    return Checked(events=await services.audit_history.check())


def query_of(asked: Search, account_id: str) -> AuditQuery:
    """What is looked for, as the trail writes it."""
    return AuditQuery(
        since=None if asked.since is None else asked.since.timestamp(),
        until=None if asked.until is None else asked.until.timestamp(),
        event=asked.event,
        decision=asked.decision,
        principal=_principal(asked.principal, account_id),
        action=asked.action,
        resource=_resource(asked.resource, account_id),
    )


def _place(after: str) -> Place | None:
    """Where a page begins; raises RequestInvalid for what no page ended with."""
    if not after:
        return None
    if _PLACE.fullmatch(after) is None:
        raise RequestInvalid([{"field": "after", "message": "this is not the next of a page"}])
    moment, _, event_id = after.partition(":")
    return float(moment), int(event_id)


def _principal(text: str | None, account_id: str) -> str | None:
    """An ARN, where only a user's name is given."""
    if text is None or text in _WITHOUT_ARN or ":" in text or "*" in text:
        return text
    kind = PrincipalKind.ROOT if text == ROOT_USER else PrincipalKind.USER
    return Principal(account_id, text, kind).arn


def _resource(text: str | None, account_id: str) -> str | None:
    """An ARN, where only a repository is given, or what repositories begin with."""
    if text is None or text == REGISTRY.arn or text.startswith("arn:"):
        return text
    return Resource.of_repository(text, account_id=account_id, region=REGION).arn


SEARCH = Operation(
    name="ListAuditEvents", method="GET", path="/audit-events", summary="Find events of the audit trail.",
    perform=_search, query=Search, answer=Events,
)  # fmt: skip
CHECK = Operation(
    name="VerifyAuditTrail", method="POST", path="/audit-verification",
    summary="Prove that no event was changed, added or removed.",
    perform=_check, answer=Checked,
)  # fmt: skip

OPERATIONS = (SEARCH, CHECK)
