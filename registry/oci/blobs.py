"""Blobs: pulling, with ranges, and deleting (specification, end-2 and end-10)."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from http import HTTPStatus

from aiohttp import web

from registry.core.errors import CopyReplaced
from registry.core.reading import OpenBlob
from registry.http.access import REPOSITORY
from registry.http.conditions import is_unchanged, require_wanted
from registry.http.middleware import SENT_BYTES, has_begun
from registry.http.ranges import requested_spans
from registry.http.transfers import Send, Source
from registry.oci.services import SERVICES
from storage.blobs.interface import Span
from storage.digest import Digest

TYPE = "application/octet-stream"


async def get_blob(request: web.Request) -> web.StreamResponse:
    """Pull a blob, whole or in ranges (RFC 9110 section 14)."""
    try:
        return await _pull(request)
    except CopyReplaced:
        if has_begun(request):
            raise
        return await _pull(request)


async def head_blob(request: web.Request) -> web.StreamResponse:
    """Tell whether the repository has a blob; whoever is told so may rely on it."""
    digest = Digest.parse(request.match_info["digest"])
    size = await request.app[SERVICES].blobs.vouch(request[REPOSITORY], digest)
    require_wanted(request, str(digest), str(digest))
    headers = headers_of(digest)
    if is_unchanged(request, headers["ETag"]):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
    return web.Response(headers={**headers, "Content-Length": str(size)})


async def delete_blob(request: web.Request) -> web.Response:
    """Take a blob out of the repository, at once."""
    await request.app[SERVICES].blobs.delete(request[REPOSITORY], Digest.parse(request.match_info["digest"]))
    return web.Response(status=HTTPStatus.ACCEPTED, headers={"Content-Length": "0"})


async def _pull(request: web.Request) -> web.StreamResponse:
    digest = Digest.parse(request.match_info["digest"])
    async with request.app[SERVICES].blobs.open(request[REPOSITORY], digest) as blob:
        require_wanted(request, str(digest), str(digest))
        headers = headers_of(digest)
        if is_unchanged(request, headers["ETag"]):
            return web.Response(status=HTTPStatus.NOT_MODIFIED, headers=headers)
        if blob.signed_url is not None and blob.size:
            return _elsewhere(await blob.signed_url(TYPE), headers)
        spans = requested_spans(_range_header(request, headers["ETag"]), blob.size)
        if spans is None:
            return await _send(request, blob, Span(0, blob.size), HTTPStatus.OK, headers)
        if len(spans) == 1:
            headers["Content-Range"] = _content_range(spans[0], blob.size)
            return await _send(request, blob, spans[0], HTTPStatus.PARTIAL_CONTENT, headers)
        return await _send_parts(request, blob, spans, headers)


def _elsewhere(url: str, headers: dict[str, str]) -> web.Response:
    """Send the client to the store; whoever sees the URL can use it, so it is kept from caches and other sites."""
    private = {"Location": url, "Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "Content-Length": "0"}
    return web.Response(status=HTTPStatus.TEMPORARY_REDIRECT, headers={**headers, **private})


def headers_of(digest: Digest) -> dict[str, str]:
    """What every answer about a blob says."""
    return {
        "Content-Type": TYPE,
        "Docker-Content-Digest": str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        # What is stored came from anywhere: a browser must neither guess at it nor run it.
        "X-Content-Type-Options": "nosniff",
        "Content-Disposition": "attachment",
    }


def _range_header(request: web.Request, etag: str) -> str | None:
    """The Range header, unless If-Range says that the client has a part of something else."""
    condition = request.headers.get("If-Range")
    return request.headers.get("Range") if condition in {None, etag} else None


def _content_range(span: Span, size: int) -> str:
    return f"bytes {span.offset}-{span.end - 1}/{size}"


async def _send(
    request: web.Request, blob: OpenBlob, span: Span, status: HTTPStatus, headers: dict[str, str]
) -> web.StreamResponse:
    response = web.StreamResponse(status=status, headers=headers)
    response.content_length = span.length
    async with _begun(request, blob, span) as send:
        await response.prepare(request)
        await send(request, response)
    request[SENT_BYTES] = span.length
    await response.write_eof()
    return response


async def _send_parts(
    request: web.Request, blob: OpenBlob, spans: Sequence[Span], headers: dict[str, str]
) -> web.StreamResponse:
    """Several ranges as one multipart/byteranges body (RFC 9110 section 14.6)."""
    boundary = secrets.token_hex(16)
    opening = f"\r\n--{boundary}\r\nContent-Type: {TYPE}\r\nContent-Range: "
    heads = [f"{opening}{_content_range(span, blob.size)}\r\n\r\n".encode() for span in spans]
    tail = f"\r\n--{boundary}--\r\n".encode()
    headers["Content-Type"] = f"multipart/byteranges; boundary={boundary}"
    response = web.StreamResponse(status=HTTPStatus.PARTIAL_CONTENT, headers=headers)
    response.content_length = sum(map(len, heads)) + sum(span.length for span in spans) + len(tail)
    for head, span in zip(heads, spans, strict=True):
        async with _begun(request, blob, span) as send:
            await response.prepare(request)  # once, whatever the number of parts
            await response.write(head)
            await send(request, response)
        await asyncio.sleep(0)  # a thousand short parts must not hold up the others
    await response.write(tail)
    request[SENT_BYTES] = response.content_length
    await response.write_eof()
    return response


@asynccontextmanager
async def _begun(request: web.Request, blob: OpenBlob, span: Span) -> AsyncIterator[Send]:
    """What sends a span, its first bytes being there, so that errors come before the head."""
    sender = request.app[SERVICES].sender
    if blob.reader is not None:
        yield await sender.begin(Source(blob.reader, blob.file), span)
        return
    async with aclosing(blob.read(span)) as chunks:
        yield await sender.begin_stream(chunks)
