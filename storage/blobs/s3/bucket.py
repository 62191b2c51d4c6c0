"""What a store asks of its bucket: one method a request, each run on a thread.

- Keys are the store's own; the prefix of the place is put in front here and nowhere else.
- What S3 took was compared by S3 with the checksum that was sent; a checksum that it answers is compared here.
- Every method may raise NoSpace, or StoreUnavailable after the last attempt.
"""

import asyncio
import random
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import closing
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Any, Final, Protocol, TypeVar

from storage.blobs.blocking import run_to_end
from storage.blobs.interface import Span
from storage.blobs.s3.client import (
    MultipartMissing,
    ObjectMissing,
    Patience,
    S3Place,
    connect,
    s3_errors,
    unavailable,
    was_refused,
)
from storage.blobs.s3.content import Content
from storage.errors import StoreUnavailable

T = TypeVar("T")

_PAGE: Final = 1000
_ATTEMPTS: Final = 3  # of what boto3 does not try again by itself
_PAUSE_SECONDS: Final = 0.1
_TRIAL: Final = "uploads/.trial/"


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a multipart upload, as S3 took it."""

    number: int
    etag: str
    size: int
    checksum: str = ""
    """CRC-32 in base64 where S3 told one."""


@dataclass(frozen=True, slots=True)
class Listed:
    """An object, or (with its id) a multipart upload, that a listing found; times are seconds since the epoch."""

    key: str
    size: int
    modified_at: float
    multipart_id: str = ""


class PartCopies(Enum):
    """How a server lets objects be made parts of uploads whose other parts have a checksum."""

    ANNOUNCED = auto()
    """With the checksum announced when the upload begins, as AWS demands."""
    UNANNOUNCED = auto()
    """Without, as MinIO does: it wants a checksum of copied parts too, where one was announced."""
    NONE = auto()


class Body(Protocol):
    """The bytes of an answer, as they arrive; blocks."""

    def read(self, size: int) -> bytes:
        """At most so many bytes; empty at the end."""

    def close(self) -> None:
        """Let go of the connection."""


class Bucket:
    """One bucket, through one boto3 client of a session; `threads` should be as many as `connections`."""

    def __init__(
        self, session: object, place: S3Place, threads: Executor, *, connections: int, patience: Patience
    ) -> None:
        self.place = place
        self._threads = threads
        self._client = connect(session, place, patience, connections=connections)
        payer = {"RequestPayer": "requester"} if place.requester_pays else {}
        self._common = {"Bucket": place.bucket, **payer}
        self._sealed = _encryption(place.sse)
        self._learning: asyncio.Future[PartCopies] | None = None
        self._copies: PartCopies | None = None

    async def run(self, call: Callable[[], T]) -> T:
        """Do something that blocks on one of the threads."""
        return await run_to_end(self._threads, call)

    async def size(self, key: str) -> int:
        """Length of an object in bytes; raises ObjectMissing."""
        return await self.run(lambda: self._size(key))

    async def read(self, key: str, limit: int) -> bytes:
        """A small object, or its first bytes; raises ObjectMissing."""
        return await self.run(lambda: self._read(key, limit))

    def open(self, key: str, span: Span) -> tuple[Body, int]:
        """Begin to read a span that is not empty, and tell how long the object is; blocks. Raises ObjectMissing."""
        answer = self._ask("get_object", Key=self._key(key), Range=f"bytes={span.offset}-{span.end - 1}")
        total = str(answer.get("ContentRange", "")).rpartition("/")[2]
        if answer.get("ContentLength") != span.length or not total.isdigit():
            answer["Body"].close()
            if total.isdigit() and int(total) < span.end:
                raise ObjectMissing
            raise unavailable("S3 answered a range with something else: does a proxy lie between?")
        return answer["Body"], int(total)

    async def put(self, key: str, content: Content, *, only_if_new: bool = False) -> None:
        """Store an object whole; raises PreconditionFailed for one that must be new and is not."""
        condition = {"IfNoneMatch": "*"} if only_if_new else {}

        def put() -> None:
            content.seek(0)
            checksum = content.checksum(self.place.checksum)
            answer = self._ask("put_object", Key=self._key(key), Body=content, **checksum, **condition, **self._sealed)
            _compare(answer, checksum)

        await self.run(put)

    async def copy(self, source: str, target: str) -> None:
        """Copy an object of at most 5 GiB within the bucket; raises ObjectMissing."""
        await self.run(
            partial(self._ask, "copy_object", Key=self._key(target), CopySource=self._source(source), **self._sealed)
        )

    async def delete(self, key: str) -> None:
        """Remove an object; succeeds when there is none."""
        await self.run(partial(self._ask, "delete_object", Key=self._key(key)))

    async def begin(self, key: str) -> str:
        """Open a multipart upload for a key and tell its id."""
        return await self.begin_as(key, await self.learn())

    async def learn(self) -> PartCopies:
        """How this server copies parts; whoever asks meanwhile waits for the same answer, or failure."""
        if self._copies is None:
            if self._learning is None or self._learning.done():
                self._learning = asyncio.ensure_future(learn_copies(self))
            learning = self._learning
            await asyncio.wait([learning])
            self._copies = learning.result()
        return self._copies

    async def begin_as(self, key: str, copies: "PartCopies") -> str:
        """Open a multipart upload, saying beforehand which checksum its parts will have, or not."""
        says = self.place.checksum == "crc32" and copies is not PartCopies.UNANNOUNCED
        algorithm = {"ChecksumAlgorithm": "CRC32"} if says else {}
        answer = await self.run(
            partial(self._ask, "create_multipart_upload", Key=self._key(key), **algorithm, **self._sealed)
        )
        return str(answer["UploadId"])

    @property
    def copies_parts(self) -> bool:
        """Whether an object can be made a part; known once `learn` has told."""
        return self._copies is not PartCopies.NONE

    async def put_part(self, key: str, multipart_id: str, number: int, content: Content) -> Part:
        """Store one part; raises MultipartMissing."""

        def put() -> Part:
            checksum = content.checksum(self.place.checksum)
            answer = self._ask(
                "upload_part",
                Key=self._key(key),
                UploadId=multipart_id,
                PartNumber=number,
                Body=content,
                **checksum,
            )
            _compare(answer, checksum)
            return Part(number, str(answer["ETag"]), len(content), str(answer.get("ChecksumCRC32", "")))

        return await self.run(put)

    async def copy_part(self, key: str, multipart_id: str, number: int, source: str, size: int) -> Part:
        """Make an object of the bucket one part; raises MultipartMissing or ObjectMissing."""
        answer = await self.run(
            partial(
                self._ask,
                "upload_part_copy",
                Key=self._key(key),
                UploadId=multipart_id,
                PartNumber=number,
                CopySource=self._source(source),
            )
        )
        copied = answer["CopyPartResult"]
        return Part(number, str(copied["ETag"]), size, str(copied.get("ChecksumCRC32", "")))

    async def complete(self, key: str, multipart_id: str, parts: Sequence[Part], *, look: bool = False) -> None:
        """Make an object of the parts; raises MultipartMissing, StoreUnavailable when it is not as long as they are.

        An answer that was lost is no failure: an object as long as the parts, where there can be no other, is this one.
        With `look`, one that is there before counts as somebody else's.
        """
        size = sum(part.size for part in parts)

        def complete() -> None:
            if look and self._is_there(key, size):  # AWS would complete it once more
                raise MultipartMissing
            listed = [_in_list(part) for part in parts]
            try:
                self._ask(
                    "complete_multipart_upload",
                    Key=self._key(key),
                    UploadId=multipart_id,
                    MultipartUpload={"Parts": listed},
                )
            except MultipartMissing:
                if not self._is_there(key, size):
                    raise
            if self._size(key) != size:
                raise unavailable("S3 made an object of another length than its parts have", is_away=False)

        await self.run(complete)

    async def abort(self, key: str, multipart_id: str) -> None:
        """Drop a multipart upload and its parts; succeeds when there is none."""

        def abort() -> None:
            try:
                self._ask("abort_multipart_upload", Key=self._key(key), UploadId=multipart_id)
            except MultipartMissing:
                return

        await self.run(abort)

    async def objects(self, prefix: str) -> AsyncGenerator[Listed, None]:
        """The objects whose keys begin with a prefix, by key, a page at a time."""
        following: dict[str, str] | None = {}
        while following is not None:
            page = await self.run(partial(self._page, "list_objects_v2", prefix, MaxKeys=_PAGE, **following))
            for found in page.get("Contents", []):
                key = str(found["Key"]).removeprefix(self.place.prefix)
                yield Listed(key, int(found["Size"]), found["LastModified"].timestamp())
            token = page.get("NextContinuationToken") if page.get("IsTruncated") else None
            following = {"ContinuationToken": token} if token else None

    async def multiparts(self, prefix: str) -> AsyncGenerator[Listed, None]:
        """The multipart uploads whose keys begin with a prefix, by key, a page at a time.

        All of the place are asked for, for MinIO finds nothing by the first characters of a key.
        """
        following: dict[str, str] | None = {}
        while following is not None:
            page = await self.run(partial(self._page, "list_multipart_uploads", "", MaxUploads=_PAGE, **following))
            for found in page.get("Uploads", []):
                key = str(found["Key"]).removeprefix(self.place.prefix)
                if key.startswith(prefix):
                    yield Listed(key, 0, found["Initiated"].timestamp(), str(found["UploadId"]))
            marker = page.get("NextKeyMarker") if page.get("IsTruncated") else None
            following = {"KeyMarker": marker, "UploadIdMarker": page["NextUploadIdMarker"]} if marker else None

    async def ask(self, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  boto3's
        """Ask S3 about the bucket itself."""
        return await self.run(partial(self._ask, operation, **parameters))

    async def takes_wrong_checksums(self, key: str, content: bytes) -> bool:
        """Whether S3 stores bytes with the checksum of others."""
        kind = self.place.checksum
        if kind == "sha256":
            return False  # the signature would be wrong as well
        wrong = Content([content, b"!"]).checksum(kind)
        try:
            await self.run(partial(self._ask, "put_object", Key=self._key(key), Body=content, **wrong))
        except StoreUnavailable:
            return False
        return True

    async def signed_url(self, key: str, *, lifetime_seconds: int, media_type: str) -> str:
        """A URL that gives an object to whoever has it, until it expires."""
        parameters = {
            **self._common,
            "Key": self._key(key),
            "ResponseContentType": media_type,
            "ResponseContentDisposition": "attachment",
        }

        def sign() -> str:
            with s3_errors(self.place):
                url: str = self._client.generate_presigned_url("get_object", parameters, ExpiresIn=lifetime_seconds)
                return url

        return await self.run(sign)

    def _page(self, operation: str, prefix: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  boto3's
        return self._ask(operation, Prefix=self._key(prefix), **parameters)

    def _key(self, key: str) -> str:
        return self.place.prefix + key

    def _source(self, key: str) -> dict[str, str]:
        return {"Bucket": self.place.bucket, "Key": self._key(key)}

    def _ask(self, operation: str, **parameters: Any) -> dict[str, Any]:  # noqa: ANN401  boto3's
        with s3_errors(self.place):
            answer: dict[str, Any] = getattr(self._client, operation)(**self._common, **parameters)
        return answer

    def _size(self, key: str) -> int:
        try:
            return int(self._ask("head_object", Key=self._key(key))["ContentLength"])
        except StoreUnavailable as error:
            # The answer to a HEAD has no body to say why: a missing bucket and a missing object look alike.
            if was_refused(error):
                self._read(key, 1)
            raise

    def _is_there(self, key: str, size: int) -> bool:
        try:
            return self._size(key) == size
        except ObjectMissing:
            return False

    def _read(self, key: str, limit: int) -> bytes:
        for attempt in range(1, _ATTEMPTS + 1):
            body = self._ask("get_object", Key=self._key(key))["Body"]
            try:
                with s3_errors(self.place), closing(body):
                    return _read_up_to(body, limit)
            except StoreUnavailable:  # boto3 tries again until an answer begins, but not once it has
                if attempt == _ATTEMPTS:
                    raise
                pause(attempt)
        raise AssertionError  # the loop returns or raises


async def learn_copies(bucket: Bucket) -> PartCopies:
    """Find out how this server copies parts, with a few requests; leaves nothing behind."""
    source, key = f"{_TRIAL}{secrets.token_hex(8)}", f"{_TRIAL}{secrets.token_hex(8)}"
    await bucket.put(source, Content([b"This object is made once to see how parts are copied.\n"]))
    try:
        for copies in (PartCopies.ANNOUNCED, PartCopies.UNANNOUNCED):
            multipart_id = await bucket.begin_as(key, copies)
            try:
                part = await bucket.copy_part(key, multipart_id, 1, source, 0)
                if part.checksum or copies is PartCopies.UNANNOUNCED:
                    return copies
            except StoreUnavailable as error:
                if error.is_away:
                    raise
            finally:
                await bucket.abort(key, multipart_id)
    finally:
        await bucket.delete(source)
    return PartCopies.NONE


def pause(attempt: int) -> None:
    """Wait before trying again, longer each time, and not in step with others; blocks."""
    time.sleep(_PAUSE_SECONDS * 2**attempt * random.uniform(0.5, 1))  # noqa: S311  no secret


def _read_up_to(body: Body, limit: int) -> bytes:
    """The first bytes; boto3 tells of an answer that ends too soon only to who reads on."""
    content = b""
    while len(content) < limit and (more := body.read(limit - len(content))):
        content += more
    return content


def _encryption(sse: str | None) -> dict[str, str]:
    if sse is None:
        return {}
    if not sse.startswith("aws:kms:"):
        return {"ServerSideEncryption": sse}
    return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": sse.removeprefix("aws:kms:")}


def _in_list(part: Part) -> dict[str, Any]:
    return {
        "PartNumber": part.number,
        "ETag": part.etag,
        **({"ChecksumCRC32": part.checksum} if part.checksum else {}),
    }


def _compare(answer: Mapping[str, Any], checksum: Mapping[str, str]) -> None:
    sent, answered = checksum.get("ChecksumCRC32"), answer.get("ChecksumCRC32")
    if sent is not None and answered is not None and sent != answered:
        raise unavailable("S3 stored other bytes than it was sent", is_away=False)
