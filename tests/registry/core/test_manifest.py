"""Reading manifests: what is accepted, and how it is understood."""

import base64
from typing import Any

import orjson
import pytest

from registry.core.manifest import Descriptor, parse_manifest
from registry.core.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from storage.digest import Algorithm, Digest
from tests.registry.core.documents import (
    CONFIG_TYPE,
    DEPTH,
    FOREIGN_TYPE,
    LAYER_TYPE,
    descriptor,
    image,
    index,
    parsed,
    read,
)

SHA512 = "sha512:" + "0" * 128
GOOD: dict[str, dict[str, Any]] = {
    "an OCI image": image(b"one", b"two"),
    "an OCI image without layers": image(),
    "an OCI image whose layers are null, as Go writes an empty list": image(layers=None),
    "an image that names a layer twice": image(b"one", b"one"),
    "an image with an empty layer": image(b""),
    "an image with a foreign layer": image(layers=[descriptor(b"x", FOREIGN_TYPE, urls=["https://example.com/x"])]),
    "a Docker image": image(b"one", mediaType=DOCKER_MANIFEST),
    "an OCI index": index(descriptor(b"m", OCI_MANIFEST, platform={"os": "linux", "architecture": "arm64"})),
    "a Docker list": index(descriptor(b"m", DOCKER_MANIFEST), mediaType=DOCKER_LIST),
    "an index in an index": index(descriptor(b"i", OCI_INDEX)),
    "an index without manifests": index(),
    "an index whose manifests are null": index(manifests=None),
    "an index that names a manifest twice": index(descriptor(b"m", OCI_MANIFEST), descriptor(b"m", OCI_MANIFEST)),
    "an index of things that are no manifests": index(descriptor(b"x", "text/plain")),
    "an artifact": image(b"x", artifactType="application/vnd.example.sbom"),
    "an artifact index": index(artifactType="application/vnd.example.bundle"),
    "an image with a subject": image(subject=descriptor(b"m", OCI_MANIFEST)),
    "an index with a subject": index(subject=descriptor(b"m", OCI_MANIFEST)),
    "an image whose subject is null": image(subject=None),
    "an image with annotations": image(annotations={"org.example.Layers": "x", "": ""}),
    "an image with empty annotations": image(annotations={}),
    "an image whose annotations are null": image(annotations=None),
    "a document with members of its own": image(custom={"Layers": [1.5, None, True]}, x=1),
    "a descriptor with members of its own": image(layers=[descriptor(b"x", custom=[])]),
    "a descriptor with its content": image(layers=[descriptor(b"hi", data="aGk=")]),
    "a descriptor with empty content": image(layers=[descriptor(b"", data="")]),
    "a descriptor whose content is null": image(layers=[descriptor(b"hi", data=None)]),
    "a descriptor of another algorithm": image(layers=[{"mediaType": "a/b", "digest": SHA512, "size": 1}]),
    "the largest size": image(layers=[descriptor(b"x") | {"size": 2**63 - 1}]),
    "an artifact type that is empty": image(artifactType=""),
}


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD.keys())
def test_a_good_document_is_accepted(document: dict[str, Any]) -> None:
    manifest = parsed(document)

    assert manifest.media_type == document["mediaType"]


@pytest.mark.parametrize("document", GOOD.values(), ids=GOOD.keys())
def test_a_good_document_is_kept_byte_for_byte(document: dict[str, Any]) -> None:
    """The digest of a manifest is over the exact bytes received."""
    payload = b" " + orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"

    manifest = read(payload)

    assert manifest.payload == payload
    assert manifest.digest == Digest.of(payload)


def test_an_image_names_its_config_and_layers() -> None:
    manifest = parsed(image(b"one", b"two"))

    assert manifest.config == Descriptor(CONFIG_TYPE, Digest.of(b"{}"), 2)
    assert manifest.layers == (
        Descriptor(LAYER_TYPE, Digest.of(b"one"), 3),
        Descriptor(LAYER_TYPE, Digest.of(b"two"), 3),
    )
    assert list(manifest.blobs) == [manifest.config, *manifest.layers]
    assert list(manifest.documents) == []
    assert not manifest.is_index


