"""Signature Version 4 of requests, in the Authorization header or in the query (IAM user guide, "AWS SigV4")."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from typing import Protocol
from urllib.parse import quote, unquote

from tests.s3.calls import Call
from tests.s3.refusals import Refused

_ALGORITHM = "AWS4-HMAC-SHA256"
_QUERY_NAMES = {"X-Amz-Credential", "X-Amz-SignedHeaders", "X-Amz-Signature", "X-Amz-Date"}
_SKEW_SECONDS = 15 * 60
_LONGEST_SECONDS = 7 * 24 * 3600
_IN_SCOPE = 5  # key id, date, region, service and "aws4_request"


class Keys(Protocol):
    """Who may sign, and when it is."""

    access_key: str
    secret_key: str
    session_token: str | None
    region: str

    def signing_time(self) -> float:
        """Seconds since the epoch, against which the time of a signature is held."""
        ...


@dataclass(frozen=True, slots=True)
class _Signature:
    credential: str
    signed_headers: str
    value: str
    date: str
    payload_hash: str


def verify(call: Call, keys: Keys) -> None:
    """Refuse a call whose signature is not by these keys, or not of this time."""
    is_presigned = "X-Amz-Signature" in call.query
    signature = _of_query(call) if is_presigned else _of_header(call)
    access_key, *scope = signature.credential.rsplit("/", _IN_SCOPE - 1)
    if len(scope) != _IN_SCOPE - 1 or scope[2:] != ["s3", "aws4_request"] or scope[0] != signature.date[:8]:
        raise Refused("AuthorizationHeaderMalformed")
    if access_key != keys.access_key:
        raise Refused("InvalidAccessKeyId", AWSAccessKeyId=access_key)
    if scope[1] != keys.region:
        raise Refused("AuthorizationHeaderMalformed", f"the region '{scope[1]}' is wrong", Region=keys.region)
    _verify_time(call, signature, keys, is_presigned=is_presigned)
    if not hmac.compare_digest(_expected(call, signature, scope, keys.secret_key), signature.value):
        raise Refused("SignatureDoesNotMatch")
    token = call.query.get("X-Amz-Security-Token") if is_presigned else call.headers.get("x-amz-security-token")
    if token != keys.session_token:
        raise Refused("InvalidToken")


def _of_header(call: Call) -> _Signature:
    algorithm, _, rest = call.headers.get("authorization", "").partition(" ")
    if not algorithm:
        raise Refused("AccessDenied")
    if algorithm != _ALGORITHM:
        raise Refused("InvalidRequest", f"The authorization mechanism is not supported, use {_ALGORITHM}.")
    fields = dict(word.strip().partition("=")[::2] for word in rest.split(","))
    if fields.keys() != {"Credential", "SignedHeaders", "Signature"}:
        raise Refused("AuthorizationHeaderMalformed")
    payload_hash = call.headers.get("x-amz-content-sha256")
    if payload_hash is None:
        raise Refused("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
    date = call.headers.get("x-amz-date", "")
    return _Signature(fields["Credential"], fields["SignedHeaders"], fields["Signature"], date, payload_hash)


def _of_query(call: Call) -> _Signature:
    query = call.query
    if query.get("X-Amz-Algorithm") != _ALGORITHM or not query.keys() >= _QUERY_NAMES:
        raise Refused("AuthorizationQueryParametersError")
    payload_hash = call.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD")
    return _Signature(
        query["X-Amz-Credential"],
        query["X-Amz-SignedHeaders"],
        query["X-Amz-Signature"],
        query["X-Amz-Date"],
        payload_hash,
    )


def _verify_time(call: Call, signature: _Signature, keys: Keys, *, is_presigned: bool) -> None:
    try:
        moment = datetime.strptime(signature.date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Refused("AccessDenied", "AWS authentication requires a valid Date or x-amz-date header") from error
    age_seconds = keys.signing_time() - moment
    if not is_presigned:
        if abs(age_seconds) > _SKEW_SECONDS:
            raise Refused("RequestTimeTooSkewed")
        return
    lifetime_seconds = call.number("X-Amz-Expires", 0)
    if not 0 < lifetime_seconds <= _LONGEST_SECONDS:
        raise Refused("AuthorizationQueryParametersError", "X-Amz-Expires must be from 1 to 604800 seconds")
    if age_seconds < -_SKEW_SECONDS:
        raise Refused("AccessDenied", "Request is not valid yet")
    if age_seconds > lifetime_seconds:
        raise Refused("AccessDenied", "Request has expired")


def _expected(call: Call, signature: _Signature, scope: list[str], secret_key: str) -> str:
    names = signature.signed_headers.split(";")
    if "host" not in names or any(name.startswith("x-amz-") and name not in names for name in call.headers):
        raise Refused("AccessDenied", "There were headers present in the request which were not signed")
    query = sorted(
        (quote(name, safe="-_.~"), quote(value, safe="-_.~"))
        for name, value in call.query.items()
        if name != "X-Amz-Signature"
    )
    canonical = "\n".join(
        (
            call.method,
            quote(unquote(call.path), safe="/-_.~"),
            "&".join(f"{name}={value}" for name, value in query),
            *(f"{name}:{' '.join(call.headers.get(name, '').split())}" for name in names),
            "",
            signature.signed_headers,
            signature.payload_hash,
        )
    )
    hashed = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    to_sign = "\n".join((_ALGORITHM, signature.date, "/".join(scope), hashed))
    return hmac.new(_signing_key(secret_key, *scope), to_sign.encode(), hashlib.sha256).hexdigest()


@lru_cache(maxsize=64)
def _signing_key(secret_key: str, *scope: str) -> bytes:
    key = f"AWS4{secret_key}".encode()
    for word in scope:
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return key
