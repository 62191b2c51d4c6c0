"""Reading manifests: what is refused, because readers could disagree about it or could not use it."""

import base64
import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.core.errors import ManifestInvalid
from registry.core.media_types import DOCKER_LIST, DOCKER_MANIFEST, OCI_INDEX, OCI_MANIFEST
from tests.registry.core.documents import descriptor, image, index, parsed, read

IMAGE = orjson.dumps(image(b"x"))


def without(document: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key != name}


def layer(**more: Any) -> dict[str, Any]:
    """An image whose layer has members replaced."""
    return image(layers=[descriptor(b"hi") | more])


BAD: dict[str, tuple[dict[str, Any], str | None]] = {
    "no schemaVersion": (without(image(), "schemaVersion"), "schemaVersion"),
    "schemaVersion 1": (image(schemaVersion=1), "schemaVersion"),
    "schemaVersion 3": (image(schemaVersion=3), "schemaVersion"),
    "schemaVersion as text": (image(schemaVersion="2"), "schemaVersion"),
    "schemaVersion as a fraction": (image(schemaVersion=2.0), "schemaVersion"),
    "schemaVersion true": (image(schemaVersion=True), "schemaVersion"),
    "no media type anywhere": (without(image(), "mediaType"), "mediaType"),
    "an empty media type": (image(mediaType=""), "mediaType"),
    "a foreign media type": (image(mediaType="application/json"), "mediaType"),
    "schema 1": (image(mediaType="application/vnd.docker.distribution.manifest.v1+prettyjws"), "mediaType"),
    "a media type in another case": (image(mediaType=OCI_MANIFEST.upper()), "mediaType"),
    "a media type that is no text": (image(mediaType=["x"]), "mediaType"),
    "an image with manifests": (image(manifests=[]), "manifests"),
    "an index with layers": (index(layers=[]), "layers"),
    "an index with null layers": (index(layers=None), "layers"),
    "an index with a config": (index(config=descriptor(b"{}")), "config"),
    "an image with layers of schema 1": (image(fsLayers=[]), "fsLayers"),
    "an image with a history of schema 1": (image(history=[]), "history"),
    "an image with signatures of schema 1": (image(signatures=[]), "signatures"),
    "Layers": (image(Layers=[]), "Layers"),
    "LAYERS in place of layers": (without(image(LAYERS=[]), "layers"), "LAYERS"),
    "Manifests in an image": (image(Manifests=[]), "Manifests"),
    "a long s": (image() | {"\u017fubject": None}, "\u017fubject"),
    "mediatype": (image(mediatype=OCI_INDEX), "mediatype"),
    "another spelling in a descriptor": (layer(Digest="x"), "layers[0].Digest"),
    "a Kelvin sign elsewhere is no spelling": (image(K=1, layers=1), "layers"),
    "no layers": (without(image(), "layers"), "layers"),
    "layers as an object": (image(layers={}), "layers"),
    "layers as text": (image(layers=""), "layers"),
    "layers false": (image(layers=False), "layers"),
    "layers as a number": (image(layers=0), "layers"),
    "no manifests": (without(index(), "manifests"), "manifests"),
    "manifests as an object": (index(manifests={}), "manifests"),
    "no config": (without(image(), "config"), "config"),
    "a config that is null": (image(config=None), "config"),
    "a config that is a list": (image(config=[]), "config"),
    "a layer that is null": (image(layers=[None]), "layers[0]"),
    "a layer that is text": (image(layers=[descriptor(b"x"), "x"]), "layers[1]"),
    "a subject that is text": (image(subject="x"), "subject"),
    "a subject without a size": (image(subject=without(descriptor(b"x"), "size")), "subject.size"),
    "a layer without a media type": (image(layers=[without(descriptor(b"x"), "mediaType")]), "layers[0].mediaType"),
    "a layer with an empty media type": (layer(mediaType=""), "layers[0].mediaType"),
    "a layer whose media type is no text": (layer(mediaType=1), "layers[0].mediaType"),
    "a layer with a control character": (layer(mediaType="a/b\r\nX: y"), "layers[0].mediaType"),
    "a layer without a digest": (image(layers=[without(descriptor(b"x"), "digest")]), "layers[0].digest"),
    "a digest that is no text": (layer(digest=5), "layers[0].digest"),
    "a digest in upper case": (layer(digest="SHA256:" + "A" * 64), "layers[0].digest"),
    "a digest of an unknown algorithm": (layer(digest="md5:" + "0" * 32), "layers[0].digest"),
    "an empty digest": (layer(digest=""), "layers[0].digest"),
    "a layer without a size": (image(layers=[without(descriptor(b"x"), "size")]), "layers[0].size"),
    "a size that is null": (layer(size=None), "layers[0].size"),
    "a size that is text": (layer(size="2"), "layers[0].size"),
    "a size that is negative": (layer(size=-1), "layers[0].size"),
    "a size that is a fraction": (layer(size=2.0), "layers[0].size"),
    "a size that is true": (layer(size=True), "layers[0].size"),
    "a size that does not fit": (layer(size=2**63), "layers[0].size"),
    "content of another size": (layer(data="aGlnaA=="), "layers[0].data"),
    "content that is other": (layer(data="aG8="), "layers[0].data"),
    "content that is not base64": (layer(data="aGk"), "layers[0].data"),
    "content with a line break": (layer(data="aG\nk="), "layers[0].data"),
    "content that is no ASCII": (layer(data="é"), "layers[0].data"),
    "content that is no text": (layer(data=[1]), "layers[0].data"),
    "annotations that are a list": (image(annotations=[]), "annotations"),
    "annotations that are numbers": (image(annotations={"a": 1}), "annotations"),
    "annotations that are null inside": (image(annotations={"a": None}), "annotations"),
    "annotations of a layer that are text": (layer(annotations="x"), "layers[0].annotations"),
    "an artifact type that is a number": (image(artifactType=1), "artifactType"),
    "an artifact type with a line break": (image(artifactType="a/b\n"), "artifactType"),
}


