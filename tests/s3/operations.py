"""Performs a call: who may, and which function does it."""

from collections.abc import Callable, Mapping

from tests.s3 import listings, multipart, objects
from tests.s3.account import Account
from tests.s3.answers import Answer
from tests.s3.calls import Call
from tests.s3.payloads import Payload
from tests.s3.refusals import Refused
from tests.s3.signatures import verify

_PERFORM: Mapping[str, Callable[[Account, Call, Payload], Answer]] = {
    "ListBuckets": listings.list_buckets,
    "HeadBucket": listings.head_bucket,
    "CreateBucket": listings.create_bucket,
    "DeleteBucket": listings.delete_bucket,
    "GetBucketLocation": listings.get_bucket_location,
    "GetBucketVersioning": listings.get_bucket_versioning,
    "GetBucketLifecycleConfiguration": listings.get_bucket_lifecycle,
    "ListObjectsV2": listings.list_objects,
    "PutObject": objects.put_object,
    "GetObject": objects.get_object,
    "HeadObject": objects.get_object,
    "DeleteObject": objects.delete_object,
    "DeleteObjects": objects.delete_objects,
    "CopyObject": objects.copy_object,
    "CreateMultipartUpload": multipart.create_multipart_upload,
    "UploadPart": multipart.upload_part,
    "UploadPartCopy": multipart.upload_part_copy,
    "CompleteMultipartUpload": multipart.complete_multipart_upload,
    "AbortMultipartUpload": multipart.abort_multipart_upload,
    "ListParts": multipart.list_parts,
    "ListMultipartUploads": multipart.list_multipart_uploads,
}
_LONGEST_KEY_BYTES = 1024


def admit(account: Account, call: Call) -> None:
    """Refuse what the head of a request shows to be wrong, before its body is read."""
    verify(call, account)
    if call.operation in account.denied:
        raise Refused("AccessDenied")
    agreed = call.headers.get("x-amz-request-payer", call.query.get("x-amz-request-payer"))
    if account.requester_pays and agreed != "requester":
        raise Refused("AccessDenied")
    if call.operation == "Unknown":
        raise Refused("NotImplemented")
    if len(call.key.encode()) > _LONGEST_KEY_BYTES:
        raise Refused("InvalidArgument", "The key is too long", ArgumentName="key")
    length = call.headers.get("x-amz-decoded-content-length", call.headers.get("content-length"))
    if call.method == "PUT" and length is None:
        raise Refused("MissingContentLength")
    if int(length or 0) > account.maximum_put_bytes:
        raise Refused("EntityTooLarge", ProposedSize=str(length), MaxSizeAllowed=str(account.maximum_put_bytes))


def perform(account: Account, call: Call, payload: Payload) -> Answer:
    """Do what an admitted call asks for."""
    return _PERFORM[call.operation](account, call, payload)
