"""Operations on objects (S3 API reference, one section for each)."""

import re
from collections.abc import Mapping
from urllib.parse import unquote
from xml.etree import ElementTree as ET

from tests.s3.account import Account
from tests.s3.answers import Answer, document, elements, http_date, iso_date
from tests.s3.bucket import Bucket, StoredObject, entity_tag
from tests.s3.calls import Call
from tests.s3.payloads import Payload
from tests.s3.refusals import Refused

_ENCRYPTION = "x-amz-server-side-encryption"
_KEPT = frozenset(
    (
        *("cache-control", "content-disposition", "content-encoding", "content-language", "content-type", "expires"),
        *("x-amz-request-payer", "x-amz-storage-class"),
    )
)
_SECRET = frozenset({f"{_ENCRYPTION}-customer-key", f"{_ENCRYPTION}-context", "x-amz-request-payer"})
_RANGE = re.compile(r"bytes=(\d*)-(\d*)\Z", re.ASCII)
_MOST_KEYS = 1000


def kept_headers(call: Call) -> dict[str, str]:
    """The headers of a request that belong to the object."""
    headers = {
        name: value
        for name, value in call.headers.items()
        if name in _KEPT or name.startswith(("x-amz-meta-", _ENCRYPTION))
    }
    encodings = [word.strip() for word in headers.pop("content-encoding", "").split(",")]
    if encodings := [word for word in encodings if word not in {"", "aws-chunked"}]:
        headers["content-encoding"] = ", ".join(encodings)
    return headers


def encryption(headers: Mapping[str, str]) -> dict[str, str]:
    """How an object is encrypted, as answers tell it."""
    return {name: value for name, value in headers.items() if name.startswith(_ENCRYPTION) and name not in _SECRET}


def check_write(account: Account, bucket: Bucket, call: Call) -> None:
    """Refuse a write whose condition does not hold."""
    if account.ignores_conditions:
        return
    if (none_match := call.headers.get("if-none-match")) is not None:
        if none_match != "*":
            raise Refused("NotImplemented", "If-None-Match of a write takes * only")
        if call.key in bucket.objects:
            raise Refused("PreconditionFailed", Condition="If-None-Match")
    if (match := call.headers.get("if-match")) is not None and not _is_named(match, bucket.object(call.key).etag):
        raise Refused("PreconditionFailed", Condition="If-Match")


def _is_named(condition: str, etag: str) -> bool:
    names = [name.strip().removeprefix("W/").strip('"') for name in condition.split(",")]
    return "*" in names or etag.strip('"') in names


def put_object(account: Account, call: Call, payload: Payload) -> Answer:
    bucket = account.bucket(call.bucket)
    check_write(account, bucket, call)
    etag = entity_tag(payload.content)
    headers = kept_headers(call)
    bucket.objects[call.key] = StoredObject(payload.content, etag, account.now(), headers, payload.checksums)
    return Answer(200, {"ETag": etag, **payload.checksums, **encryption(headers)})


def get_object(account: Account, call: Call, _: Payload) -> Answer:
    """GetObject and HeadObject; the server leaves the body of the latter out."""
    bucket = account.bucket(call.bucket)
    if call.key not in bucket.objects and "ListObjectsV2" in account.denied:
        raise Refused("AccessDenied")  # who may not list is not told what is absent
    stored = bucket.object(call.key)
    _check_read(call, stored)
    headers = _described(call, stored)
    if (chosen := _span(call.headers.get("range", ""), len(stored.content))) is None:
        return Answer(200, headers, stored.content)
    start, end = chosen
    headers["Content-Range"] = f"bytes {start}-{end - 1}/{len(stored.content)}"
    for name in stored.checksums:
        headers.pop(name, None)  # they are of the whole
    return Answer(206, headers, stored.content[start:end])


def _check_read(call: Call, stored: StoredObject) -> None:
    match, none_match = call.headers.get("if-match"), call.headers.get("if-none-match")
    if match is not None and not _is_named(match, stored.etag):
        raise Refused("PreconditionFailed", Condition="If-Match")
    if none_match is not None and _is_named(none_match, stored.etag):
        raise Refused("NotModified")
    customer_key_md5 = stored.headers.get(f"{_ENCRYPTION}-customer-key-md5")
    if customer_key_md5 != call.headers.get(f"{_ENCRYPTION}-customer-key-md5"):
        raise Refused("InvalidRequest", "The object is stored with another customer key.")


