"""An S3 in memory that takes parts of any size, and stores in it."""

from collections.abc import Iterator
from typing import Any

import pytest

from storage.blobs.s3.bucket import Bucket
from tests.contracts.s3_places import S3Stores, s3_server, s3_stores
from tests.s3.account import Account
from tests.s3.server import S3Server
from tests.storage.blobs.s3.corner import Corner


@pytest.fixture(scope="module")
def shared_server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


@pytest.fixture
def server(shared_server: S3Server) -> Iterator[S3Server]:
    """The server, with no fault, an empty journal, and the ways of AWS, but for the size of parts."""
    shared_server.requests.clear()
    shared_server.minimum_part_bytes = 1
    yield shared_server
    shared_server.faults.clear()
    ways = vars(Account())
    for name in ways.keys() - {"buckets"}:
        setattr(shared_server, name, ways[name])


@pytest.fixture(scope="module")
def shared_stores(shared_server: S3Server) -> Iterator[S3Stores]:
    with s3_stores(shared_server.url) as stores:
        yield stores


@pytest.fixture
def stores(server: S3Server, shared_stores: S3Stores) -> S3Stores:
    return shared_stores


@pytest.fixture(scope="module")
def shared_buckets() -> dict[tuple[Any, ...], Bucket]:
    return {}


@pytest.fixture
def corner(server: S3Server, stores: S3Stores, shared_buckets: dict[tuple[Any, ...], Bucket]) -> Corner:
    return Corner(server, stores, stores.prefix(), shared_buckets)
