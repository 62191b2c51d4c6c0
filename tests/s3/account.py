"""The account that owns the buckets: its keys, and the ways in which one S3 differs from another."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from tests.s3.bucket import Bucket
from tests.s3.refusals import Refused

_MIB = 2**20
_GIB = 2**30


@dataclass
class Account:
    """Everything that a test may set while the server runs; each value is as at AWS until it is set."""

    access_key: str = "AKIATESTTESTTESTTEST"
    secret_key: str = "a-secret-of-tests-that-protects-nothing"
    session_token: str | None = None
    region: str = "us-east-1"
    minimum_part_bytes: int = 5 * _MIB  # of every part but the last
    maximum_put_bytes: int = 5 * _GIB  # of an object in one request, and of a part
    maximum_copy_bytes: int = 5 * _GIB  # of an object that is copied in one request
    page_keys: int = 1000  # the most that one page of any listing tells
    equal_parts: bool = False  # all parts but the last must be of one size, as at Cloudflare R2
    copies_no_checksums: bool = False  # no object can be made a part where a checksum was announced, as at MinIO
    refuses_trailers: bool = False  # aws-chunked bodies are not implemented, as at older servers
    requester_pays: bool = False  # requests must say that they know
    ignores_conditions: bool = False  # If-Match and If-None-Match of writes are not looked at, as at older servers
    repeats_completion: bool = False  # a second CompleteMultipartUpload is answered like the first
    denied: set[str] = field(default_factory=set)  # names of operations
    undeletable: set[str] = field(default_factory=set)  # keys that DeleteObjects answers InternalError for
    now: Callable[[], float] = time.time  # what objects and uploads are stamped with
    skew_seconds: float = 0.0  # how far the clock that signatures are judged by is ahead
    buckets: dict[str, Bucket] = field(default_factory=dict)

    def create_bucket(self, name: str) -> Bucket:
        self.buckets[name] = Bucket(name, self.now())
        return self.buckets[name]

    def bucket(self, name: str) -> Bucket:
        try:
            return self.buckets[name]
        except KeyError:
            raise Refused("NoSuchBucket", BucketName=name) from None

    def signing_time(self) -> float:
        return time.time() + self.skew_seconds
