"""Faults of the test server show as the failures that clients of S3 have to live with."""

import http.client
import threading
from typing import Any

import pytest

from tests.s3.clients import BUCKET, client_of, exchange, refused
from tests.s3.faults import Fault, FaultKind
from tests.s3.server import S3Server

pytest.importorskip("boto3")
errors = pytest.importorskip("botocore.exceptions")
_CUT = (errors.ConnectionClosedError, errors.EndpointConnectionError, errors.HTTPClientError)


@pytest.mark.parametrize(
    ("code", "status"), [("SlowDown", 503), ("InternalError", 500), ("RequestTimeout", 400), ("ExpiredToken", 400)]
)
def test_an_error_is_answered_in_its_turn(s3: Any, server: S3Server, code: str, status: int) -> None:
    server.faults.add(Fault("PutObject", FaultKind.ERROR, times=2, after=1, match="x/", code=code))
    s3.put_object(Bucket=BUCKET, Key="x/1", Body=b"x")
    s3.put_object(Bucket=BUCKET, Key="y/1", Body=b"x")

    assert refused(s3.put_object, Key="x/2", Body=b"x") == (code, status)
    assert refused(s3.put_object, Key="x/3", Body=b"x") == (code, status)
    s3.put_object(Bucket=BUCKET, Key="x/4", Body=b"x")
    assert list(server.bucket(BUCKET).objects) == ["x/1", "y/1", "x/4"]


def test_an_error_without_a_body(s3: Any, server: S3Server) -> None:
    server.faults.add(Fault("*", FaultKind.ERROR, code="ServiceUnavailable", has_body=False))

    assert refused(s3.list_objects_v2) == ("503", 503)


def test_a_client_that_retries_sees_nothing_of_it(server: S3Server) -> None:
    client = client_of(server, config={"retries": {"total_max_attempts": 3}})
    server.faults.add(Fault("PutObject", FaultKind.ERROR, code="SlowDown"))
    server.faults.add(Fault("PutObject", FaultKind.RESET))

    client.put_object(Bucket=BUCKET, Key="a", Body=b"hello")

    assert server.requests.count("PutObject") == 3
    client.close()


@pytest.mark.parametrize("kind", [FaultKind.RESET, FaultKind.RESET_IN_BODY])
def test_a_reset_leaves_nothing(s3: Any, server: S3Server, kind: FaultKind) -> None:
    server.faults.add(Fault("PutObject", kind))

    with pytest.raises(_CUT):
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"x" * 2**22)

    assert server.bucket(BUCKET).objects == {}
    (entry,) = server.requests.of("PutObject")
    assert entry.body_length == (0 if kind is FaultKind.RESET else 2**21)


def test_a_lost_answer_is_of_work_that_was_done(s3: Any, server: S3Server) -> None:
    server.faults.add(Fault("PutObject", FaultKind.ANSWER_LOST))

    with pytest.raises(_CUT):
        s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")

    assert server.bucket(BUCKET).objects["a"].content == b"hello"


def test_a_delay_is_longer_than_the_client_waits(server: S3Server) -> None:
    client = client_of(server, config={"read_timeout": 0.05})
    server.faults.add(Fault("HeadObject", FaultKind.DELAY, seconds=0.2))

    with pytest.raises(errors.ReadTimeoutError):
        client.head_object(Bucket=BUCKET, Key="a")

    client.close()


@pytest.mark.parametrize("seen", [[], ["a"]], ids=["before-the-work", "after-the-work"])
def test_a_request_hangs_until_it_is_released(s3: Any, server: S3Server, seen: list[str]) -> None:
    fault = server.faults.add(Fault("PutObject", FaultKind.HANG, works_first=seen != []))
    put = threading.Thread(target=s3.put_object, kwargs={"Bucket": BUCKET, "Key": "a", "Body": b"x"})

    put.start()
    assert fault.reached.wait(5)
    meanwhile = list(server.bucket(BUCKET).objects)
    server.faults.clear()
    put.join(5)

    assert meanwhile == seen
    assert list(server.bucket(BUCKET).objects) == ["a"]


def test_a_body_ends_too_soon(s3: Any, server: S3Server) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a"})
    server.faults.add(Fault("GetObject", FaultKind.TRUNCATE, at_byte=2))

    with pytest.raises(http.client.IncompleteRead) as raised:
        exchange(server, "GET", url.removeprefix(server.url))

    assert (raised.value.partial, raised.value.expected) == (b"he", 3)


def test_a_byte_of_a_body_is_another(s3: Any, server: S3Server) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": BUCKET, "Key": "a"})
    server.faults.add(Fault("GetObject", FaultKind.FLIP, at_byte=1))

    assert exchange(server, "GET", url.removeprefix(server.url)).body == b"hdllo"
    server.faults.add(Fault("GetObject", FaultKind.FLIP, at_byte=1))
    with pytest.raises(errors.FlexibleChecksumError):
        s3.get_object(Bucket=BUCKET, Key="a")["Body"].read()


def test_a_success_may_hold_an_error(s3: Any, server: S3Server) -> None:
    s3.put_object(Bucket=BUCKET, Key="a", Body=b"hello")
    server.faults.add(Fault("CopyObject", FaultKind.ERROR_IN_200))

    code, _ = refused(s3.copy_object, Key="b", CopySource={"Bucket": BUCKET, "Key": "a"})

    assert code == "InternalError"
    assert list(server.bucket(BUCKET).objects) == ["a"]


def test_a_fault_without_end_ends_when_it_is_cleared(s3: Any, server: S3Server) -> None:
    fault = server.faults.add(Fault("*", FaultKind.ERROR, times=None))
    for _ in range(3):
        assert refused(s3.list_objects_v2) == ("InternalError", 500)

    server.faults.clear()

    assert s3.list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0
    assert fault.fired == 3
