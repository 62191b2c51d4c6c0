"""An S3 in memory that takes parts of any size, and stores in it."""

from collections.abc import Iterator

import pytest

from tests.contracts.s3_places import S3Stores, s3_server, s3_stores
from tests.s3.server import S3Server


@pytest.fixture(scope="module")
def shared_server() -> Iterator[S3Server]:
    with s3_server() as server:
        server.minimum_part_bytes = 1
        yield server


@pytest.fixture
def server(shared_server: S3Server) -> Iterator[S3Server]:
    """The server, with no fault and an empty journal."""
    shared_server.requests.clear()
    yield shared_server
    shared_server.faults.clear()


@pytest.fixture
def stores(server: S3Server) -> Iterator[S3Stores]:
    with s3_stores(server.url) as stores:
        yield stores
