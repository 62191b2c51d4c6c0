"""Reading a manifest: one document, one meaning.

- Two readers can never disagree about an accepted document: no member occurs twice, none is spelled in another case
  (Go matches names without regard to case), and none belongs to the other kind of document (CVE-2021-41190).
- Nothing here knows what is stored; `images` checks that what is named exists.

Source: OCI image specification, manifest.md, image-index.md and descriptor.md; Docker image manifest v2 schema 2.
"""

import base64
import binascii
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import orjson

from registry.core.errors import ManifestInvalid
from registry.core.media_types import DOCUMENTS, INDEXES, is_distributed
from storage.digest import Algorithm, Digest
from storage.errors import DigestInvalid

_SCHEMA_VERSION = 2
_MAX_SIZE = 2**63 - 1
_DOCUMENT = ("schemaVersion", "mediaType", "artifactType", "config", "layers", "manifests", "subject", "annotations")
_DESCRIPTOR = ("mediaType", "digest", "size", "urls", "annotations", "data", "artifactType", "platform")
_SPELLED = {name.casefold(): name for name in _DOCUMENT + _DESCRIPTOR}
_WELL_SPELLED = frozenset(_SPELLED.values())
_OF_SCHEMA_1 = frozenset({"fsLayers", "history", "signatures"})


@dataclass(frozen=True, slots=True)
class Descriptor:
    """A reference to content: its type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int

    @property
    def is_document(self) -> bool:
        """Whether it names a manifest or an index rather than a blob."""
        return self.media_type in DOCUMENTS

    @property
    def is_distributed(self) -> bool:
        """Whether the registry must hold it."""
        return is_distributed(self.media_type)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A manifest or an index as it was understood; `payload` holds the exact bytes."""

    media_type: str
    payload: bytes
    digest: Digest
    artifact_type: str | None
    config: Descriptor | None
    layers: tuple[Descriptor, ...]
    children: tuple[Descriptor, ...]
    subject: Descriptor | None
    annotations: str | None
    """JSON object."""

    @property
    def is_index(self) -> bool:
        """Whether it lists manifests rather than layers."""
        return self.media_type in INDEXES

    @property
    def blobs(self) -> Iterator[Descriptor]:
        """What it names in the blob store: config and layers, or entries of an index that are no documents."""
        if self.config is not None:
            yield self.config
        yield from self.layers
        yield from (child for child in self.children if not child.is_document)

    @property
    def documents(self) -> Iterator[Descriptor]:
        """The manifests that an index names."""
        return (child for child in self.children if child.is_document)

    @property
    def referrer_type(self) -> str | None:
        """What a referrers list shows as artifactType (specification, "Listing Referrers")."""
        if self.artifact_type:
            return self.artifact_type
        return self.config.media_type if self.config is not None else None


def parse_manifest(
    payload: bytes, content_type: str | None, *, max_depth: int, algorithm: Algorithm = Algorithm.SHA256
) -> Manifest:
    """Read a manifest; `content_type` is the request's, without parameters, None when it had none.

    It is named by its digest in `algorithm`. Raises ManifestInvalid or DigestInvalid.
    """
    document = _load(payload, max_depth)
    media_type = _media_type(document, content_type)
    _refuse_ambiguity(document, is_index=media_type in INDEXES)
    is_index = media_type in INDEXES
    config = None if is_index else _descriptor(document.get("config"), "config")
    subject = document.get("subject")
    return Manifest(
        media_type=media_type,
        payload=payload,
        digest=Digest.of(payload, algorithm),
        artifact_type=_optional_text(document, "artifactType", "artifactType"),
        config=config,
        layers=() if is_index else _descriptors(document, "layers"),
        children=_descriptors(document, "manifests") if is_index else (),
        subject=None if subject is None else _descriptor(subject, "subject"),
        annotations=_annotations(document, "annotations"),
    )


def _load(payload: bytes, max_depth: int) -> dict[str, Any]:
    """Parse strictly: first with bounds that need no recursion, then looking for members that occur twice."""
    try:
        document = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        raise ManifestInvalid(f"not a JSON document ({error})") from None
    if not isinstance(document, dict):
        raise ManifestInvalid("not a JSON object")
    _check_depth(document, max_depth)
    try:
        _MEMBERS.decode(payload.decode())
    except (ValueError, RecursionError):
        raise ManifestInvalid("not a JSON document") from None
    return document


