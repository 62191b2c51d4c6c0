"""The admin API without a server: its operations, done in the data directory by whoever can read it."""

import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, closing
from typing import Any, Final

from pydantic import BaseModel

from auth.actions import QUESTIONS
from auth.bootstrap import ROOT_USER, Prepared, open_registry
from auth.callers import Caller, CredentialKind
from auth.passwords import Passwords
from auth.principals import Principal, PrincipalKind
from registry.admin.facts import RequestInvalid
from registry.admin.operation import AnyOperation, Call
from registry.admin.reading import read_document, read_query
from registry.admin.resources import resource_of
from registry.admin.services import Services
from registry.administration import administration, deciders_of
from registry.audit_parts import recording
from registry.commands.api import Refused, body_text, query_text
from registry.config import Settings
from registry.core.audit import AuditTrail
from registry.core.inert_text import inert
from registry.core.metrics import Counts
from registry.databases import Databases, open_databases, require_registry
from registry.roots import open_roots
from storage.errors import SchemaOutdated
from storage.metadata.audit_event import AuditEvent, EventKind, Verdict
from storage.metadata.migration import ACTIVITY_SCHEMA, REGISTRY_SCHEMA, check_revision
from storage.roots.interface import RootKeys

_MOST_CHARACTERS: Final = 512


class LocalApi:
    """Operations in the data directory; whoever can open the registry needs no other leave, but leaves a trail."""

    def __init__(self, services: Services, trail: AuditTrail) -> None:
        self._services = services
        self._trail = trail
        root = Principal(services.account_id, ROOT_USER, PrincipalKind.ROOT)
        self._caller = Caller(root, credential=CredentialKind.LOCAL)

    async def call(
        self,
        operation: AnyOperation,
        names: Mapping[str, str] | None = None,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, object] | None = None,
    ) -> Any:  # noqa: ANN401  JSON
        """Do the operation; raises a fact of auth, core or storage."""
        call = Call(names or {}, _query(operation.query, query), _body(operation.body, body), self._caller)
        answer = await operation.perform(self._services, call)
        if not operation.is_read and operation.action not in QUESTIONS:
            await self._trail.record(self._change(operation, call))
        return None if answer is None else answer.model_dump(mode="json")

    def _change(self, operation: AnyOperation, call: Call[Any, Any]) -> AuditEvent:
        resource = resource_of(operation, self._services, call.names, call.body)
        return AuditEvent(
            at=self._services.now(),
            event=EventKind.CHANGE,
            principal=self._caller.principal.arn,
            source="local",
            action=operation.action,
            resource=inert(resource.arn, _MOST_CHARACTERS),
            decision=Verdict.ALLOWED,
            request_id="",
            details={"credential": self._caller.credential.value, "uid": os.getuid()},
        )


def _body(model: type[BaseModel] | None, given: Mapping[str, object] | None) -> BaseModel | None:
    """The document as a server would read it; raises Refused in the same words."""
    return None if model is None else _read(read_document, model, body_text(given))


def _query(model: type[BaseModel] | None, given: Mapping[str, object] | None) -> BaseModel | None:
    """The query as a server would read it; raises Refused in the same words."""
    return None if model is None else _read(read_query, model, query_text(given or {}))


def _read(read: Callable[[type[BaseModel], Any], BaseModel], model: type[BaseModel], given: object) -> BaseModel:
    try:
        return read(model, given)
    except RequestInvalid as error:
        raise Refused(str(error)) from error


@asynccontextmanager
async def opened_registry(settings: Settings) -> AsyncIterator[tuple[Databases, RootKeys, Prepared]]:
    """The registry that the settings name, whether its server runs or not."""
    require_registry(settings)
    databases = open_databases(settings)
    try:
        if not await databases.registry.read(lambda connection: check_revision(connection, REGISTRY_SCHEMA)):
            raise SchemaOutdated(f"{settings.storage.root} holds no registry yet: start `lading serve` once")
        with open_roots(settings) as roots:
            yield databases, roots, await open_registry(databases.registry, roots)
    finally:
        await databases.close()


@asynccontextmanager
async def local_api(settings: Settings) -> AsyncIterator[LocalApi]:
    """What is done in the data directory of the registry that the settings name."""
    async with opened_registry(settings) as (databases, roots, prepared):
        await databases.activity.read(lambda connection: check_revision(connection, ACTIVITY_SCHEMA))
        deciders = deciders_of(settings, prepared, databases.registry)
        await deciders.directory.refresh()
        activity, durable, counts = databases.activity, databases.durable_activity, Counts().writer(0)
        with closing(Passwords()) as passwords:
            services = administration(settings, databases, roots, prepared, passwords, deciders)
            async with recording(settings.audit, activity, durable, prepared.secrets_key, counts) as trail:
                yield LocalApi(services, trail)
