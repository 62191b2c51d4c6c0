"""Images made and pushed with no client at all: an OCI layout with one image and one index of three platforms."""

import gzip
import io
import json
import os
import tarfile
from pathlib import Path
from typing import Any

from proofs.registry import CONFIG, INDEX, MANIFEST, Registry, sha256

PLATFORMS = ("amd64", "arm64", "s390x")
LAYER_BYTES = 300_000
Descriptor = dict[str, Any]


def make(directory: Path) -> None:
    """Write an OCI layout that names `seed`, a two-layer image, and `multi`, an index."""
    (directory / "blobs" / "sha256").mkdir(parents=True, exist_ok=True)
    layers = [layer(directory, "greeting", b"hello\n"), layer(directory, "noise", os.urandom(LAYER_BYTES))]
    images = [image(directory, platform, layers) for platform in PLATFORMS]
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": images}).encode()
    named = [
        images[0] | {"annotations": {"org.opencontainers.image.ref.name": "seed"}},
        put(directory, index, INDEX) | {"annotations": {"org.opencontainers.image.ref.name": "multi"}},
    ]
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": named}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')


def put(directory: Path, content: bytes, media_type: str) -> Descriptor:
    """Store one blob and describe it."""
    digest = sha256(content)
    (directory / "blobs" / digest.replace(":", "/")).write_bytes(content)
    return {"mediaType": media_type, "digest": digest, "size": len(content)}


def layer(directory: Path, name: str, content: bytes) -> tuple[Descriptor, str]:
    """One layer with one file, and the digest of its plain tar."""
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w") as archive:
        member = tarfile.TarInfo(name)
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    packed = gzip.compress(plain.getvalue(), mtime=0)
    return put(directory, packed, "application/vnd.oci.image.layer.v1.tar+gzip"), sha256(plain.getvalue())


def image(directory: Path, architecture: str, layers: list[tuple[Descriptor, str]]) -> Descriptor:
    """One image of these layers; its descriptor names the platform."""
    platform = {"architecture": architecture, "os": "linux"}
    roots = {"type": "layers", "diff_ids": [plain for _, plain in layers]}
    config = json.dumps(platform | {"config": {}, "rootfs": roots}).encode()
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": put(directory, config, CONFIG),
        "layers": [described for described, _ in layers],
    }
    return put(directory, json.dumps(manifest).encode(), MANIFEST) | {"platform": platform}


def push(registry: Registry, directory: Path, name: str, repository: str, tag: str) -> str:
    """Push what the layout calls NAME, with all that it names, as REPOSITORY:TAG; the digest."""
    named = json.loads((directory / "index.json").read_text())["manifests"]
    wanted = [one for one in named if one["annotations"]["org.opencontainers.image.ref.name"] == name]
    return push_manifest(registry, directory, wanted[0], repository, tag)


def push_manifest(registry: Registry, directory: Path, described: Descriptor, repository: str, reference: str) -> str:
    """Push a manifest after its children and blobs."""
    content = read(directory, described)
    manifest = json.loads(content)
    for child in manifest.get("manifests", []):
        push_manifest(registry, directory, child, repository, child["digest"])
    for blob in [manifest["config"], *manifest["layers"]] if "config" in manifest else []:
        registry.push_blob(repository, read(directory, blob))
    registry.push_manifest(repository, reference, content, described["mediaType"])
    return str(described["digest"])


def read(directory: Path, described: Descriptor) -> bytes:
    """The bytes that a descriptor names."""
    digest: str = described["digest"]
    return (directory / "blobs" / digest.replace(":", "/")).read_bytes()