def _described(call: Call, stored: StoredObject) -> dict[str, str]:
    headers = {"content-type": "binary/octet-stream", **stored.headers}
    for name in _SECRET:
        headers.pop(name, None)
    headers |= {"etag": stored.etag, "last-modified": http_date(stored.modified), "accept-ranges": "bytes"}
    for name, value in call.query.items():
        if name.startswith("response-"):
            headers[name.removeprefix("response-")] = value
    if call.headers.get("x-amz-checksum-mode", call.query.get("x-amz-checksum-mode", "")).upper() == "ENABLED":
        headers |= stored.checksums
    return headers


def _span(wanted: str, length: int) -> tuple[int, int] | None:
    """The first byte and the one after the last; None is all (RFC 9110 14.2: a range that is no range is ignored)."""
    match = _RANGE.match(wanted)
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, length - int(last)), length
    elif last and int(last) < int(first):
        return None
    else:
        start, end = int(first), min(length, int(last) + 1) if last else length
    if start >= end:
        raise Refused("InvalidRange", RangeRequested=wanted, ActualObjectSize=str(length))
    return start, end


def delete_object(account: Account, call: Call, _: Payload) -> Answer:
    account.bucket(call.bucket).objects.pop(call.key, None)
    return Answer(204)


def delete_objects(account: Account, call: Call, payload: Payload) -> Answer:
    bucket = account.bucket(call.bucket)
    if "content-md5" not in call.headers and not payload.checksums:
        raise Refused("InvalidRequest", "Missing required header for this request: Content-MD5 OR x-amz-checksum-*")
    root = xml_of(payload.content)
    keys = [element.findtext("Key", "") for element in root.iter("Object")]
    if not 0 < len(keys) <= _MOST_KEYS or "" in keys:
        raise Refused("MalformedXML")
    results = []
    for key in keys:
        refused = _undeletable(account, key)
        if refused is not None:
            results.append(f"<Error>{elements(Key=key, Code=refused.code, Message=refused.message)}</Error>")
            continue
        bucket.objects.pop(key, None)
        if root.findtext("Quiet") != "true":
            results.append(f"<Deleted>{elements(Key=key)}</Deleted>")
    return document("DeleteResult", "".join(results))


def _undeletable(account: Account, key: str) -> Refused | None:
    if "DeleteObject" in account.denied:
        return Refused("AccessDenied")
    return Refused("InternalError") if key in account.undeletable else None


def xml_of(content: bytes) -> ET.Element:
    """A document that a client sent, without its namespaces."""
    try:
        root = ET.fromstring(content)
    except ET.ParseError as error:
        raise Refused("MalformedXML") from error
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def copy_source(account: Account, call: Call) -> StoredObject:
    """The object that x-amz-copy-source names, if the conditions on it hold."""
    path, _, version = call.headers["x-amz-copy-source"].partition("?")
    bucket_name, found, key = unquote(path).removeprefix("/").partition("/")
    if version or not found:
        raise Refused("InvalidArgument", "The copy source must be a bucket and a key", ArgumentName="x-amz-copy-source")
    source = account.bucket(bucket_name).object(key)
    match = call.headers.get("x-amz-copy-source-if-match")
    none_match = call.headers.get("x-amz-copy-source-if-none-match")
    if match is not None and not _is_named(match, source.etag):
        raise Refused("PreconditionFailed", Condition="x-amz-copy-source-If-Match")
    if none_match is not None and _is_named(none_match, source.etag):
        raise Refused("PreconditionFailed", Condition="x-amz-copy-source-If-None-Match")
    return source


def copy_object(account: Account, call: Call, _: Payload) -> Answer:
    bucket = account.bucket(call.bucket)
    source = copy_source(account, call)
    if len(source.content) > account.maximum_copy_bytes:
        raise Refused("InvalidRequest", "The copy source is larger than one may be.")
    check_write(account, bucket, call)
    is_replaced = call.headers.get("x-amz-metadata-directive", "COPY") == "REPLACE"
    own = kept_headers(call)
    if unquote(call.headers["x-amz-copy-source"]).removeprefix("/") == f"{call.bucket}/{call.key}" and not (
        is_replaced or own.keys() - {"content-type", "x-amz-request-payer"}
    ):
        raise Refused("InvalidRequest", "A copy to itself must change something.")
    described = {name: value for name, value in source.headers.items() if not name.startswith(_ENCRYPTION)}
    headers = own if is_replaced else described | encryption(own)
    etag, moment = entity_tag(source.content), account.now()
    checksums = {name: value for name, value in source.checksums.items() if "-" not in value}
    bucket.objects[call.key] = StoredObject(source.content, etag, moment, headers, checksums)
    inside = elements(LastModified=iso_date(moment), ETag=etag)
    return document("CopyObjectResult", inside, headers=encryption(headers))
