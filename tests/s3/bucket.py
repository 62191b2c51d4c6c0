"""What a bucket holds: objects, multipart uploads, and the settings that a store may ask for. No HTTP."""

import hashlib
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tests.s3.refusals import Refused

_upload_numbers = itertools.count(1)


def entity_tag(content: bytes) -> str:
    return f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object; `headers` are those that were sent with it and belong to it, in lower case."""

    content: bytes
    etag: str
    modified: float
    headers: Mapping[str, str] = field(default_factory=dict)
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Part:
    content: bytes
    etag: str
    modified: float
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Upload:
    """One multipart upload; ids ascend in the order in which uploads begin."""

    key: str
    initiated: float
    headers: Mapping[str, str]
    checksum_algorithm: str | None = None
    is_composite: bool = True
    parts: dict[int, Part] = field(default_factory=dict)
    id: str = field(default_factory=lambda: f"upload-{next(_upload_numbers):012d}")


@dataclass(frozen=True, slots=True)
class LifecycleRule:
    """A rule as GetBucketLifecycleConfiguration tells it."""

    id: str
    prefix: str = ""
    is_enabled: bool = True
    expiration_days: int | None = None
    noncurrent_days: int | None = None
    abort_days: int | None = None


@dataclass(slots=True)
class Bucket:
    """One bucket. `versioning` is told, not kept: there is one version of an object."""

    name: str
    created: float
    objects: dict[str, StoredObject] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    completed: dict[str, tuple[str, str]] = field(default_factory=dict)
    versioning: str | None = None
    lifecycle: list[LifecycleRule] = field(default_factory=list)

    def object(self, key: str) -> StoredObject:
        try:
            return self.objects[key]
        except KeyError:
            raise Refused("NoSuchKey", Key=key) from None

    def upload(self, key: str, upload_id: str) -> Upload:
        upload = self.uploads.get(upload_id)
        if upload is None or upload.key != key:
            raise Refused("NoSuchUpload", UploadId=upload_id)
        return upload


@dataclass(frozen=True, slots=True)
class Page:
    """A page of a listing: names and common prefixes, and where the next page begins, if there is one."""

    names: list[str]
    prefixes: list[str]
    following: str | None


def page(names: Iterable[str], limit: int, *, prefix: str = "", after: str = "", delimiter: str = "") -> Page:
    """The first `limit` names and common prefixes together, of those under `prefix` that come after `after`."""
    listed: list[str] = []
    prefixes: list[str] = []
    last = after
    for name in sorted(name for name in names if name > after and name.startswith(prefix)):
        if name <= last:
            continue  # below a common prefix that is told already
        if len(listed) + len(prefixes) == limit:
            return Page(listed, prefixes, last if limit else None)
        head, found, _ = name[len(prefix) :].partition(delimiter) if delimiter else (name, "", "")
        if found:
            prefixes.append(prefix + head + found)
            last = prefixes[-1] + "\U0010ffff"
        else:
            listed.append(name)
            last = name
    return Page(listed, prefixes, None)
