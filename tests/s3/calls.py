"""Which S3 operation an HTTP request asks for: method, path (path style) and the query tell."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote

from tests.s3.refusals import Refused

# a parameter that makes another operation of the request, of each scope
_OPERATIONS: Mapping[tuple[str, str, str], str] = {
    ("GET", "account", ""): "ListBuckets",
    ("GET", "bucket", "list-type"): "ListObjectsV2",
    ("GET", "bucket", "location"): "GetBucketLocation",
    ("GET", "bucket", "lifecycle"): "GetBucketLifecycleConfiguration",
    ("GET", "bucket", "uploads"): "ListMultipartUploads",
    ("GET", "bucket", "versioning"): "GetBucketVersioning",
    ("HEAD", "bucket", ""): "HeadBucket",
    ("PUT", "bucket", ""): "CreateBucket",
    ("DELETE", "bucket", ""): "DeleteBucket",
    ("POST", "bucket", "delete"): "DeleteObjects",
    ("GET", "object", ""): "GetObject",
    ("GET", "object", "uploadId"): "ListParts",
    ("HEAD", "object", ""): "HeadObject",
    ("PUT", "object", ""): "PutObject",
    ("PUT", "object", "copy"): "CopyObject",
    ("PUT", "object", "uploadId"): "UploadPart",
    ("PUT", "object", "uploadId copy"): "UploadPartCopy",
    ("DELETE", "object", ""): "DeleteObject",
    ("DELETE", "object", "uploadId"): "AbortMultipartUpload",
    ("POST", "object", "uploads"): "CreateMultipartUpload",
    ("POST", "object", "uploadId"): "CompleteMultipartUpload",
}
_MARKERS = ("uploadId", "uploads", "list-type", "delete", "versioning", "lifecycle", "location")
_PARAMETERS = frozenset(
    (
        *_MARKERS,
        *("continuation-token", "delimiter", "encoding-type", "fetch-owner", "max-keys", "prefix", "start-after"),
        *("key-marker", "max-uploads", "upload-id-marker", "max-parts", "part-number-marker", "partNumber"),
        *("response-cache-control", "response-content-disposition", "response-content-encoding"),
        *("response-content-language", "response-content-type", "response-expires", "x-id"),
        *("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Security-Token"),
        *("X-Amz-Signature", "X-Amz-SignedHeaders", "x-amz-checksum-mode"),
        "x-amz-request-payer",
    )
)
_ids = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Call:
    """One request without its body; header names are in lower case, `path` is as it was sent."""

    operation: str
    method: str
    path: str
    bucket: str
    key: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    id: str = field(default_factory=lambda: f"{next(_ids):016X}")

    def number(self, name: str, default: int) -> int:
        """A parameter that is a number, not below 0."""
        text = self.query.get(name, "")
        if not text:
            return default
        if not text.isdecimal():
            raise Refused("InvalidArgument", f"{name} must be an integer", ArgumentName=name, ArgumentValue=text)
        return int(text)


def call_of(method: str, target: str, headers: Mapping[str, str]) -> Call:
    """The call of one request; `Unknown` is the operation when there is none, and is refused when it is performed."""
    path, _, query_text = target.partition("?")
    query = dict(parse_qsl(query_text, keep_blank_values=True))
    bucket, _, key = path.removeprefix("/").partition("/")
    scope = "object" if key else "bucket" if bucket else "account"
    marker = next((name for name in _MARKERS if name in query), "")
    if "x-amz-copy-source" in headers:
        marker = f"{marker} copy".lstrip()
    operation = _OPERATIONS.get((method, scope, marker), "Unknown")
    if not query.keys() <= _PARAMETERS:
        operation = "Unknown"
    return Call(operation, method, path, unquote(bucket), unquote(key), query, headers)
