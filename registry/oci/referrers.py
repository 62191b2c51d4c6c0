"""Listing referrers (specification, end-12)."""

import orjson
from aiohttp import web

from registry.core.images import Images
from registry.core.media_types import OCI_INDEX
from registry.http.pages import page_headers, page_of
from registry.http.reads import Asked, Ready, asked_by, response
from registry.oci.services import SERVICES
from storage.digest import Digest
from storage.metadata.manifests import Referrer


async def list_referrers(request: web.Request) -> web.Response:
    """An index of the manifests whose subject is a digest, whether that is there or not."""
    return response(
        await listed_referrers(request.app[SERVICES].images, asked_by(request, request.match_info["digest"]))
    )


async def listed_referrers(images: Images, asked: Asked) -> Ready:
    """The index that is asked for."""
    subject = Digest.parse(asked.reference)
    # No manifest has a type with control characters, and not every database can be asked for one.
    artifact_type = asked.query.get("artifactType", "").replace("\0", "\N{REPLACEMENT CHARACTER}") or None
    found = await images.referrers(asked.name, subject, artifact_type=artifact_type, page=page_of(asked.query))
    entries = [_descriptor(entry) for entry in found.entries]
    body = orjson.dumps({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    last = found.entries[-1].digest if found.more and found.entries else None
    headers = page_headers(asked, OCI_INDEX, last, size=len(found.entries))
    if artifact_type is not None:
        headers["OCI-Filters-Applied"] = "artifactType"
    return Ready(headers, len(body), body)


def _descriptor(entry: Referrer) -> dict[str, object]:
    descriptor: dict[str, object] = {"mediaType": entry.media_type, "digest": entry.digest, "size": entry.size}
    if entry.artifact_type is not None:
        descriptor["artifactType"] = entry.artifact_type
    if entry.annotations is not None:
        descriptor["annotations"] = orjson.Fragment(entry.annotations)
    return descriptor
