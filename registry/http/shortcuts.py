"""Reads answered where they arrive: those that differ from an earlier one of their connection in their path alone.

Clients send the same headers again and again. Once a read was answered in the ordinary way, the next one with the very
same headers needs no parser, no task and no objects of a request.

- Nothing is remembered but what the headers say. Who asks, what the policies allow and what is stored are looked up
  anew, by the code that every request goes through.
- A long answer is begun so as well, and sent by a task of the connection.
- What is not plain success is left to the ordinary way, which has not heard of it then: errors, unusual headers or
  paths, and whatever has to be waited for.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from http import HTTPStatus
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

from aiohttp import web
from aiohttp.helpers import rfc822_formatted_time
from multidict import MultiDict

from auth.actions import REGISTRY, Resource
from auth.authorizer import Decision, Facts
from auth.callers import STRANGER, Caller
from auth.errors import AuthError
from registry.core.errors import RegistryError
from registry.core.names import RepositoryName
from registry.http.access import ACTION, Access
from registry.http.auditing import BROKEN_OFF, Auditing, Pull, name_in_trail
from registry.http.connection import Connection
from registry.http.middleware import Observers, break_off
from registry.http.reads import Asked, Begun, Read, Ready, Sees
from registry.http.sending import NotBegun, SendTo
from registry.http.transfers import SMALL_BYTES
from registry.logs import Access as AccessRecord
from storage.errors import StorageError

T = TypeVar("T")

# Headers that change nothing about the answer to a read, or what `Access` is told of once for all.
_PLAIN_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "authorization", "docker-distribution-api-version", "host", "user-agent"}
    | {"x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"}
)
# What nobody could read in two ways: nothing is encoded, and a plus may stand for a space in a query alone.
_LINE: Final = re.compile(
    rb"(GET|HEAD) (/v2/(?:_([a-z]+)|([a-z0-9._/-]+)/([a-z]+)/([\w.:+=-]+)))(?:\?([\w.:/&=-]*))? HTTP/1\.1", re.ASCII
)
_LONGEST_LINE: Final = 1024
_TARGETS: Final = 4096
_HEADS: Final = 1024
_OK: Final = HTTPStatus.OK.value


@dataclass(frozen=True, slots=True)
class _Target:
    read: Read
    asked: Asked
    resource: Resource
    in_trail: str
    """The resource as the audit trail names it."""
    action: str
    facts: Facts


@dataclass(slots=True)
class _Seen:
    """An answer as those see it who observe; `began` is a reading of the performance counter."""

    target: _Target
    caller: Caller
    request_id: str
    began: float


class MustWait(Exception):
    """Something has to be waited for."""


def at_once(waiting: Coroutine[Any, Any, T]) -> T:
    """What a coroutine comes to that has nothing to wait for; raises MustWait where it has, and gives it up."""
    try:
        waiting.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    waiting.close()
    raise MustWait


@dataclass(frozen=True, slots=True)
class Ground:
    """What a shortcut stands on: what every request goes through; `headers` are those of every answer."""

    access: Access
    auditing: Auditing
    observers: Observers
    new_id: Callable[[], str]
    headers: Mapping[str, str]


class Shortcuts:
    """The reads of an application that can be answered where they arrive."""

    def __init__(self, ground: Ground, reads: tuple[Read, ...]) -> None:
        self.ground = ground
        self.headers = _lines(ground.headers.items())
        self._reads = {(read.method, read.kind): read for read in reads}
        self._actions = frozenset(read.actions[0] for read in reads)
        self.target: Callable[[bytes], _Target | None] = lru_cache(_TARGETS)(self._target)

    def open(self, request: web.Request, response: web.StreamResponse) -> None:
        """Answer the next reads of a connection where they arrive, if this one was plain and they have its headers."""
        connection = request.protocol
        if request.get(ACTION) not in self._actions or not isinstance(connection, Connection):
            return
        line, end, rest = connection.take_head().partition(b"\r\n")
        if response.status == HTTPStatus.OK and _is_plain(request) and end and self.target(line) is not None:
            connection.shortcut = Shortcut(self, end + rest, request)

    def _target(self, line: bytes) -> _Target | None:
        found = _LINE.fullmatch(line)
        if found is None:
            return None
        method, path, list_name, name, kind, reference, query = (part.decode() for part in found.groups(b""))
        read = self._reads.get((method, kind or f"_{list_name}"))
        if read is None:
            return None
        try:
            repository = RepositoryName.parse(name) if name else None
        except RegistryError:
            return None
        resource = self.ground.access.authorizer.repository(repository.text) if repository else REGISTRY
        asked = Asked(path, repository, reference, MultiDict(parse_qsl(query, keep_blank_values=True)), query)
        name_there, action = name_in_trail(resource), str(read.actions[0])
        return _Target(read, asked, resource, name_there, action, read.about(asked.reference))


class Shortcut:
    """Answers what has the headers of an earlier request on its connection."""

    def __init__(self, shortcuts: Shortcuts, headers: bytes, request: web.Request) -> None:
        """`headers` is all that followed the first line of the request."""
        ground = shortcuts.ground
        self._shortcuts = shortcuts
        self._ground = ground
        self._headers = headers
        self._authorization = request.headers.get("Authorization")
        self._client = ground.access.addresses.client(request)
        self._facts = ground.access.lasting_facts(request)
        self._caller: Caller | None = None
        self._edition: object = None
        self._pulls = ground.auditing.pulls(self._client, request.headers.get("User-Agent"))
        self.takes_long = request.transport is not None and request.transport.get_extra_info("sslcontext") is None

    def __call__(self, head: bytes) -> bytes | SendTo | None:
        """The answer to the head of a request, or what sends it, if it can be given now."""
        line_bytes = len(head) - len(self._headers)
        if not 0 < line_bytes <= _LONGEST_LINE or not head.endswith(self._headers):
            return None
        target = self._shortcuts.target(head[:line_bytes])
        if target is None:
            return None
        try:
            return self._answer(target)
        except (MustWait, AuthError, RegistryError, StorageError):
            return None

    def _answer(self, target: _Target) -> bytes | SendTo | None:
        began = time.perf_counter()
        access, read = self._ground.access, target.read
        caller = self._asking(access)
        decision = access.authorizer.lasting(caller, read.actions[0], target.resource)
        if decision is None:
            facts = {**self._facts, **access.time_facts(), **target.facts}
            decision = at_once(access.admit(caller, read.actions, target.resource, facts))
        found = at_once(read.find(target.asked, self))
        if found is None or (isinstance(found, Ready) and len(found.body) > SMALL_BYTES):
            return None
        seen = _Seen(target, caller, self._ground.new_id(), began)
        if isinstance(found, Ready) and read.is_pull and not self._pulls.note(_pull(seen, decision, found)):
            return None
        access.last_use.note(caller, self._client)
        if isinstance(found, Begun):
            return partial(self._send, found, _pull(seen, decision, found), seen)
        self._observe(seen, _OK, len(found.body))
        return self._head(found) + found.body

    def _head(self, found: Ready | Begun) -> bytes:
        own, every = tuple(found.headers.items()), self._shortcuts.headers
        return _head_of_success(own, every, found.length, rfc822_formatted_time())

    async def _send(self, begun: Begun, pull: Pull, seen: _Seen, transport: asyncio.Transport) -> None:
        """Send a long answer, and tell of it when it is over."""
        try:
            await begun.send(transport, self._head(begun))
        except NotBegun:
            raise
        except (ConnectionError, asyncio.CancelledError):
            await self._tell(replace(pull, length=None), seen)
            raise
        except Exception as error:
            break_off(transport, seen.request_id, error)
            await self._tell(replace(pull, length=None), seen)
            raise ConnectionAbortedError from error
        await self._tell(pull, seen)

    async def _tell(self, pull: Pull, seen: _Seen) -> None:
        try:
            await self._pulls.note_ended(pull)
        finally:
            self._observe(seen, BROKEN_OFF if pull.length is None else _OK, pull.length or 0)

    def _asking(self, access: Access) -> Caller:
        """Who is asking: the same as before, as long as the token lasts and nothing has changed."""
        caller, authenticator = self._caller, access.authenticator
        if caller is None or self._edition is not authenticator.edition or access.now() >= caller.until:
            facts = {**self._facts, **access.time_facts()}
            caller = at_once(authenticator.authenticate(self._authorization, self._client, facts))
            self._caller, self._edition = caller, authenticator.edition
        return caller

    @property
    def generation(self) -> int:
        """The generation in which who asks was allowed to."""
        return self._ground.access.authenticator.generation

    async def is_current(self) -> bool:
        """Whether that is the newest."""
        return await self._ground.access.authenticator.is_current()

    @property
    def sees(self) -> Sees:
        """Which repositories the caller may know of."""
        access, caller = self._ground.access, self._caller or STRANGER
        facts = {**self._facts, **access.time_facts()}
        return lambda names: access.authorizer.visible(caller.principal, names, facts)

    def _observe(self, seen: _Seen, status: int, sent_bytes: int) -> None:
        observers, read, asked = self._ground.observers, seen.target.read, seen.target.asked
        action, seconds = seen.target.action, time.perf_counter() - seen.began
        observers.metrics.observe(
            method=read.method,
            action=action,
            status=status,
            seconds=seconds,
            received_bytes=0,
            sent_bytes=sent_bytes,
        )
        if observers.log is not None:
            observers.log(
                AccessRecord(
                    request_id=seen.request_id,
                    principal=seen.caller.principal.name or None,
                    repository=None if asked.repository is None else asked.repository.text,
                    action=action,
                    remote=self._client,
                    method=read.method,
                    path=asked.path,
                    query=asked.query_text,
                    status=status,
                    received_bytes=0,
                    sent_bytes=sent_bytes,
                    seconds=seconds,
                )
            )


def _pull(seen: _Seen, decision: Decision, found: Ready | Begun) -> Pull:
    target = seen.target
    named = target.in_trail, decision, seen.request_id, target.asked.reference
    return Pull(seen.caller, target.action, *named, found.digest, found.length)


def _is_plain(request: web.Request) -> bool:
    """Whether a request has nothing about it that asks for more than its path, and comes with a token or with nothing.

    A password is checked by a thread in any case, and a certificate is the connection's.
    """
    if request.transport is None or request.transport.get_extra_info("peercert"):
        return False
    if not all(name.lower() in _PLAIN_HEADERS for name in request.headers):
        return False
    authorizations = request.headers.getall("Authorization", [])
    return not authorizations or (len(authorizations) == 1 and authorizations[0].lower().startswith("bearer "))


@lru_cache(_HEADS)
def _head_of_success(own: tuple[tuple[str, str], ...], every: str, length: int, date: str) -> bytes:
    """The head of an answer, which is the same for all that are given in one second."""
    head = f"HTTP/1.1 200 OK\r\n{_lines(own)}{every}Content-Length: {length}\r\nDate: {date}\r\n\r\n"
    return head.encode()


def _lines(headers: Iterable[tuple[str, str]]) -> str:
    return "".join([f"{name}: {value}\r\n" for name, value in headers])
