"""The table of this door: every endpoint of the specification, and the token endpoint."""

from aiohttp import web

from auth.actions import Action
from registry.http.routes import PUBLIC, Route
from registry.oci import blobs, catalog, manifests, referrers, tags, token, uploads
from registry.oci.errors import VERSION, VERSION_HEADER

# Everything, line ends included: that a name is no good is told by its own error, and only to who may ask.
EVERY_ANSWER = {VERSION_HEADER: VERSION}
_NAME = "/v2/{name:(?s:.+)}"
_BLOB = _NAME + "/blobs/{digest:[^/]+}"
_MANIFEST = _NAME + "/manifests/{reference:[^/]+}"
_UPLOADS = _NAME + "/blobs/uploads{slash:/?}"
_UPLOAD = _NAME + "/blobs/uploads/{upload:[^/]+}"
PULL = (Action.BATCH_GET_IMAGE,)
READ_BLOB = (Action.GET_DOWNLOAD_URL_FOR_LAYER,)
LOOK_FOR_BLOB = (Action.GET_DOWNLOAD_URL_FOR_LAYER, Action.BATCH_CHECK_LAYER_AVAILABILITY)
CATALOG = (Action.DESCRIBE_REPOSITORIES,)
LIST_TAGS = (Action.LIST_IMAGES,)
_DELETE = (Action.BATCH_DELETE_IMAGE,)


async def get_base(_request: web.Request) -> web.Response:
    """Tell that this is a registry, and that the caller may use it (end-1)."""
    return web.Response(body=b"{}", content_type="application/json")


# They are tried in this order: what is asked most is first; uploads are before blobs, for `uploads` could be a digest.
ROUTES = (
    Route("GET", "/v2{slash:/?}", get_base, (Action.GET_AUTHORIZATION_TOKEN,)),
    Route("GET", "/v2/_catalog", catalog.list_repositories, CATALOG),
    Route("GET", _MANIFEST, manifests.get_manifest, PULL),
    Route("HEAD", _MANIFEST, manifests.head_manifest, PULL),
    Route("PUT", _MANIFEST, manifests.put_manifest, (Action.PUT_IMAGE,)),
    Route("DELETE", _MANIFEST, manifests.delete_manifest, _DELETE),
    Route("POST", _UPLOADS, uploads.start_upload, (Action.INITIATE_LAYER_UPLOAD,)),
    Route("GET", _UPLOAD, uploads.upload_status, (Action.UPLOAD_LAYER_PART,)),
    Route("PATCH", _UPLOAD, uploads.append_chunk, (Action.UPLOAD_LAYER_PART,)),
    Route("PUT", _UPLOAD, uploads.finish_upload, (Action.COMPLETE_LAYER_UPLOAD,)),
    Route("DELETE", _UPLOAD, uploads.cancel_upload, (Action.UPLOAD_LAYER_PART,)),
    Route("GET", _BLOB, blobs.get_blob, READ_BLOB),
    Route("HEAD", _BLOB, blobs.head_blob, LOOK_FOR_BLOB),
    Route("DELETE", _BLOB, blobs.delete_blob, _DELETE),
    Route("GET", _NAME + "/tags/list", tags.list_tags, LIST_TAGS),
    Route("GET", _NAME + "/referrers/{digest:[^/]+}", referrers.list_referrers, PULL),
    Route("GET", "/auth/token", token.get_token, PUBLIC),
    Route("POST", "/auth/token", token.post_token, PUBLIC),
    Route("GET", "/auth/jwks.json", token.get_keys, PUBLIC),
)


async def add_version(request: web.Request, response: web.StreamResponse) -> None:
    """Old clients look for this header on every answer, errors included."""
    if request.path.startswith("/v2"):
        response.headers.setdefault(VERSION_HEADER, VERSION)
