"""Looking at a bucket: permissions, clock, checksums, versions, and rules that would delete content.

Every request that the store ever makes is made once, below `uploads/.doctor/`, and what it makes is removed.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, Final

from storage.blobs.interface import Finding, Span, Verdict
from storage.blobs.s3.bucket import Bucket
from storage.blobs.s3.client import MultipartMissing, ObjectMissing, PreconditionFailed
from storage.blobs.s3.content import Content
from storage.errors import NoSpace, StoreUnavailable

_PLACE: Final = "uploads/.doctor/"
_CONTENT: Final = b"lading doctor\n"
_SKEW_WARNED: Final = 60
_SKEW_REFUSED: Final = 900
_SLOW_CLASSES: Final = frozenset({"GLACIER", "DEEP_ARCHIVE"})
_OURS: Final = ("blobs/", "uploads/")


class _Failed(Exception):
    """What was looked at is not as it must be; the text says what to do."""


class _Doubtful(Exception):
    """It works, with something that should be known."""


@dataclass(slots=True)
class Examination:
    """One look at a bucket; `suffix` is drawn for it, `upload_seconds` is how long an upload may rest."""

    bucket: Bucket
    suffix: str
    now: Callable[[], float] = time.time
    _made: list[str] = field(default_factory=list)

    async def run(self) -> AsyncGenerator[Finding, None]:
        """Look at one thing after another, and stop when the bucket cannot be reached at all."""
        first = await self._look("bucket", self._reach)
        yield first
        if first.verdict is Verdict.FAILED:
            return
        for subject, look in (
            ("clock", self._clock),
            ("write", self._write),
            ("read", self._read),
            ("missing objects", self._miss),
            ("checksums", self._checksums),
            ("conditional writes", self._conditions),
            ("copy", self._copy),
            ("multipart uploads", self._multipart),
            ("delete", self._delete),
            ("versions", self._versions),
            ("lifecycle rules", self._rules),
        ):
            yield await self._look(subject, look)

    async def _look(self, subject: str, look: Callable[[], Awaitable[str]]) -> Finding:
        try:
            return Finding(subject, Verdict.OK, await look())
        except _Doubtful as doubt:
            return Finding(subject, Verdict.WARNING, str(doubt))
        except StoreUnavailable as error:
            return Finding(subject, Verdict.FAILED, error.words or str(error))
        except (_Failed, NoSpace) as error:
            return Finding(subject, Verdict.FAILED, str(error))
        except (ObjectMissing, MultipartMissing):
            return Finding(subject, Verdict.FAILED, "S3 lost at once what it took: is this one bucket, and consistent?")

    async def _reach(self) -> str:
        async with aclosing(self.bucket.objects(_PLACE)) as found:
            await anext(found, None)
        return f"{self.bucket.place.name} can be listed (s3:ListBucket)"

    async def _clock(self) -> str:
        answer = await self.bucket.ask("list_objects_v2", MaxKeys=1, Prefix=self.bucket.place.prefix)
        sent = answer["ResponseMetadata"]["HTTPHeaders"].get("date")
        if sent is None:
            message = "S3 does not tell the time"
            raise _Doubtful(message)
        skew = self.now() - parsedate_to_datetime(sent).timestamp()
        told = f"this machine is {abs(skew):.0f} s {'ahead of' if skew > 0 else 'behind'} S3"
        if abs(skew) > _SKEW_REFUSED:
            message = f"{told}: set its clock, S3 refuses more than {_SKEW_REFUSED} s"
            raise _Failed(message)
        if abs(skew) > _SKEW_WARNED:
            message = f"{told}: have it follow a time server; S3 refuses more than {_SKEW_REFUSED} s"
            raise _Doubtful(message)
        return told

    async def _write(self) -> str:
        await self.bucket.put(self._key("object"), Content([_CONTENT]))
        return "objects can be written (s3:PutObject)"

    async def _read(self) -> str:
        def read() -> bytes:
            body, total = self.bucket.open(self._key("object"), Span(1, 4))
            try:
                return body.read(4) if total == len(_CONTENT) else b""
            finally:
                body.close()

        if await self.bucket.run(read) != _CONTENT[1:5]:
            message = "a range of an object is not what was written: does a proxy lie between?"
            raise _Failed(message)
        return "ranges of objects can be read (s3:GetObject)"

    async def _miss(self) -> str:
        try:
            await self.bucket.size(self._key("nothing"))
        except ObjectMissing:
            return "an object that is not there is told from one that may not be read"
        message = "S3 finds an object that nobody wrote"
        raise _Failed(message)

    async def _checksums(self) -> str:
        kind = self.bucket.place.checksum
        if kind == "none":
            message = "nothing is compared: set storage.checksum to crc32, or to md5 for an old server"
            raise _Doubtful(message)
        if await self.bucket.takes_wrong_checksums(self._key("object"), _CONTENT):
            message = f"S3 takes bytes whose {kind} is wrong: set storage.checksum to another kind"
            raise _Doubtful(message)
        return f"S3 refuses bytes whose {kind} is wrong"

    async def _conditions(self) -> str:
        try:
            await self.bucket.put(self._key("object"), Content([_CONTENT]), only_if_new=True)
        except PreconditionFailed:
            return "If-None-Match is honoured"
        except StoreUnavailable:
            message = "If-None-Match is not supported: never start two new registries on this bucket at once"
            raise _Doubtful(message) from None
        message = "If-None-Match is ignored: never start two new registries on this bucket at once"
        raise _Doubtful(message)

    async def _copy(self) -> str:
        await self.bucket.copy(self._key("object"), self._key("copy"))
        return "objects can be copied within the bucket"

    async def _multipart(self) -> str:
        key = self._key("parts")
        dropped = await self.bucket.begin(key)
        kept = await self.bucket.begin(key)
        try:
            found = {listed.multipart_id async for listed in self.bucket.multiparts(key)}
            part = await self.bucket.put_part(key, kept, 1, Content([_CONTENT]))
            await self.bucket.complete(key, kept, [part])
        finally:
            await self.bucket.abort(key, dropped)
            await self.bucket.abort(key, kept)
        if dropped not in found:
            message = "work, but are not listed, so that abandoned ones are not found: let a lifecycle rule abort them"
            raise _Doubtful(message)
        if not self.bucket.copies_parts:
            message = "cannot have objects copied into them, so a blob has at most 10,000 parts: see storage.part_bytes"
            raise _Doubtful(message)
        return "work, and can be listed and aborted (s3:AbortMultipartUpload)"

    async def _delete(self) -> str:
        for key in self._made:
            await self.bucket.delete(key)
        return "objects can be removed (s3:DeleteObject)"

    async def _versions(self) -> str:
        try:
            answer = await self.bucket.ask("get_bucket_versioning")
        except StoreUnavailable:
            message = "cannot be seen (s3:GetBucketVersioning): if they are kept, what is deleted still costs"
            raise _Doubtful(message) from None
        if answer.get("Status") == "Enabled":
            message = "are kept, so that what is deleted still costs: let a lifecycle rule expire noncurrent versions"
            raise _Doubtful(message)
        return "are not kept"

    async def _rules(self) -> str:
        try:
            rules = (await self.bucket.ask("get_bucket_lifecycle_configuration")).get("Rules", [])
        except StoreUnavailable as error:
            if "NoSuchLifecycleConfiguration" not in error.words:
                message = "cannot be seen (s3:GetLifecycleConfiguration): see that none expires our objects"
                raise _Doubtful(message) from None
            rules = []
        ours = [rule for rule in rules if rule.get("Status") == "Enabled" and self._applies(rule)]
        for rule in ours:
            _refuse(rule)
        if not any("AbortIncompleteMultipartUpload" in rule for rule in ours):
            message = "none aborts abandoned uploads: one of 7 days costs nothing, and helps should a registry be lost"
            raise _Doubtful(message)
        return "none deletes our content"

    def _applies(self, rule: Mapping[str, Any]) -> bool:
        """Whether a rule is about our objects, which have no tags."""
        chosen = rule.get("Filter", {})
        chosen = chosen.get("And", chosen)
        if "Tag" in chosen or chosen.get("Tags"):
            return False
        prefix = str(chosen.get("Prefix", rule.get("Prefix", "")))
        ours = [self.bucket.place.prefix + part for part in _OURS]
        return any(part.startswith(prefix) or prefix.startswith(part) for part in ours)

    def _key(self, name: str) -> str:
        key = f"{_PLACE}{self.suffix}/{name}"
        if key not in self._made:
            self._made.append(key)
        return key


def _refuse(rule: Mapping[str, Any]) -> None:
    name = rule.get("ID", "without a name")
    expiration = rule.get("Expiration", {})
    if "Days" in expiration or "Date" in expiration:
        when = f"after {expiration['Days']} days" if "Days" in expiration else f"on {expiration['Date']}"
        message = f"the rule {name} deletes content {when}: limit it to a prefix that is not ours, or remove it"
        raise _Failed(message)
    classes = {transition.get("StorageClass") for transition in rule.get("Transitions", [])}
    if classes & _SLOW_CLASSES:
        message = f"the rule {name} moves content to where it takes hours to read: limit it to another prefix"
        raise _Failed(message)