def _object(pairs: list[tuple[str, Any]]) -> None:
    names = set()
    for name, _ in pairs:
        if name in names:
            raise ManifestInvalid("the member occurs twice, so that readers may disagree", name[:100])
        names.add(name)


_MEMBERS: Final = json.JSONDecoder(object_pairs_hook=_object)


def _check_depth(document: dict[str, Any], max_depth: int) -> None:
    """Refuse a document nested deeper than `max_depth` objects and arrays."""
    level: list[Any] = [document]
    depth = 0
    while level:
        depth += 1
        if depth > max_depth:
            raise ManifestInvalid(f"nested deeper than {max_depth} levels")
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]


def _media_type(document: dict[str, Any], content_type: str | None) -> str:
    declared = _optional_text(document, "mediaType", "mediaType")
    if content_type and declared and content_type != declared:
        raise ManifestInvalid(f"the document says {declared!r}, the Content-Type header {content_type!r}", "mediaType")
    media_type = declared or content_type
    if media_type not in DOCUMENTS:
        shown = f"{media_type!r} is not" if media_type else "neither the document nor Content-Type names"
        raise ManifestInvalid(f"{shown} a type that the registry stores", "mediaType")
    return media_type


def _refuse_ambiguity(document: dict[str, Any], *, is_index: bool) -> None:
    _refuse_other_spelling(document, None)
    version = document.get("schemaVersion")
    if not isinstance(version, int) or version != _SCHEMA_VERSION:
        raise ManifestInvalid("must be 2", "schemaVersion")
    foreign = {"layers", "config"} if is_index else {"manifests"}
    for name in sorted((foreign | _OF_SCHEMA_1) & document.keys()):
        raise ManifestInvalid("belongs to another kind of document", name)


def _refuse_other_spelling(members: dict[str, Any], place: str | None) -> None:
    if members.keys() <= _WELL_SPELLED:
        return
    for name in members:
        known = _SPELLED.get(name.casefold())
        if known is not None and known != name:
            raise ManifestInvalid(f"readers may take this for {known!r}", f"{place}.{name}" if place else name[:100])


def _descriptors(document: dict[str, Any], name: str) -> tuple[Descriptor, ...]:
    listed = document.get(name)
    if listed is None and name in document:
        return ()  # Go writes an empty list as null
    if not isinstance(listed, list):
        raise ManifestInvalid("must be a list of descriptors", name)
    return tuple(_descriptor(entry, f"{name}[{index}]") for index, entry in enumerate(listed))


def _descriptor(members: object, place: str) -> Descriptor:
    if not isinstance(members, dict):
        raise ManifestInvalid("must be a descriptor", place)
    _refuse_other_spelling(members, place)
    media_type = _optional_text(members, "mediaType", f"{place}.mediaType")
    if not media_type:
        raise ManifestInvalid("a descriptor needs a media type", f"{place}.mediaType")
    text, size = members.get("digest"), members.get("size")
    if not isinstance(text, str):
        raise ManifestInvalid("a descriptor needs a digest", f"{place}.digest")
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= _MAX_SIZE:
        raise ManifestInvalid("must be a whole number of bytes, zero or more", f"{place}.size")
    try:
        digest = Digest.parse(text)
    except DigestInvalid as error:
        raise ManifestInvalid(str(error), f"{place}.digest") from error
    _check_data(members, digest, size, place)
    _annotations(members, f"{place}.annotations")
    return Descriptor(media_type, digest, size)


def _check_data(members: dict[str, Any], digest: Digest, size: int, place: str) -> None:
    """Embedded content must be what the descriptor describes (descriptor.md, "Embedded Content")."""
    data = members.get("data")
    if data is None:
        return
    try:
        content = base64.b64decode(data, validate=True) if isinstance(data, str) else None
    except (binascii.Error, ValueError):
        content = None
    if content is None or len(content) != size or not digest.matches(content):
        raise ManifestInvalid("is not the content that the descriptor describes, in base64", f"{place}.data")


def _annotations(members: dict[str, Any], place: str) -> str | None:
    annotations = members.get("annotations")
    if annotations is None:
        return None
    if not isinstance(annotations, dict) or not all(isinstance(value, str) for value in annotations.values()):
        raise ManifestInvalid("must map names to strings", place)
    return orjson.dumps(annotations).decode()


def _optional_text(members: dict[str, Any], name: str, place: str) -> str | None:
    text = members.get(name)
    if text is not None and not isinstance(text, str):
        raise ManifestInvalid("must be a string", place)
    if text and not text.isprintable():
        raise ManifestInvalid("must hold no control characters", place)
    return text or None
