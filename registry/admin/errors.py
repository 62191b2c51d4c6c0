"""The admin API's errors: one table from facts to status, told as problem details (RFC 9457)."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import orjson
from aiohttp import web

import auth.errors as auth_errors
import registry.core.errors as core_errors
import storage.errors as storage_errors
from auth.policy.findings import PolicyInvalid
from registry.admin.facts import PreconditionFailed, RequestInvalid
from registry.http.access import CHALLENGE
from registry.http.bodies import BodyTooLong
from registry.http.middleware import REQUEST_ID
from registry.http.refusals import BodyTooSlow
from registry.logs import log_failure, logger

CONTENT_TYPE: Final = "application/problem+json"
_RETRY_SECONDS: Final = "5"


TABLE: Mapping[type[Exception], HTTPStatus] = {
    PreconditionFailed: HTTPStatus.PRECONDITION_FAILED,
    RequestInvalid: HTTPStatus.BAD_REQUEST,
    PolicyInvalid: HTTPStatus.BAD_REQUEST,
    auth_errors.CredentialsMissing: HTTPStatus.UNAUTHORIZED,
    auth_errors.CredentialsInvalid: HTTPStatus.UNAUTHORIZED,
    auth_errors.TokenInvalid: HTTPStatus.UNAUTHORIZED,
    auth_errors.WebIdentityInvalid: HTTPStatus.UNAUTHORIZED,
    auth_errors.ScopeInsufficient: HTTPStatus.UNAUTHORIZED,
    auth_errors.AccessDenied: HTTPStatus.FORBIDDEN,
    auth_errors.NotThere: HTTPStatus.NOT_FOUND,
    auth_errors.AlreadyThere: HTTPStatus.CONFLICT,
    auth_errors.TooMany: HTTPStatus.CONFLICT,
    auth_errors.PolicyInUse: HTTPStatus.CONFLICT,
    auth_errors.RootProtected: HTTPStatus.CONFLICT,
    auth_errors.RotationRefused: HTTPStatus.CONFLICT,
    auth_errors.VersionInUse: HTTPStatus.CONFLICT,
    auth_errors.TooManyAttempts: HTTPStatus.TOO_MANY_REQUESTS,
    auth_errors.TooManyLogins: HTTPStatus.SERVICE_UNAVAILABLE,
    auth_errors.NoSigningKey: HTTPStatus.SERVICE_UNAVAILABLE,
    auth_errors.KeysUnavailable: HTTPStatus.SERVICE_UNAVAILABLE,
    auth_errors.StoredPolicyInvalid: HTTPStatus.SERVICE_UNAVAILABLE,
    auth_errors.AuthError: HTTPStatus.BAD_REQUEST,
    core_errors.RepositoryUnknown: HTTPStatus.NOT_FOUND,
    core_errors.RepositoryNotEmpty: HTTPStatus.CONFLICT,
    core_errors.RepositoryExists: HTTPStatus.CONFLICT,
    core_errors.DomainUnknown: HTTPStatus.NOT_FOUND,
    core_errors.DomainProtected: HTTPStatus.CONFLICT,
    core_errors.DestructionRefused: HTTPStatus.CONFLICT,
    core_errors.RegistryError: HTTPStatus.BAD_REQUEST,
    storage_errors.NoSpace: HTTPStatus.INSUFFICIENT_STORAGE,
    storage_errors.AuditTrailBroken: HTTPStatus.CONFLICT,
    storage_errors.DomainUnusable: HTTPStatus.CONFLICT,
    storage_errors.StorageError: HTTPStatus.SERVICE_UNAVAILABLE,
    BodyTooLong: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    BodyTooSlow: HTTPStatus.REQUEST_TIMEOUT,
    web.RequestPayloadError: HTTPStatus.BAD_REQUEST,
}
"""Status of every fact; a fact takes the row of its nearest base class."""


def render(request: web.Request, error: Exception) -> web.Response:
    """The answer that tells a client of an error."""
    if isinstance(error, web.HTTPException):
        return _refused(request, error)
    status = next((TABLE[base] for base in type(error).__mro__ if base in TABLE), None)
    if status is None:
        logger().error("unexpected error", request_id=request[REQUEST_ID], exc_info=error)
        message = "the registry failed to answer: its log says why, under this request id"
        return _problem(request, HTTPStatus.INTERNAL_SERVER_ERROR, "Unexpected", message)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_failure(request[REQUEST_ID], error)
    response = _problem(request, status, type(error).__name__, str(error), **_members(error))
    response.headers.extend(_headers(request, error, status))
    return response


def _problem(request: web.Request, status: HTTPStatus, code: str, detail: str, **members: Any) -> web.Response:  # noqa: ANN401  JSON
    document = {
        "type": "about:blank",
        "title": status.phrase,
        "status": int(status),
        "detail": detail,
        "code": code,
        "request_id": request[REQUEST_ID],
        **members,
    }
    return web.Response(status=status, body=orjson.dumps(document), content_type=CONTENT_TYPE)


def _members(error: Exception) -> dict[str, Any]:
    """What a program may want to know beyond the sentence."""
    match error:
        case RequestInvalid():
            return {"errors": error.problems}
        case PolicyInvalid():
            return {
                "errors": [
                    {"field": each.field, "message": each.message, "line": each.line, "rule": each.rule.value}
                    for each in error.findings
                ]
            }
        case auth_errors.AccessDenied():
            match = error.denied_by
            denied_by = None if match is None else {"policy": match.policy, "sid": match.sid, "statement": match.index}
            return {"action": str(error.action), "resource": error.resource.arn, "denied_by": denied_by}
        case _:
            return {}


def _headers(request: web.Request, error: Exception, status: HTTPStatus) -> dict[str, str]:
    headers = {}
    if status == HTTPStatus.UNAUTHORIZED and CHALLENGE in request:
        headers["WWW-Authenticate"] = request[CHALLENGE]
    if isinstance(error, auth_errors.TooManyAttempts):
        headers["Retry-After"] = str(error.retry_after_seconds)
    elif status == HTTPStatus.SERVICE_UNAVAILABLE:
        headers["Retry-After"] = _RETRY_SECONDS
    return headers


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses: a path or a method that no route has."""
    status = HTTPStatus(error.status)
    message = "there is nothing under this path" if status == HTTPStatus.NOT_FOUND else error.reason
    response = _problem(request, status, "Refused", message)
    if isinstance(error, web.HTTPMethodNotAllowed):
        response.headers["Allow"] = ", ".join(sorted(error.allowed_methods))
    return response