@pytest.mark.parametrize(("document", "place"), BAD.values(), ids=BAD.keys())
def test_a_bad_document_is_refused_by_the_member_at_fault(document: dict[str, Any], place: str | None) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        parsed(document)

    assert caught.value.place == place


UNREADABLE: dict[str, bytes] = {
    "nothing": b"",
    "blank": b"  ",
    "text": b"hello",
    "a list": b"[]",
    "null": b"null",
    "a number": b"2",
    "a string": b'"x"',
    "half a document": IMAGE[:-1],
    "two documents": IMAGE + IMAGE,
    "bytes after the document": IMAGE + b"x",
    "a null byte after the document": IMAGE + b"\0",
    "a byte order mark": b"\xef\xbb\xbf" + IMAGE,
    "UTF-16": IMAGE.decode().encode("utf-16"),
    "UTF-16 without a mark": IMAGE.decode().encode("utf-16-le"),
    "UTF-32": IMAGE.decode().encode("utf-32"),
    "invalid UTF-8": IMAGE[:-1] + b',"x":"\xff"}',
    "an overlong slash": IMAGE[:-1] + b',"x":"\xc0\xaf"}',
    "half a surrogate pair": IMAGE[:-1] + b',"x":"\\ud800"}',
    "a control character in a string": IMAGE[:-1] + b',"x":"\n"}',
    "NaN": IMAGE[:-1] + b',"x":NaN}',
    "Infinity": IMAGE[:-1] + b',"x":Infinity}',
    "a leading zero": IMAGE[:-1] + b',"x":01}',
    "a comment": IMAGE[:-1] + b"/* */}",
    "a trailing comma": IMAGE[:-1] + b",}",
    "single quotes": b"{'schemaVersion':2}",
    "a number of 5,000 digits": IMAGE[:-1] + b',"x":' + b"9" * 5000 + b"}",
    "a size of 100 digits": orjson.dumps(layer(size=7)).replace(b'"size":7', b'"size":' + b"9" * 100),
    "nesting past the bound": IMAGE[:-1] + b',"x":' + b"[" * 64 + b"]" * 64 + b"}",
    "nesting of objects past the bound": IMAGE[:-1] + b',"x":' + b'{"a":' * 64 + b"1" + b"}" * 64 + b"}",
    "nesting without an end": b'{"a":' * 100_000,
    "deep nesting": b"[" * 1_000_000,
    "a member twice": IMAGE[:-1] + b',"layers":[]}',
    "a member twice, once escaped": IMAGE[:-1] + b',"lay\\u0065rs":[]}',
    "a member of a descriptor twice": IMAGE.replace(b'"size":1', b'"size":1,"size":2'),
    "an annotation twice": IMAGE[:-1] + b',"annotations":{"a":"1","a":"2"}}',
    "an unknown member twice": IMAGE[:-1] + b',"x":[{"y":1,"y":1}]}',
}


