"""Operations on multipart uploads (S3 API reference; user guide, "Multipart upload limits")."""

import base64
import re
from dataclasses import dataclass
from itertools import pairwise

from tests.s3.account import Account
from tests.s3.answers import Answer, document, elements, iso_date
from tests.s3.bucket import Bucket, Part, StoredObject, Upload, entity_tag, page
from tests.s3.calls import Call
from tests.s3.objects import check_write, copy_source, encryption, kept_headers, xml_of
from tests.s3.payloads import CHECKSUM, DIGESTS, Payload, checksum
from tests.s3.refusals import Refused

_MOST_PARTS = 10_000
_COPY_RANGE = re.compile(r"bytes=(\d+)-(\d+)\Z", re.ASCII)


@dataclass(frozen=True, slots=True)
class _Named:
    """A part as CompleteMultipartUpload names it."""

    number: int
    etag: str
    checksum: str | None


def create_multipart_upload(account: Account, call: Call, _: Payload) -> Answer:
    bucket = account.bucket(call.bucket)
    algorithm = call.headers.get(f"{CHECKSUM}algorithm", "").lower() or None
    kind = call.headers.get(f"{CHECKSUM}type", "COMPOSITE").upper()
    if algorithm is not None and algorithm not in DIGESTS:
        raise Refused("NotImplemented", f"no {algorithm} here")
    if kind == "FULL_OBJECT" and algorithm != "crc32":
        raise Refused("InvalidRequest", f"The FULL_OBJECT checksum type cannot be used with {algorithm}.")
    headers = kept_headers(call)
    upload = Upload(call.key, account.now(), headers, algorithm, is_composite=kind == "COMPOSITE")
    bucket.uploads[upload.id] = upload
    answered = encryption(headers)
    if algorithm is not None:
        answered |= {f"{CHECKSUM}algorithm": algorithm.upper(), f"{CHECKSUM}type": kind}
    inside = elements(Bucket=bucket.name, Key=call.key, UploadId=upload.id)
    return document("InitiateMultipartUploadResult", inside, headers=answered)


def _place(account: Account, call: Call) -> tuple[Upload, int]:
    """The upload that a part is for, and the number of the part."""
    number = call.number("partNumber", 0)
    if not 1 <= number <= _MOST_PARTS:
        raise Refused("InvalidArgument", "Part number must be from 1 to 10000", ArgumentName="partNumber")
    return account.bucket(call.bucket).upload(call.key, call.query["uploadId"]), number


def upload_part(account: Account, call: Call, payload: Payload) -> Answer:
    upload, number = _place(account, call)
    checksums = dict(payload.checksums)
    if upload.checksum_algorithm is not None:
        name = CHECKSUM + upload.checksum_algorithm
        if checksums and name not in checksums:
            raise Refused("InvalidRequest", f"The checksum must be of the type {upload.checksum_algorithm}.")
        checksums[name] = checksum(upload.checksum_algorithm, payload.content)
    etag = entity_tag(payload.content)
    upload.parts[number] = Part(payload.content, etag, account.now(), checksums)
    return Answer(200, {"ETag": etag, **checksums, **encryption(upload.headers)})


def upload_part_copy(account: Account, call: Call, _: Payload) -> Answer:
    upload, number = _place(account, call)
    content = copy_source(account, call).content
    if (wanted := call.headers.get("x-amz-copy-source-range")) is not None:
        match = _COPY_RANGE.match(wanted)
        first, last = (int(text) for text in match.groups()) if match else (1, 0)
        if not first <= last < len(content):
            raise Refused("InvalidArgument", "The range is not one of the source.", ArgumentValue=wanted)
        content = content[first : last + 1]
    if len(content) > account.maximum_copy_bytes:
        raise Refused("InvalidRequest", "The copy source is larger than one may be.")
    checksums = {}
    if (algorithm := upload.checksum_algorithm) is not None:
        if account.copies_no_checksums:
            raise Refused("InvalidArgument", f'checksum missing, want "{algorithm}", got ""')
        checksums[CHECKSUM + algorithm] = checksum(algorithm, content)
    part = Part(content, entity_tag(content), account.now(), checksums)
    upload.parts[number] = part
    inside = elements(LastModified=iso_date(part.modified), ETag=part.etag, **_told(checksums))
    return document("CopyPartResult", inside, headers=encryption(upload.headers))


def complete_multipart_upload(account: Account, call: Call, payload: Payload) -> Answer:
    bucket, upload_id = account.bucket(call.bucket), call.query["uploadId"]
    if account.repeats_completion and bucket.completed.get(upload_id, ("", ""))[0] == call.key:
        return _completed(bucket, call.key, bucket.completed[upload_id][1], {})
    upload = bucket.upload(call.key, upload_id)
    named = _named(upload, payload.content)
    parts = _checked(account, upload, named)
    check_write(account, bucket, call)
    content = b"".join(part.content for part in parts)
    digests = b"".join(bytes.fromhex(part.etag.strip('"')) for part in parts)
    etag = f'{entity_tag(digests)[:-1]}-{len(parts)}"'
    checksums = _whole_checksums(upload, parts, content)
    bucket.objects[call.key] = StoredObject(content, etag, account.now(), upload.headers, checksums)
    del bucket.uploads[upload_id]
    bucket.completed[upload_id] = (call.key, etag)
    return _completed(bucket, call.key, etag, checksums, encryption(dict(upload.headers)))


def _completed(
    bucket: Bucket, key: str, etag: str, checksums: dict[str, str], headers: dict[str, str] | None = None
) -> Answer:
    inside = elements(Location=f"/{bucket.name}/{key}", Bucket=bucket.name, Key=key, ETag=etag, **_told(checksums))
    return document("CompleteMultipartUploadResult", inside, headers=headers)


