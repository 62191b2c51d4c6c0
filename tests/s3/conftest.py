"""A server and a client for the tests of the server itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.s3.server import S3Server

BUCKET = "layers"


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
        region_name=changed.pop("region_name", server.region),
        aws_access_key_id=changed.pop("access_key", server.access_key),
        aws_secret_access_key=changed.pop("secret_key", server.secret_key),
        config=config(**settings),
        **changed,
    )


@pytest.fixture
def server() -> Iterator[S3Server]:
    """A server of its own for the test, with one bucket."""
    with S3Server() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    client = client_of(server)
    yield client
    client.close()