@pytest.mark.parametrize("payload", UNREADABLE.values(), ids=UNREADABLE.keys())
def test_what_readers_may_disagree_about_is_refused(payload: bytes) -> None:
    with pytest.raises(ManifestInvalid):
        read(payload)


@pytest.mark.parametrize("content_type", [OCI_INDEX, DOCKER_MANIFEST, "application/json"])
def test_a_content_type_that_disagrees_is_refused(content_type: str) -> None:
    """The manifest's mediaType and the Content-Type header name the same type (specification, end-7)."""
    with pytest.raises(ManifestInvalid, match="Content-Type"):
        parsed(image(), content_type)


@pytest.mark.parametrize("content_type", ["application/json", "text/plain", DOCKER_LIST.upper()])
def test_an_unknown_content_type_is_refused(content_type: str) -> None:
    with pytest.raises(ManifestInvalid) as caught:
        parsed(without(image(), "mediaType"), content_type)

    assert caught.value.place == "mediaType"


def test_a_refusal_keeps_little_of_a_long_name() -> None:
    """An error that is answered stays small, whatever was sent."""
    with pytest.raises(ManifestInvalid) as caught:
        read(b'{"' + b"x" * 100_000 + b'":1,"' + b"x" * 100_000 + b'":2}')

    assert len(str(caught.value)) < 300


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
MEMBERS = ["schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations"]
DESCRIBED = ["mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform"]


def attempt(payload: bytes, content_type: str | None = None) -> None:
    """Nothing but a refusal may come out; what is accepted was read as it stands."""
    try:
        manifest = read(payload, content_type)
    except ManifestInvalid:
        return
    assert manifest.payload == payload
    assert manifest.digest.matches(payload)
    assert manifest.media_type in {OCI_MANIFEST, OCI_INDEX, DOCKER_MANIFEST, DOCKER_LIST}


@given(st.binary(max_size=200), st.none() | st.text(max_size=20))
def test_no_bytes_make_reading_fail(payload: bytes, content_type: str | None) -> None:
    attempt(payload, content_type)


@given(
    st.sampled_from([image(b"x"), index(descriptor(b"m", OCI_MANIFEST))]),
    st.dictionaries(st.sampled_from(MEMBERS) | st.text(max_size=8), JSON, max_size=3),
    st.sampled_from([None, OCI_MANIFEST, OCI_INDEX]),
)
def test_no_member_makes_reading_fail(document: dict[str, Any], more: dict[str, Any], content_type: str | None) -> None:
    attempt(_dumped(document | more), content_type)


@given(st.dictionaries(st.sampled_from(DESCRIBED) | st.text(max_size=8), JSON, max_size=4))
def test_no_member_of_a_descriptor_makes_reading_fail(more: dict[str, Any]) -> None:
    attempt(_dumped(image(subject=descriptor(b"x") | more)))


@given(st.integers(0, len(IMAGE) - 1), st.binary(max_size=4), st.integers(0, 4))
def test_no_damage_makes_reading_fail(position: int, inserted: bytes, removed: int) -> None:
    attempt(IMAGE[:position] + inserted + IMAGE[position + removed :])


@given(st.binary(max_size=40), st.binary(max_size=40))
def test_embedded_content_is_accepted_only_if_it_is_the_content(content: bytes, embedded: bytes) -> None:
    document = image(layers=[descriptor(content, data=base64.b64encode(embedded).decode())])

    if content == embedded:
        assert parsed(document).layers[0].size == len(content)
    else:
        with pytest.raises(ManifestInvalid):
            parsed(document)


def _dumped(document: dict[str, Any]) -> bytes:
    """As JSON, with numbers that orjson does not write."""

    return json.dumps(document).encode()