def test_an_index_names_its_manifests() -> None:
    manifest = parsed(index(descriptor(b"m", OCI_MANIFEST), descriptor(b"i", DOCKER_LIST)))

    assert list(manifest.documents) == [
        Descriptor(OCI_MANIFEST, Digest.of(b"m"), 1),
        Descriptor(DOCKER_LIST, Digest.of(b"i"), 1),
    ]
    assert list(manifest.blobs) == []
    assert manifest.is_index


def test_what_an_index_names_that_is_no_manifest_is_a_blob() -> None:
    manifest = parsed(index(descriptor(b"m", OCI_MANIFEST), descriptor(b"x", "text/plain")))

    assert list(manifest.blobs) == [Descriptor("text/plain", Digest.of(b"x"), 1)]
    assert list(manifest.documents) == [Descriptor(OCI_MANIFEST, Digest.of(b"m"), 1)]


def test_a_subject_is_no_blob() -> None:
    manifest = parsed(image(subject=descriptor(b"m", OCI_MANIFEST)))

    assert manifest.subject == Descriptor(OCI_MANIFEST, Digest.of(b"m"), 1)
    assert manifest.subject not in list(manifest.blobs)


def test_a_foreign_layer_need_not_be_there() -> None:
    manifest = parsed(image(b"x", layers=[descriptor(b"x", FOREIGN_TYPE), descriptor(b"y")]))

    assert [layer.is_distributed for layer in manifest.layers] == [False, True]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (image(artifactType="a/b"), "a/b"),
        (image(), CONFIG_TYPE),
        (image(artifactType=""), CONFIG_TYPE),
        (index(artifactType="a/b"), "a/b"),
        (index(), None),
    ],
    ids=["artifact", "image", "image with an empty type", "artifact index", "index"],
)
def test_a_referrer_is_of_its_own_type_or_its_configs(document: dict[str, Any], expected: str | None) -> None:
    """Specification, "Listing Referrers"."""
    assert parsed(document).referrer_type == expected


def test_annotations_are_kept_as_json() -> None:
    assert parsed(image(annotations={"b": "ü", "a": '"'})).annotations == '{"b":"ü","a":"\\""}'
    assert parsed(image()).annotations is None


def test_the_content_type_stands_in_for_a_media_type() -> None:
    """OCI images need not name their own type."""
    document = image(b"x")
    del document["mediaType"]

    assert parsed(document, OCI_MANIFEST).media_type == OCI_MANIFEST


def test_a_document_that_names_its_type_needs_no_content_type() -> None:
    assert parsed(image(), None).media_type == OCI_MANIFEST
    assert parsed(image(), "").media_type == OCI_MANIFEST


def test_the_content_type_may_agree() -> None:
    assert parsed(index(), OCI_INDEX).media_type == OCI_INDEX


def test_a_manifest_can_be_named_by_another_algorithm() -> None:
    payload = orjson.dumps(image())

    manifest = parse_manifest(payload, None, max_depth=DEPTH, algorithm=Algorithm.SHA512)

    assert manifest.digest == Digest.of(payload, Algorithm.SHA512)


def _nested(depth: int) -> bytes:
    """An image that is so many objects and arrays deep."""
    return orjson.dumps(image())[:-1] + b',"x":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


def test_a_document_may_be_nested_as_deep_as_the_bound() -> None:
    assert read(_nested(64)).media_type == OCI_MANIFEST


def test_content_is_embedded_in_standard_base64() -> None:
    """RFC 4648 section 4, padded (descriptor.md, "Embedded Content")."""
    content = bytes(range(256))

    manifest = parsed(image(layers=[descriptor(content, data=base64.b64encode(content).decode())]))

    assert manifest.layers[0].size == 256
