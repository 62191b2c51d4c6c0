"""Blobs and manifests to push: the smallest that are valid."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

IMAGE: Final = "application/vnd.oci.image.manifest.v1+json"
INDEX: Final = "application/vnd.oci.image.index.v1+json"
DOCKER_IMAGE: Final = "application/vnd.docker.distribution.manifest.v2+json"
DOCKER_LIST: Final = "application/vnd.docker.distribution.manifest.list.v2+json"
CONFIG: Final = "application/vnd.oci.image.config.v1+json"
LAYER: Final = "application/vnd.oci.image.layer.v1.tar"
CONFIG_BYTES: Final = b'{"architecture":"amd64","os":"linux"}'
ABSENT: Final = "sha256:" + "0" * 64
"""The digest of nothing that anybody has."""


def sha256(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


def sha512(content: bytes) -> str:
    return "sha512:" + hashlib.sha512(content).hexdigest()


def descriptor(content: bytes, media_type: str, **members: Any) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": sha256(content), "size": len(content), **members}


def image(layers: Sequence[bytes] = (b"layer",), /, **members: Any) -> bytes:
    """An OCI image; more members replace or follow its own."""
    return encoded(
        {
            "schemaVersion": 2,
            "mediaType": IMAGE,
            "config": descriptor(CONFIG_BYTES, CONFIG),
            "layers": [descriptor(layer, LAYER) for layer in layers],
            **members,
        }
    )


def index(*children: bytes, **members: Any) -> bytes:
    """An OCI index of images."""
    listed = [descriptor(child, IMAGE) for child in children]
    return encoded({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed, **members})


def encoded(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document).encode()


def of_size(size: int) -> bytes:
    """An image without layers whose manifest has exactly so many bytes."""
    empty = image((), annotations={"filler": ""})
    return image((), annotations={"filler": "x" * (size - len(empty))})
