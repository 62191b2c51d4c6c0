"""How this door says what went wrong: one table from facts to the specification's error codes.

Source: OCI distribution specification, "Error Codes". Codes of 5xx answers are distribution's, for the specification
has none.
"""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

import orjson
from aiohttp import web

import auth.errors as auth_errors
import registry.core.errors as core_errors
import storage.errors as storage_errors
from auth.policy.findings import PolicyInvalid
from registry.http.access import CHALLENGE, NOT_CREATED
from registry.http.bodies import BodyTooLong
from registry.http.middleware import REQUEST_ID
from registry.http.ranges import RangeNotSatisfiable
from registry.http.refusals import BodyTooSlow
from registry.logs import log_failure, logger

VERSION_HEADER = "Docker-Distribution-API-Version"
VERSION = "registry/2.0"
_RETRY_SECONDS = "5"
# A list of missing content that no client would show in full.
_MAX_DETAILS = 1000

TABLE: Mapping[type[Exception], tuple[HTTPStatus, str]] = {
    auth_errors.CredentialsMissing: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    auth_errors.CredentialsInvalid: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    auth_errors.TokenInvalid: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    auth_errors.ScopeInsufficient: (HTTPStatus.UNAUTHORIZED, "DENIED"),
    auth_errors.AccessDenied: (HTTPStatus.FORBIDDEN, "DENIED"),
    auth_errors.TooManyAttempts: (HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
    auth_errors.TooManyLogins: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    auth_errors.WebIdentityInvalid: (HTTPStatus.UNAUTHORIZED, "UNAUTHORIZED"),
    auth_errors.KeysUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    auth_errors.ProviderInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.SessionInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.NoSigningKey: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    auth_errors.RotationRefused: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    auth_errors.ScopeInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.GrantUnsupported: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.StoredPolicyInvalid: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    auth_errors.AccountNameInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.PasswordRefused: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.AlreadyThere: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    auth_errors.NotThere: (HTTPStatus.NOT_FOUND, "UNSUPPORTED"),
    auth_errors.TooMany: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    auth_errors.PolicyInUse: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    auth_errors.VersionInUse: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    auth_errors.TagsInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    auth_errors.RootProtected: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    PolicyInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    core_errors.NameInvalid: (HTTPStatus.BAD_REQUEST, "NAME_INVALID"),
    core_errors.TagInvalid: (HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID"),
    core_errors.RepositoryUnknown: (HTTPStatus.NOT_FOUND, "NAME_UNKNOWN"),
    core_errors.RepositoryExists: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    core_errors.RepositoryNotEmpty: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    core_errors.EncryptionInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    core_errors.DomainUnknown: (HTTPStatus.NOT_FOUND, "UNSUPPORTED"),
    core_errors.DomainProtected: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    core_errors.DestructionRefused: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    core_errors.DestructionTooEarly: (HTTPStatus.CONFLICT, "UNSUPPORTED"),
    core_errors.BlobUnknown: (HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),
    core_errors.CopyReplaced: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    core_errors.ManifestUnknown: (HTTPStatus.NOT_FOUND, "MANIFEST_UNKNOWN"),
    core_errors.ConditionFailed: (HTTPStatus.PRECONDITION_FAILED, "DENIED"),
    core_errors.ManifestInvalid: (HTTPStatus.BAD_REQUEST, "MANIFEST_INVALID"),
    core_errors.ManifestNamesUnknown: (HTTPStatus.BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN"),
    core_errors.ManifestTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "MANIFEST_INVALID"),
    core_errors.TooManyTags: (HTTPStatus.REQUEST_URI_TOO_LONG, "MANIFEST_INVALID"),
    core_errors.UploadUnknown: (HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
    core_errors.UploadInvalid: (HTTPStatus.BAD_REQUEST, "BLOB_UPLOAD_INVALID"),
    core_errors.UploadOutOfOrder: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
    core_errors.UploadBusy: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
    core_errors.SizeInvalid: (HTTPStatus.BAD_REQUEST, "SIZE_INVALID"),
    core_errors.BlobTooLarge: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "SIZE_INVALID"),
    core_errors.TooManyUploads: (HTTPStatus.TOO_MANY_REQUESTS, "TOOMANYREQUESTS"),
    core_errors.PageInvalid: (HTTPStatus.BAD_REQUEST, "UNSUPPORTED"),
    storage_errors.DigestInvalid: (HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    storage_errors.DigestMismatch: (HTTPStatus.BAD_REQUEST, "DIGEST_INVALID"),
    storage_errors.StoredBytesMissing: (HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),
    storage_errors.StagedBytesMissing: (HTTPStatus.NOT_FOUND, "BLOB_UPLOAD_UNKNOWN"),
    storage_errors.StagedBytesBusy: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "BLOB_UPLOAD_INVALID"),
    storage_errors.NoSpace: (HTTPStatus.INSUFFICIENT_STORAGE, "UNAVAILABLE"),
    storage_errors.StoreUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.KeyUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.WrongKey: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.SealBroken: (HTTPStatus.NOT_FOUND, "BLOB_UNKNOWN"),
    storage_errors.DomainUnusable: (HTTPStatus.FORBIDDEN, "DENIED"),
    storage_errors.DatabaseUnavailable: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.SchemaOutdated: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.KeyFileInvalid: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    storage_errors.AuditTrailBroken: (HTTPStatus.SERVICE_UNAVAILABLE, "UNAVAILABLE"),
    web.RequestPayloadError: (HTTPStatus.BAD_REQUEST, "SIZE_INVALID"),
    BodyTooLong: (HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "SIZE_INVALID"),
    BodyTooSlow: (HTTPStatus.REQUEST_TIMEOUT, "SIZE_INVALID"),
    RangeNotSatisfiable: (HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, "SIZE_INVALID"),
}
"""Status and code of every fact; a fact takes the row of its nearest base class."""


def render(request: web.Request, error: Exception) -> web.Response:
    """The answer that tells a client of an error."""
    if isinstance(error, web.HTTPException):
        return _refused(request, error)
    if isinstance(error, core_errors.RepositoryUnknown):
        error = request.get(NOT_CREATED, error)  # with one more right the push would have made it
    row = next((TABLE[base] for base in type(error).__mro__ if base in TABLE), None)
    if row is None:
        logger().error("unexpected error", request_id=request[REQUEST_ID], exc_info=error)
        return _unexpected(request)
    status, code = row
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log_failure(request[REQUEST_ID], error)
    return answer(status, list(_entries(request, error, code, status)), headers=_headers(request, error, status))


def answer(status: int, entries: list[dict[str, Any]], *, headers: Mapping[str, str] | None = None) -> web.Response:
    """An error document of the specification."""
    return web.Response(
        status=status,
        body=orjson.dumps({"errors": entries}),
        content_type="application/json",
        headers={VERSION_HEADER: VERSION, **(headers or {})},
    )


def _entry(code: str, message: str, detail: object = None) -> dict[str, Any]:
    return {"code": code, "message": message, "detail": detail}


def _entries(request: web.Request, error: Exception, code: str, status: HTTPStatus) -> Iterator[dict[str, Any]]:
    match error:
        case core_errors.ManifestNamesUnknown():
            # Docker 29 pushes again what is named here, so every missing digest has an entry.
            for digest in error.digests[:_MAX_DETAILS]:
                yield _entry(code, str(error), digest)
        case core_errors.UploadOutOfOrder() | core_errors.UploadBusy():
            yield _entry(code, str(error), {"offset": error.offset})
        case auth_errors.AccessDenied() | auth_errors.ScopeInsufficient():
            yield _entry(code, str(error), _missing(error))
        case core_errors.NameInvalid():
            yield _entry(code, str(error), {"name": error.name})
        case storage_errors.DigestMismatch():
            yield _entry(code, str(error), {"expected": error.expected, "actual": error.actual})
        case _ if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            yield _entry(code, str(error), {"request_id": request[REQUEST_ID]})
        case _:
            yield _entry(code, str(error))


def _missing(error: auth_errors.AccessDenied | auth_errors.ScopeInsufficient) -> dict[str, Any]:
    """What was missing; for an explicit deny, which statement of which policy it was."""
    detail: dict[str, Any] = {"action": error.action, "resource": error.resource.arn}
    if isinstance(error, auth_errors.AccessDenied) and error.denied_by is not None:
        match = error.denied_by
        detail["denied_by"] = {"policy": match.policy, "sid": match.sid, "statement": match.index}
    return detail


def _headers(request: web.Request, error: Exception, status: HTTPStatus) -> dict[str, str]:
    headers: dict[str, str] = {}
    if status == HTTPStatus.UNAUTHORIZED and CHALLENGE in request:
        headers["WWW-Authenticate"] = request[CHALLENGE]
    if status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}:
        headers["Retry-After"] = _RETRY_SECONDS
    match error:
        case auth_errors.TooManyAttempts():
            headers["Retry-After"] = str(error.retry_after_seconds)
        case core_errors.UploadOutOfOrder() | core_errors.UploadBusy():
            headers["Range"] = f"0-{max(0, error.offset - 1)}"
            headers["Location"] = request.rel_url.raw_path
            headers["Docker-Upload-UUID"] = error.upload_id
        case RangeNotSatisfiable():
            headers["Content-Range"] = f"bytes */{error.size}"
        case BodyTooSlow():
            headers["Connection"] = "close"
        case _:
            pass
    return headers


def _refused(request: web.Request, error: web.HTTPException) -> web.Response:
    """What aiohttp itself refuses: a path or a method that no route has."""
    headers: dict[str, str] = {}
    if isinstance(error, web.HTTPMethodNotAllowed):
        headers["Allow"] = ", ".join(sorted(error.allowed_methods))
        message = f"{request.method} is not supported here"
    elif error.status == HTTPStatus.NOT_FOUND:
        message = "there is nothing under this path"
    else:
        message = error.reason
    return answer(error.status, [_entry("UNSUPPORTED", message)], headers=headers)


def _unexpected(request: web.Request) -> web.Response:
    message = "the registry failed to answer: its log says why, under this request id"
    return answer(HTTPStatus.INTERNAL_SERVER_ERROR, [_entry("UNKNOWN", message, {"request_id": request[REQUEST_ID]})])
