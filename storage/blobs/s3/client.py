"""The way to S3: a boto3 client as the settings describe it, and what its errors mean."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from storage.errors import NoSpace, StoreUnavailable

Addressing = Literal["auto", "path", "virtual"]
Checksum = Literal["crc32", "sha256", "md5", "none"]


@dataclass(frozen=True, slots=True)
class S3Place:
    """Where in S3 a store is; credentials come from where boto3 looks for them."""

    bucket: str
    prefix: str = ""
    """Empty, or ends with a slash: everything of the store has a key that begins with it."""
    endpoint_url: str | None = None
    region: str | None = None
    addressing: Addressing = "auto"
    ca_bundle: Path | None = None
    sse: str | None = None
    """`AES256`, `aws:kms`, or `aws:kms:` and the id of a key."""
    checksum: Checksum = "crc32"
    requester_pays: bool = False

    @property
    def name(self) -> str:
        """The place as people write it."""
        return f"s3://{self.bucket}/{self.prefix}" + (f" at {self.endpoint_url}" if self.endpoint_url else "")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long S3 may take: `connect` and `read` are seconds of silence, `attempts` counts the first one too.

    Between attempts lie random pauses that double, of at most 20 s (botocore's standard mode), and a client whose
    attempts mostly fail makes fewer.
    """

    connect: float = 5
    read: float = 15
    attempts: int = 3


class ObjectMissing(Exception):
    """S3 has no object under the key."""


class MultipartMissing(Exception):
    """S3 knows no such multipart upload: it was completed, aborted, or removed by a lifecycle rule."""


class PreconditionFailed(Exception):
    """Something is under the key already."""


_THROTTLED: Final = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "TooManyRequests",
        "TooManyRequestsException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "BandwidthLimitExceeded",
        "ServiceUnavailable",
        "XMinioServerNotInitialized",
    }
)
_FULL: Final = frozenset(
    {"QuotaExceeded", "XMinioStorageFull", "XMinioAdminBucketQuotaExceeded", "InsufficientStorage"}
)
_UNTRUSTED: Final = frozenset(
    {
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidToken",
        "ExpiredToken",
        "ExpiredTokenException",
        "TokenRefreshRequired",
        "InvalidSecurity",
        "AuthorizationHeaderMalformed",
    }
)
_MISSING: Final[Mapping[str, type[Exception]]] = {
    "NoSuchKey": ObjectMissing,
    "NoSuchUpload": MultipartMissing,
    "PreconditionFailed": PreconditionFailed,
    "ConditionalRequestConflict": PreconditionFailed,
    "InvalidRange": ObjectMissing,  # shorter than it should be
}
_ARCHIVED: Final = "InvalidObjectState"
_OF_ONE_REQUEST: Final = frozenset(
    {
        "BadDigest",
        "EntityTooLarge",
        "EntityTooSmall",
        "InvalidArgument",
        _ARCHIVED,
        "InvalidPart",
        "InvalidPartOrder",
        "InvalidRequest",
        "MethodNotAllowed",
        "NotImplemented",
    }
)
_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,64}")
_PAYER: Final = "x-amz-request-payer"
_SKEWED: Final = "RequestTimeTooSkewed"


def new_session() -> Any:  # noqa: ANN401  boto3 makes its classes as it runs
    """What clients share: credentials, and a description of S3 that takes 13 MB and 0.1 s to load."""
    import boto3  # noqa: PLC0415  130 ms and 10 MB that only this backend needs

    return boto3.session.Session()