def _told(checksums: dict[str, str]) -> dict[str, str]:
    """Checksums as documents tell them."""
    return {f"Checksum{name.removeprefix(CHECKSUM).upper()}": value for name, value in checksums.items()}


def _named(upload: Upload, content: bytes) -> list[_Named]:
    checksum_name = f"Checksum{(upload.checksum_algorithm or 'none').upper()}"
    named = []
    for element in xml_of(content).iter("Part"):
        number, etag = element.findtext("PartNumber", ""), element.findtext("ETag", "")
        if not number.isdecimal() or not etag:
            raise Refused("MalformedXML")
        named.append(_Named(int(number), etag.strip('"'), element.findtext(checksum_name)))
    if not named:
        raise Refused("MalformedXML")
    if any(one.number >= following.number for one, following in pairwise(named)):
        raise Refused("InvalidPartOrder", UploadId=upload.id)
    return named


def _checked(account: Account, upload: Upload, named: list[_Named]) -> list[Part]:
    """The parts of the object, if each is what its name says and as large as it must be."""
    parts = []
    for name in named:
        part = upload.parts.get(name.number)
        if part is None or part.etag.strip('"') != name.etag:
            raise Refused("InvalidPart", UploadId=upload.id, PartNumber=str(name.number), ETag=name.etag)
        _check_checksum(upload, name, part)
        parts.append(part)
    for name, part in zip(named[:-1], parts[:-1], strict=True):
        if len(part.content) < account.minimum_part_bytes:
            proposed, allowed = str(len(part.content)), str(account.minimum_part_bytes)
            raise Refused("EntityTooSmall", PartNumber=str(name.number), ProposedSize=proposed, MinSizeAllowed=allowed)
    sizes_bytes = {len(part.content) for part in parts[:-1]}
    if account.equal_parts and (len(sizes_bytes) > 1 or len(parts[-1].content) > max(sizes_bytes, default=2**63)):
        raise Refused("InvalidPart", "All parts but the last must have the same length.")
    return parts


def _check_checksum(upload: Upload, name: _Named, part: Part) -> None:
    if upload.checksum_algorithm is None:
        return
    if name.checksum is None and upload.is_composite:
        raise Refused("InvalidRequest", f"The checksum of part {name.number} is missing.")
    if name.checksum not in {None, part.checksums[CHECKSUM + upload.checksum_algorithm]}:
        raise Refused("InvalidPart", UploadId=upload.id, PartNumber=str(name.number), ETag=name.etag)


def _whole_checksums(upload: Upload, parts: list[Part], content: bytes) -> dict[str, str]:
    if (algorithm := upload.checksum_algorithm) is None:
        return {}
    name = CHECKSUM + algorithm
    if not upload.is_composite:
        return {name: checksum(algorithm, content)}
    digests = b"".join(base64.b64decode(part.checksums[name]) for part in parts)
    return {name: f"{checksum(algorithm, digests)}-{len(parts)}"}


def abort_multipart_upload(account: Account, call: Call, _: Payload) -> Answer:
    bucket = account.bucket(call.bucket)
    del bucket.uploads[bucket.upload(call.key, call.query["uploadId"]).id]
    return Answer(204)


def list_parts(account: Account, call: Call, _: Payload) -> Answer:
    upload = account.bucket(call.bucket).upload(call.key, call.query["uploadId"])
    marker = call.number("part-number-marker", 0)
    limit = min(call.number("max-parts", account.page_keys), account.page_keys)
    following = sorted(number for number in upload.parts if number > marker)
    numbers = following[:limit]
    is_truncated = 0 < len(numbers) < len(following)
    inside = elements(
        Bucket=call.bucket,
        Key=call.key,
        UploadId=upload.id,
        PartNumberMarker=marker,
        NextPartNumberMarker=numbers[-1] if is_truncated else None,
        MaxParts=limit,
        IsTruncated=str(is_truncated).lower(),
    )
    for number in numbers:
        part = upload.parts[number]
        told = elements(PartNumber=number, LastModified=iso_date(part.modified), ETag=part.etag)
        inside += f"<Part>{told}{elements(Size=len(part.content))}</Part>"
    return document("ListPartsResult", inside)


def list_multipart_uploads(account: Account, call: Call, _: Payload) -> Answer:
    """Uploads by key, then in the order in which they began; both markers together name the last that was told."""
    uploads = account.bucket(call.bucket).uploads.values()
    if "delimiter" in call.query:
        raise Refused("NotImplemented", "no delimiter here")
    limit = min(call.number("max-uploads", account.page_keys), account.page_keys)
    after = "\0".join((call.query.get("key-marker", ""), call.query.get("upload-id-marker", "") or "\U0010ffff"))
    by_name = {f"{upload.key}\0{upload.id}": upload for upload in uploads}
    first = "" if not call.query.get("key-marker") else after
    told = page(by_name, limit, prefix=call.query.get("prefix", ""), after=first)
    last = by_name[told.names[-1]] if told.names else None
    inside = elements(
        Bucket=call.bucket,
        KeyMarker=call.query.get("key-marker", ""),
        UploadIdMarker=call.query.get("upload-id-marker", ""),
        NextKeyMarker=last.key if last and told.following else None,
        NextUploadIdMarker=last.id if last and told.following else None,
        Prefix=call.query.get("prefix", ""),
        MaxUploads=limit,
        IsTruncated=str(told.following is not None).lower(),
    )
    for name in told.names:
        upload = by_name[name]
        inside += f"<Upload>{elements(Key=upload.key, UploadId=upload.id, Initiated=iso_date(upload.initiated))}"
        inside += "<StorageClass>STANDARD</StorageClass></Upload>"
    return document("ListMultipartUploadsResult", inside)
