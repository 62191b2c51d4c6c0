"""Listing referrers (specification, end-12)."""

import orjson
from aiohttp import web

from registry.core.media_types import OCI_INDEX
from registry.http.access import REPOSITORY
from registry.http.pages import link_to_next, page_of
from registry.oci.services import SERVICES
from storage.digest import Digest
from storage.metadata.manifests import Referrer


async def list_referrers(request: web.Request) -> web.Response:
    """An index of the manifests whose subject is a digest, whether that is there or not."""
    subject = Digest.parse(request.match_info["digest"])
    # No manifest has a type with control characters, and not every database can be asked for one.
    artifact_type = request.query.get("artifactType", "").replace("\0", "\N{REPLACEMENT CHARACTER}") or None
    found = await request.app[SERVICES].images.referrers(
        request[REPOSITORY], subject, artifact_type=artifact_type, page=page_of(request)
    )
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": [_descriptor(entry) for entry in found.entries]}
    response = web.Response(body=orjson.dumps(index), headers={"Content-Type": OCI_INDEX})
    if artifact_type is not None:
        response.headers["OCI-Filters-Applied"] = "artifactType"
    if found.more and found.entries:
        response.headers["Link"] = link_to_next(request, found.entries[-1].digest, size=len(found.entries))
    return response


def _descriptor(entry: Referrer) -> dict[str, object]:
    descriptor: dict[str, object] = {"mediaType": entry.media_type, "digest": entry.digest, "size": entry.size}
    if entry.artifact_type is not None:
        descriptor["artifactType"] = entry.artifact_type
    if entry.annotations is not None:
        descriptor["annotations"] = orjson.Fragment(entry.annotations)
    return descriptor
