"""A server with one bucket and a client, for the tests of the server itself."""

from collections.abc import Iterator
from typing import Any

import pytest

from tests.s3.clients import BUCKET, client_of
from tests.s3.server import S3Server


@pytest.fixture
def server() -> Iterator[S3Server]:
    with S3Server() as server:
        server.create_bucket(BUCKET)
        yield server


@pytest.fixture
def s3(server: S3Server) -> Iterator[Any]:
    client = client_of(server)
    yield client
    client.close()
