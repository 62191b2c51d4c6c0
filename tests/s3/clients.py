"""boto3 as the tests of the server use it, and signed requests that boto3 would not send."""

import http.client
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from tests.s3.server import S3Server

BUCKET = "layers"


@dataclass(frozen=True, slots=True)
class Heard:
    """An answer as it came; names of headers are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


def client_of(server: S3Server, **changed: Any) -> Any:
    """A boto3 client that tries once, so that a test sees every answer."""
    boto3 = pytest.importorskip("boto3")
    config = pytest.importorskip("botocore.config").Config
    settings = {
        "signature_version": "s3v4",
        "s3": {"addressing_style": "path"},
        "retries": {"total_max_attempts": 1},
        "read_timeout": 5,
        **changed.pop("config", {}),
    }
    return boto3.client(
        "s3",
        endpoint_url=server.url,
        region_name=changed.pop("region", server.region),
        aws_access_key_id=changed.pop("access_key", server.access_key),
        aws_secret_access_key=changed.pop("secret_key", server.secret_key),
        config=config(**settings),
        **changed,
    )


def refused(call: Callable[..., Any], **arguments: Any) -> tuple[str, int]:
    """The code and the status that an operation is refused with."""
    errors = pytest.importorskip("botocore.exceptions")
    with pytest.raises(errors.ClientError) as raised:
        call(Bucket=BUCKET, **arguments)
    answer = raised.value.response
    return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]


def send(
    server: S3Server, method: str, target: str, body: bytes = b"", *, is_trailed: bool = False, **headers: str
) -> Heard:
    """Send a signed request as it is; `_` in names of headers stands for `-`."""
    auth = pytest.importorskip("botocore.auth")
    requests = pytest.importorskip("botocore.awsrequest")
    credentials = pytest.importorskip("botocore.credentials").Credentials(server.access_key, server.secret_key)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = requests.AWSRequest(method, server.url + target, headers=named, data=body)
    if is_trailed:
        request.context["checksum"] = {"request_algorithm": {"in": "trailer"}}
    auth.S3SigV4Auth(credentials, "s3", server.region).add_auth(request)
    return exchange(server, method, target, body, dict(request.headers))


def exchange(
    server: S3Server, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> Heard:
    """Send a request as it is and read the answer; a body that ends too soon raises IncompleteRead."""
    connection = http.client.HTTPConnection(server.url.removeprefix("http://"), timeout=5)
    try:
        connection.request(method, target, body=body, headers=headers or {})
        response = connection.getresponse()
        return Heard(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
    finally:
        connection.close()
