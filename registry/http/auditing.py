"""Which requests are events of the audit trail, and what is written of them.

- Pulls, logins and requests that lack credentials are noted; refusals, pushes, deletions and changes are recorded
  before their answer goes out. What only looks (HEAD, lists, uploads under way) is no event, nor is what failed on its
  merits; a change that was let through and failed in the server, or whose answer was broken off, may have been made.
- Nothing of a body, a query (tags and the source of a mount aside) or a credential is written, and every text is
  bounded and inert: what could steer a terminal or end a line is written as its code.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Any, Final

from aiohttp import web

from auth.actions import ADMIN_PREFIX, QUESTIONS, REGISTRY, Action, Resource
from auth.authorizer import Decision
from auth.callers import STRANGER, Caller, CredentialKind
from auth.credentials import BasicCredentials, parse_authorization
from auth.errors import AccessDenied, AuthError, CredentialsInvalid, CredentialsMissing, ScopeInsufficient
from auth.identity_claims import CLAIM_PREFIX
from auth.policy.evaluation import Match
from auth.principals import ANONYMOUS
from auth.scopes import Scope
from registry.core.audit import AuditTrail
from registry.core.errors import RepositoryUnknown
from registry.core.inert_text import inert
from registry.http.access import ACCESS, ACTION, CALLER, DECISION, NOT_CREATED, RESOURCE
from registry.http.middleware import FAILURE, REQUEST_ID
from registry.http.strangers import Strangers
from storage.metadata.audit_event import UNKNOWN, AuditEvent, EventKind, Statement, Verdict


@dataclass(frozen=True, slots=True)
class Login:
    """What the token service granted: to whom, of which scopes that were asked for, and for which other service."""

    caller: Caller
    asked: tuple[str, ...]
    granted: tuple[Scope, ...]
    service: str | None = None


LOGIN: web.ResponseKey[Login] = web.ResponseKey("login", Login)
USER_TRIED = web.RequestKey("user_tried", str)
"""The name of a login whose credentials came in a body."""

_STRANGERS: Final = frozenset({UNKNOWN, ANONYMOUS.arn})
_NOTED: Final = frozenset({EventKind.PULL, EventKind.AUTHENTICATE})
_REFUSALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS})
# Whoever is sent to the store has a URL of the blob, which needs no further leave.
_READS: Final = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.TEMPORARY_REDIRECT})
_CREATED: Final = frozenset({HTTPStatus.CREATED})
_OUTCOMES: Final[Mapping[tuple[str, str], tuple[EventKind, frozenset[HTTPStatus]]]] = {
    ("GET", Action.BATCH_GET_IMAGE): (EventKind.PULL, _READS),
    ("GET", Action.GET_DOWNLOAD_URL_FOR_LAYER): (EventKind.PULL, _READS),
    ("PUT", Action.PUT_IMAGE): (EventKind.PUSH, _CREATED),
    ("PUT", Action.COMPLETE_LAYER_UPLOAD): (EventKind.PUSH, _CREATED),
    ("POST", Action.INITIATE_LAYER_UPLOAD): (EventKind.PUSH, _CREATED),
    ("DELETE", Action.BATCH_DELETE_IMAGE): (EventKind.DELETE, frozenset({HTTPStatus.ACCEPTED})),
}
_OF_WEB_IDENTITY: Final = (("subject", f"{CLAIM_PREFIX}sub"), ("provider", "aws:FederatedProvider"))
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_NO_LOGIN: Final = frozenset({CredentialKind.NONE, CredentialKind.BEARER_TOKEN})
BROKEN_OFF: Final = 499
"""The status of a request whose answer did not reach its end."""

# Looked up once: Python 3.11 takes a quarter of a microsecond to find a member of an enumeration.
_PULL: Final = EventKind.PULL
_ALLOWED: Final = Verdict.ALLOWED
_OK: Final = HTTPStatus.OK.value
_SHORT: Final = 128
_LONG: Final = 512


@dataclass(slots=True)  # as an event
class Pull:
    """What was pulled by whom, and why it was allowed; `resource` as the trail names it, `reference` a tag or digest.

    `length` is None where the answer was broken off.
    """

    caller: Caller
    action: str
    resource: str
    decision: Decision
    request_id: str
    reference: str
    digest: str
    length: int | None


class Auditing:
    """Tells the trail of the requests of one worker; `now` is in seconds since the epoch."""

    def __init__(self, trail: AuditTrail, strangers: Strangers, now: Callable[[], float]) -> None:
        self._trail = trail
        self._strangers = strangers
        self._now = now

    async def observe(self, request: web.Request, response: web.StreamResponse | None) -> None:
        """Tell of a request whose answer is ready, or was broken off when there is none."""
        failure = request.get(FAILURE)
        if failure is not None and not _may_have_changed(request, response):
            await self._observe_failure(request, response, failure)
            return
        kind = _kind(request, response)
        if kind is None:
            return
        event = self._event(request, response, kind)
        await (self._trail.note(event) if kind in _NOTED else self._trail.record(event))

    def pulls(self, client: str, user_agent: str | None) -> "Pulls":
        """What notes the pulls of one client."""
        return Pulls(self._trail, self._now, client, user_agent)

    async def _observe_failure(
        self, request: web.Request, response: web.StreamResponse | None, failure: Exception
    ) -> None:
        error = request.get(NOT_CREATED, failure) if isinstance(failure, RepositoryUnknown) else failure
        if response is None or response.status not in _REFUSALS or not isinstance(error, AuthError):
            return
        is_missing = isinstance(error, CredentialsMissing)
        if is_missing and request.get(ACTION) == Action.GET_AUTHORIZATION_TOKEN:
            return  # clients ask /v2/ for nothing but the challenge
        event = self._refusal(request, response.status, error)
        if event.principal in _STRANGERS:
            left_out = self._strangers.admit(event.source)
            if left_out is None:
                return
            event = replace(event, details={**event.details, "left_out": left_out}) if left_out else event
        await (self._trail.note(event) if is_missing else self._trail.record(event))

    def _event(self, request: web.Request, response: web.StreamResponse | None, kind: EventKind) -> AuditEvent:
        login = None if response is None else response.get(LOGIN)
        caller = request[CALLER] if login is None else login.caller
        decision = request.get(DECISION)
        details: dict[str, Any] = {"status": BROKEN_OFF if response is None else response.status}
        details |= _of_caller(caller, request.headers.get("User-Agent"))
        details |= _of_login(login) if login is not None else _of_content(request, response, kind)
        return AuditEvent(
            at=self._now(),
            event=kind,
            principal=caller.principal.arn,
            source=_source(request),
            action=_action(request),
            resource=_resource(request),
            decision=Verdict.ALLOWED,
            request_id=request[REQUEST_ID],
            statement=_deciding(decision),
            details=details,
        )

    def _refusal(self, request: web.Request, status: int, error: AuthError) -> AuditEvent:
        caller = request.get(CALLER, STRANGER)
        principal, action, resource = UNKNOWN, _action(request), _resource(request)
        verdict, statement = Verdict.REFUSED, None
        details: dict[str, Any] = {"status": status, "reason": inert(str(error), _LONG)}
        details |= _of_caller(caller, request.headers.get("User-Agent"))
        match error:
            case AccessDenied():
                principal, action, resource = error.principal.arn, str(error.action), error.resource.arn
                verdict = Verdict.IMPLICIT_DENY if error.denied_by is None else Verdict.EXPLICIT_DENY
                statement = None if error.denied_by is None else _statement(error.denied_by)
            case ScopeInsufficient():
                principal, action, resource = caller.principal.arn, str(error.action), error.resource.arn
                verdict = Verdict.IMPLICIT_DENY
            case CredentialsMissing():
                principal, verdict = caller.principal.arn, Verdict.IMPLICIT_DENY
            case _:
                details |= _of_attempt(request)
        return AuditEvent(
            at=self._now(),
            event=EventKind.REFUSE,
            principal=principal,
            source=_source(request),
            action=action,
            resource=inert(resource, _LONG),
            decision=verdict,
            request_id=request[REQUEST_ID],
            statement=statement,
            details=details,
        )


class Pulls:
    """Notes the pulls of one client, from one address and with one program."""

    def __init__(self, trail: AuditTrail, now: Callable[[], float], client: str, user_agent: str | None) -> None:
        self._trail = trail
        self._now = now
        self._source = inert(client, _SHORT)
        self._user_agent = user_agent
        self._caller: Caller | None = None
        self._principal = ""
        self._of_caller: dict[str, Any] = {}
        self._decision: Decision | None = None
        self._statement: Statement | None = None

    def note(self, pull: Pull) -> bool:
        """Note a pull that is answered now; False where the trail would have to wait."""
        return self._trail.note_at_once(self._event(pull))

    async def note_ended(self, pull: Pull) -> None:
        """Note a pull whose answer is over."""
        await self._trail.note(self._event(pull))

    def _event(self, pull: Pull) -> AuditEvent:
        if pull.caller is not self._caller:
            self._of_caller = dict(_of_caller(pull.caller, self._user_agent))
            self._caller, self._principal = pull.caller, pull.caller.principal.arn
        if pull.decision is not self._decision:
            self._decision, self._statement = pull.decision, _deciding(pull.decision)
        status = BROKEN_OFF if pull.length is None else _OK
        details = {"status": status, **self._of_caller, "digest": pull.digest}
        if ":" not in pull.reference:
            details["tags"] = [pull.reference]
        if pull.length is not None:
            details["bytes"] = pull.length
        return AuditEvent(
            self._now(),
            _PULL,
            self._principal,
            self._source,
            pull.action,
            pull.resource,
            _ALLOWED,
            pull.request_id,
            self._statement,
            details,
        )


def _kind(request: web.Request, response: web.StreamResponse | None) -> EventKind | None:
    """What kind of event a request is that did not fail, None for one that is none."""
    if response is not None and LOGIN in response:
        return EventKind.AUTHENTICATE
    action = request.get(ACTION)
    if action is None:
        return None
    if action.startswith(ADMIN_PREFIX):
        return _kind_of_admin(request, response, action)
    if action == Action.GET_AUTHORIZATION_TOKEN:
        return None if request[CALLER].credential in _NO_LOGIN else EventKind.AUTHENTICATE
    return _kind_of_content(request, response, action)


def _kind_of_content(request: web.Request, response: web.StreamResponse | None, action: str) -> EventKind | None:
    kind, statuses = _OUTCOMES.get((request.method, action), (None, _CREATED))
    if action == Action.BATCH_GET_IMAGE and "reference" not in request.match_info:
        return None  # a list of referrers
    if response is None:
        return kind if kind is EventKind.PULL and request._payload_writer.output_size else None  # noqa: SLF001  as in the middleware
    return kind if response.status in statuses else None


def _kind_of_admin(request: web.Request, response: web.StreamResponse | None, action: str) -> EventKind | None:
    if request.method in _SAFE or action in QUESTIONS:
        return None
    is_done = response is not None and response.status < HTTPStatus.BAD_REQUEST
    return EventKind.CHANGE if is_done or _may_have_changed(request, response) else None


def _may_have_changed(request: web.Request, response: web.StreamResponse | None) -> bool:
    """Whether a request that was let through to the admin API ended so that nobody knows what came of it."""
    is_unknown = response is None or response.status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return is_unknown and DECISION in request and request[ACTION].startswith(ADMIN_PREFIX)


def _action(request: web.Request) -> str:
    """What was asked; whoever comes without an action comes for a token."""
    return str(request.get(ACTION, Action.GET_AUTHORIZATION_TOKEN))


def name_in_trail(resource: Resource) -> str:
    """A resource as the trail names it."""
    return inert(resource.arn, _LONG)


def _resource(request: web.Request) -> str:
    return name_in_trail(request.get(RESOURCE, REGISTRY))


def _source(request: web.Request) -> str:
    return inert(request.app[ACCESS].addresses.client(request), _SHORT)


def _deciding(decision: Decision | None) -> Statement | None:
    return _statement(decision.matches[0]) if decision is not None and decision.matches else None


def _statement(match: Match) -> Statement:
    return Statement(match.policy, None if match.sid is None else inert(match.sid, _SHORT), match.index)


def _of_caller(caller: Caller, user_agent: str | None) -> Iterator[tuple[str, Any]]:
    """What else is known of who asked: credentials by their kind and public name, and the program."""
    yield "credential", caller.credential.value
    if caller.credential_id is not None:
        yield "credential_id", caller.credential_id
    yield from _of_session(caller)
    if user_agent is not None:
        yield "user_agent", inert(user_agent, _LONG)


def _of_session(caller: Caller) -> Iterator[tuple[str, Any]]:
    """Who acts in a role: the name of its session is what its holder made of it."""
    if caller.opened_by:
        yield "opened_by", [opener.arn for opener in caller.opened_by]
    session = caller.principal.session
    facts = {} if session is None else dict(session.facts)
    for name, key in _OF_WEB_IDENTITY:
        if isinstance(fact := facts.get(key), str):
            yield name, inert(fact, _LONG)


def _of_login(login: Login) -> Iterator[tuple[str, Any]]:
    yield "asked", [inert(scope, _LONG) for scope in login.asked[:_SHORT]]
    yield "granted", [str(scope) for scope in login.granted[:_SHORT]]
    if login.service is not None:
        yield "service", login.service


def _of_content(
    request: web.Request, response: web.StreamResponse | None, kind: EventKind
) -> Iterator[tuple[str, Any]]:
    """Which image or blob it was; for a change, where it was asked for."""
    if kind is EventKind.CHANGE:
        yield "method", request.method
        yield "path", inert(request.rel_url.raw_path, _LONG)
        return
    names = request.match_info
    reference = names.get("reference", "")
    digest = None if response is None else response.headers.get("Docker-Content-Digest")
    digest = digest or names.get("digest") or (reference if ":" in reference else None)
    if digest is not None:
        yield "digest", inert(digest, _LONG)
    tags = [] if ":" in reference or not reference else [reference]
    if kind is EventKind.PUSH:
        tags += request.query.getall("tag", [])
        if request.query.get("from"):
            yield "from", inert(request.query["from"], _LONG)
    if tags:
        yield "tags", [inert(tag, _SHORT) for tag in tags]
    if kind is EventKind.PULL and response is not None:
        yield "bytes", response.content_length


def _of_attempt(request: web.Request) -> Iterator[tuple[str, Any]]:
    """The user name that was tried, where there is one."""
    name = request.get(USER_TRIED)
    try:
        credentials = parse_authorization(request.headers.get("Authorization"))
    except CredentialsInvalid:
        credentials = None
    if name is None and isinstance(credentials, BasicCredentials):
        name = credentials.name
    if name is not None:
        yield "user", inert(name, _SHORT)
