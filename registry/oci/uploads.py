"""Uploads: from POST to a blob (specification, end-4 to end-6, end-11, end-13 and end-14)."""

from http import HTTPStatus
from urllib.parse import urlencode
from uuid import UUID

from aiohttp import web

from registry.core.errors import NameInvalid, SizeInvalid, UploadInvalid, UploadUnknown
from registry.core.incoming import Chunk
from registry.core.names import RepositoryName
from registry.core.upload_sessions import Owner
from registry.core.uploads import Progress
from registry.http.access import ACCESS, CALLER, REPOSITORY
from registry.http.bodies import RequestBody
from registry.http.ranges import chunk_range
from registry.oci.services import SERVICES, Services
from storage.digest import Algorithm, Digest
from storage.errors import DigestMismatch


async def start_upload(request: web.Request) -> web.Response:
    """Open an upload session; or mount a blob; or take a whole blob at once."""
    if "mount" in request.query:
        mounted = await _mount(request, Digest.parse(request.query["mount"]))
        if mounted is not None:
            return mounted
    if "digest" in request.query:
        return await _push_at_once(request, Digest.parse(request.query["digest"]))
    algorithm = Algorithm.parse(request.query.get("digest-algorithm", Algorithm.SHA256.value))
    services = request.app[SERVICES]
    progress = await services.uploads.start(_owner(request), algorithm, create=await _may_create(request))
    return _underway(request, progress, HTTPStatus.ACCEPTED)


async def append_chunk(request: web.Request) -> web.Response:
    """Stage a chunk, or a stream of unknown length."""
    services = request.app[SERVICES]
    progress = await services.uploads.append(_owner(request), _upload_id(request), _chunk(request, services))
    return _underway(request, progress, HTTPStatus.ACCEPTED)


async def finish_upload(request: web.Request) -> web.Response:
    """Close the session: with the digest of the whole, and the last chunk if there is one."""
    if "digest" not in request.query:
        message = "closing an upload needs the digest of the whole blob: PUT …?digest=algorithm:hex"
        raise UploadInvalid(message)
    services = request.app[SERVICES]
    digest = Digest.parse(request.query["digest"])
    upload_id = _upload_id(request)
    await services.uploads.finish(
        _owner(request),
        upload_id,
        digest,
        _chunk(request, services),
        hint=services.hints.read(upload_id, request.query.get("state")),
        create=await _may_create(request),
    )
    return _stored(request, digest)


async def upload_status(request: web.Request) -> web.Response:
    """Tell where an upload stands, so that a client can go on."""
    progress = await request.app[SERVICES].uploads.status(_owner(request), _upload_id(request))
    return _underway(request, progress, HTTPStatus.NO_CONTENT)


async def cancel_upload(request: web.Request) -> web.Response:
    """Drop a session and what it staged."""
    await request.app[SERVICES].uploads.cancel(_owner(request), _upload_id(request))
    return web.Response(status=HTTPStatus.NO_CONTENT)


async def _mount(request: web.Request, digest: Digest) -> web.Response | None:
    """Mount from another repository; None when there is nothing to mount, and the client uploads instead."""
    access, services = request.app[ACCESS], request.app[SERVICES]
    try:
        source = RepositoryName.parse(request.query["from"]) if request.query.get("from") else None
    except NameInvalid:
        return None
    mounted = await services.blobs.mount(
        request[REPOSITORY],
        digest,
        source=source,
        choose=lambda names: access.first_readable(request, names),
        create=await _may_create(request),
    )
    return _stored(request, digest) if mounted else None


async def _push_at_once(request: web.Request, digest: Digest) -> web.Response:
    """A blob in a single POST (end-4b): a session that lives as long as the request."""
    services, owner = request.app[SERVICES], _owner(request)
    create = await _may_create(request)
    progress = await services.uploads.start(owner, digest.algorithm, create=create)
    try:
        await services.uploads.finish(
            owner, progress.upload_id, digest, _chunk(request, services), hint=None, create=create
        )
    except DigestMismatch:
        raise
    except BaseException:
        # The client was never told of the session, so nobody will come back for it.
        await _cancel_quietly(services, owner, progress.upload_id)
        raise
    return _stored(request, digest)


async def _cancel_quietly(services: Services, owner: Owner, upload_id: str) -> None:
    try:
        await services.uploads.cancel(owner, upload_id)
    except UploadUnknown:
        return


def _owner(request: web.Request) -> Owner:
    return Owner(request[REPOSITORY], request[CALLER].principal.arn)


def _upload_id(request: web.Request) -> str:
    sent = request.match_info["upload"]
    try:
        return str(UUID(sent))
    except ValueError:
        raise UploadUnknown from None


async def _may_create(request: web.Request) -> bool:
    """Whether this push may make its repository, should it not be there."""
    return request.app[SERVICES].create_on_push and await request.app[ACCESS].may_create(request)


def _chunk(request: web.Request, services: Services) -> Chunk:
    """The body of the request, and where the client says it belongs."""
    body = RequestBody(request, services.budget, idle_seconds=services.bounds.body_idle)
    header = request.headers.get("Content-Range")
    if header is None:
        return Chunk(body)
    said = chunk_range(header)
    if said is None:
        message = f"Content-Range must be written first-last, both inclusive, not {header[:100]!r}"
        raise UploadInvalid(message)
    if request.content_length is not None and request.content_length != said.length:
        message = f"Content-Range announces {said.length} bytes, Content-Length {request.content_length}"
        raise SizeInvalid(message)
    return Chunk(body, said.start, said.length)


def _underway(request: web.Request, progress: Progress, status: HTTPStatus) -> web.Response:
    """Where an upload stands: Range names the last byte, so an empty upload looks like one of a single byte."""
    services = request.app[SERVICES]
    location = f"/v2/{request[REPOSITORY]}/blobs/uploads/{progress.upload_id}"
    if progress.hint is not None and progress.offset:
        location += "?" + urlencode({"state": services.hints.sign(progress.upload_id, progress.hint)})
    headers = {
        "Location": location,
        "Range": f"0-{max(0, progress.offset - 1)}",
        "Docker-Upload-UUID": progress.upload_id,
    }
    if status != HTTPStatus.NO_CONTENT:
        headers["Content-Length"] = "0"
    return web.Response(status=status, headers=headers)


def _stored(request: web.Request, digest: Digest) -> web.Response:
    return web.Response(
        status=HTTPStatus.CREATED,
        headers={
            "Location": f"/v2/{request[REPOSITORY]}/blobs/{digest}",
            "Docker-Content-Digest": str(digest),
            "Content-Length": "0",
        },
    )
