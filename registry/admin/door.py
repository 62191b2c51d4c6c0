"""The admin API over HTTP: from a request to a call of an operation, and from its answer to a response."""

from collections.abc import Iterable
from typing import Any, Final
from urllib.parse import quote

from aiohttp import web
from pydantic import BaseModel

from auth.actions import Resource
from auth.callers import Caller
from auth.credentials import has_control_characters
from auth.errors import AccessDenied
from auth.principals import PrincipalKind
from registry.admin.documents import Model
from registry.admin.facts import RequestInvalid
from registry.admin.operation import ROOT, AnyOperation, Call
from registry.admin.preconditions import ConditionalDatabase, Precondition, entity_tag
from registry.admin.reading import read_document, read_query
from registry.admin.resources import resource_of, root_of
from registry.admin.services import Services
from registry.http.access import ACCESS, CALLER
from registry.http.bodies import read_body
from registry.http.conditions import condition_of, is_unchanged
from registry.http.routes import Handler, Named, Route

SERVICES: web.AppKey[Services] = web.AppKey("admin", Services)

_MOST_BYTES: Final = 1024 * 1024
_IDLE_SECONDS: Final = 10
_MOST_NAME_CHARACTERS: Final = 512
_JSON: Final = "application/json"
_BODY: web.RequestKey[BaseModel] = web.RequestKey("admin_body", BaseModel)


def routes(operations: Iterable[AnyOperation]) -> tuple[Route, ...]:
    """A route for every operation."""
    return tuple(
        Route(row.method, ROOT + row.path, _handler(row), (row.action,), resource=_resource(row)) for row in operations
    )


def _handler(operation: AnyOperation) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        facts = request.app[ACCESS].facts(request)
        query, body = _query(request, operation), await _body(request, operation)
        call = Call(_names(request), query, body, request[CALLER], facts)
        services = _conditional(request, operation, call)
        answer = await operation.perform(services, call)
        return _response(request, operation, answer)

    return handle


def _resource(operation: AnyOperation) -> Named:
    async def named(request: web.Request) -> Resource:
        body = await _body(request, operation) if operation.named_by is not None else None
        services = request.app[SERVICES]
        resource = resource_of(operation, services, _names(request), body)
        if resource == root_of(services.account_id) and not operation.is_read:
            _require_root(request[CALLER], operation, resource)
        return resource

    return named


def _require_root(caller: Caller, operation: AnyOperation, resource: Resource) -> None:
    """Whoever could give the root user a password or a key would be above all policies; raises AccessDenied."""
    if caller.principal.kind is not PrincipalKind.ROOT:
        reason = "only the root user changes the root user"
        raise AccessDenied(caller.principal, operation.action, resource, reason)


def _names(request: web.Request) -> dict[str, str]:
    """What the path names; raises RequestInvalid for what nothing can be called."""
    names = dict(request.match_info)
    for kind, name in names.items():
        if len(name) > _MOST_NAME_CHARACTERS or has_control_characters(name):
            raise RequestInvalid([{"field": kind, "message": "nothing has such a name"}])
    return names


def _query(request: web.Request, operation: AnyOperation) -> BaseModel | None:
    given = {name: request.query.getall(name) for name in request.query}
    repeated = [name for name, values in given.items() if len(values) > 1]
    if repeated:
        raise RequestInvalid([{"field": name, "message": "give it once"} for name in repeated])
    if operation.query is None:
        if given:
            raise RequestInvalid([{"field": name, "message": "there is no such parameter"} for name in given])
        return None
    return read_query(operation.query, {name: values[0] for name, values in given.items()})


async def _body(request: web.Request, operation: AnyOperation) -> BaseModel | None:
    """The document that was sent, read once; raises RequestInvalid, BodyTooLong or BodyTooSlow.

    Where none is asked for, one without members may come: nobody can think that more of it was heard.
    """
    if _BODY in request or (operation.body is None and not request.can_read_body):
        return request.get(_BODY)
    if request.content_type != _JSON:
        raise web.HTTPUnsupportedMediaType(reason=f"send Content-Type: {_JSON}")
    content = await read_body(request, limit_bytes=_MOST_BYTES, idle_seconds=_IDLE_SECONDS)
    request[_BODY] = read_document(operation.body or Model, content)
    return request[_BODY]


def _conditional(request: web.Request, operation: AnyOperation, call: Call[Any, Any]) -> Services:
    """The services for a call: with a precondition, where the client named one."""
    services = request.app[SERVICES]
    condition = condition_of(request)
    if operation.is_read or not condition:
        return services
    load = operation.load
    if load is None:
        header = "If-Match" if condition.wanted else "If-None-Match"
        raise RequestInvalid([{"field": header, "message": "what this changes has no entity tag"}])
    precondition = Precondition(lambda connection: load(connection, call.names), condition)
    return services.on(ConditionalDatabase(services.database, precondition))


def _response(request: web.Request, operation: AnyOperation, answer: BaseModel | None) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    if answer is None:
        return web.Response(status=204, headers=headers)
    if operation.load is not None:
        headers["ETag"] = entity_tag(answer)
        if operation.is_read and is_unchanged(request, headers["ETag"]):
            return web.Response(status=304, headers=headers)
    if operation.named_by is not None:
        name: str = getattr(answer, operation.named_by[1])
        headers["Location"] = f"{request.rel_url.raw_path}/{quote(name, safe='')}"
    body = answer.model_dump_json(by_alias=True).encode()
    return web.Response(body=body, status=operation.status, content_type=_JSON, headers=headers)
