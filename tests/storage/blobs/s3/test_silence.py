"""An S3 that does not answer: each request to the registry waits for it once."""

import pytest

from storage.digest import Algorithm, Digest
from storage.errors import StoreUnavailable
from tests.contracts.blob_access import UPLOAD, at
from tests.contracts.s3_places import S3Stores
from tests.s3.faults import Fault, FaultKind
from tests.s3.server import S3Server

KEY = "sha256/2c/f2/2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824.00"


async def test_a_look_at_a_copy_is_not_tried_in_another_way(server: S3Server, stores: S3Stores) -> None:
    """Another look tells why S3 refuses; nothing was refused."""
    server.faults.add(Fault("*", FaultKind.RESET, times=None))

    with pytest.raises(StoreUnavailable):
        await stores.store().size(KEY)

    assert server.requests.count("HeadObject") == 2
    assert server.requests.count("GetObject") == 0


async def test_what_a_failed_commit_left_is_not_looked_for(server: S3Server, stores: S3Stores) -> None:
    """The client has waited long enough; a walk finds what is left."""
    server.faults.add(Fault("*", FaultKind.RESET, times=None))

    async with stores.store().stage(UPLOAD, Algorithm.SHA256, at(0)) as writer:
        await writer.write([b"hello"])
        with pytest.raises(StoreUnavailable):
            await writer.commit(Digest.of(b"hello"))
        with pytest.raises(StoreUnavailable):
            await writer.abort()

    assert server.requests.count("PutObject") == 2
    assert server.requests.count("ListMultipartUploads") == 0
