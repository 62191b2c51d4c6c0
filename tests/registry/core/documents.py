"""Manifests for tests, as Python values."""

from typing import Any

import orjson

from registry.core.manifest import Manifest, parse_manifest
from registry.core.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from storage.digest import Digest

CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar+gzip"
FOREIGN_TYPE = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
DEPTH = 64

__all__ = [
    "CONFIG_TYPE",
    "DEPTH",
    "DOCKER_LIST",
    "DOCKER_MANIFEST",
    "FOREIGN_TYPE",
    "LAYER_TYPE",
    "OCI_INDEX",
    "OCI_MANIFEST",
    "descriptor",
    "image",
    "index",
    "parsed",
    "read",
]


def descriptor(content: bytes, media_type: str = LAYER_TYPE, **more: Any) -> dict[str, Any]:
    """A descriptor of some bytes."""
    return {"mediaType": media_type, "digest": str(Digest.of(content)), "size": len(content), **more}


def image(*layers: bytes, config_bytes: bytes = b"{}", **more: Any) -> dict[str, Any]:
    """An OCI image manifest; `more` adds members or replaces them."""
    return {
        "schemaVersion": 2,
        "mediaType": OCI_MANIFEST,
        "config": descriptor(config_bytes, CONFIG_TYPE),
        "layers": [descriptor(layer) for layer in layers],
        **more,
    }


def index(*manifests: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An OCI index of descriptors."""
    return {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": list(manifests), **more}


def read(payload: bytes, content_type: str | None = None) -> Manifest:
    """Read a manifest as the server does."""
    return parse_manifest(payload, content_type, max_depth=DEPTH)


def parsed(document: object, content_type: str | None = None) -> Manifest:
    """Read a manifest that is given as a value."""
    return read(orjson.dumps(document), content_type)