def connect(session: Any, place: S3Place, patience: Patience, *, connections: int) -> Any:  # noqa: ANN401  as above
    """A client that may be used by any number of threads; asks S3 nothing yet."""
    from botocore.config import Config  # noqa: PLC0415  as above
    from botocore.exceptions import BotoCoreError  # noqa: PLC0415  the same
    from botocore.handlers import add_expect_header  # noqa: PLC0415  the same

    config = Config(
        signature_version="s3v4",
        connect_timeout=patience.connect,
        read_timeout=patience.read,
        retries={"mode": "standard", "total_max_attempts": patience.attempts},
        max_pool_connections=connections,
        tcp_keepalive=True,
        # Checksums are made here, as headers: trailers are what many servers do not know.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={"addressing_style": place.addressing, "payload_signing_enabled": place.checksum == "sha256"},
    )
    try:
        client = session.client(
            "s3",
            region_name=place.region,
            endpoint_url=place.endpoint_url,
            verify=str(place.ca_bundle) if place.ca_bundle else None,
            config=config,
        )
    except (BotoCoreError, ValueError) as error:
        raise unavailable(f"S3 cannot be used: {error}") from error
    # Waiting for leave to send costs a round trip a part, and a second where a proxy does not know of it.
    client.meta.events.unregister("before-call.s3", add_expect_header)
    client.meta.events.register("before-sign.s3", _agree_in_url)
    return client


def _agree_in_url(request: Any, signature_version: str, **_: Any) -> None:  # noqa: ANN401  boto3's
    """Put the agreement to pay into a signed URL: whoever follows it sends no header (S3, "Requester Pays buckets")."""
    if signature_version.endswith("-query") and _PAYER in request.headers:
        separator = "&" if "?" in request.url else "?"
        request.url += f"{separator}{_PAYER}={request.headers[_PAYER]}"
        del request.headers[_PAYER]


def unavailable(words: str, *, is_away: bool = True) -> StoreUnavailable:
    """What a client hears of a store that is away, and what `words` tell who runs the registry."""
    return StoreUnavailable("the content store does not answer: try again later", words, is_away=is_away)


def was_refused(error: StoreUnavailable) -> bool:
    """Whether S3 answered, and that it will not: what keeps silent, or fails, does no better when it is asked again."""
    from botocore.exceptions import ClientError  # noqa: PLC0415  as above

    cause = error.__cause__
    if not isinstance(cause, ClientError):
        return False
    return int(cause.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)) < 500  # noqa: PLR2004


@contextmanager
def s3_errors(place: S3Place) -> Iterator[None]:
    """Raise ObjectMissing, MultipartMissing, PreconditionFailed, NoSpace, or StoreUnavailable that says what to do."""
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError  # noqa: PLC0415  as above
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  the same

    try:
        yield
    except ClientError as error:
        raise _meaning(error.response, place) from error
    except NoCredentialsError as error:
        words = (
            "no S3 credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        )
        raise unavailable(words) from error
    except (BotoCoreError, HTTPError) as error:
        words = f"S3 did not answer ({type(error).__name__}): see that {place.name} can be reached, then try again"
        raise unavailable(words) from error


def _meaning(response: Mapping[str, Any], place: S3Place) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING:
        return _MISSING[code]()
    if code in _FULL:
        return NoSpace()
    shown = code if _CODE.fullmatch(code) else str(status)
    return unavailable(_advice(shown, status, place), is_away=code not in _OF_ONE_REQUEST)


def _advice(code: str, status: int, place: S3Place) -> str:
    for applies, advice in (
        (code == "NoSuchBucket", "the bucket {bucket} does not exist: make it, or correct storage.bucket"),
        (code in _UNTRUSTED, "S3 does not know these credentials ({code}): correct them, or storage.region"),
        (
            code == _ARCHIVED,
            "S3 holds this object in an archive ({code}): restore it there, and move no content",
        ),
        (code == _SKEWED, "the clock of this machine is more than 15 minutes wrong ({code}): set it"),
        (code in _THROTTLED or status == 503, "S3 asks for fewer requests ({code}): try again later"),  # noqa: PLR2004
        (status == 403, "S3 refuses this to these credentials ({code}): ask `lading doctor` what is missing"),  # noqa: PLR2004
    ):
        if applies:
            return advice.format(bucket=place.bucket, code=code)
    return f"S3 failed ({code}): try again; if it stays, `lading doctor` looks at {place.name}"
