"""Operations on buckets, and the listing of what one holds."""

import base64
import binascii
from urllib.parse import quote

from tests.s3.account import Account
from tests.s3.answers import Answer, document, elements, iso_date
from tests.s3.bucket import LifecycleRule, page
from tests.s3.calls import Call
from tests.s3.payloads import Payload
from tests.s3.refusals import Refused


def list_buckets(account: Account, _: Call, __: Payload) -> Answer:
    told = "".join(
        f"<Bucket>{elements(Name=bucket.name, CreationDate=iso_date(bucket.created))}</Bucket>"
        for bucket in sorted(account.buckets.values(), key=lambda bucket: bucket.name)
    )
    return document("ListAllMyBucketsResult", f"<Owner><ID>test</ID></Owner><Buckets>{told}</Buckets>")


def head_bucket(account: Account, call: Call, _: Payload) -> Answer:
    account.bucket(call.bucket)
    return Answer(200, {"x-amz-bucket-region": account.region})


def create_bucket(account: Account, call: Call, _: Payload) -> Answer:
    if call.bucket in account.buckets:
        raise Refused("BucketAlreadyOwnedByYou", BucketName=call.bucket)
    account.create_bucket(call.bucket)
    return Answer(200, {"Location": f"/{call.bucket}"})


def delete_bucket(account: Account, call: Call, _: Payload) -> Answer:
    if account.bucket(call.bucket).objects:
        raise Refused("BucketNotEmpty", BucketName=call.bucket)
    del account.buckets[call.bucket]
    return Answer(204)


def get_bucket_location(account: Account, call: Call, _: Payload) -> Answer:
    account.bucket(call.bucket)
    return document("LocationConstraint", "" if account.region == "us-east-1" else account.region)


def get_bucket_versioning(account: Account, call: Call, _: Payload) -> Answer:
    return document("VersioningConfiguration", elements(Status=account.bucket(call.bucket).versioning))


def get_bucket_lifecycle(account: Account, call: Call, _: Payload) -> Answer:
    rules = account.bucket(call.bucket).lifecycle
    if not rules:
        raise Refused("NoSuchLifecycleConfiguration", BucketName=call.bucket)
    return document("LifecycleConfiguration", "".join(_rule(rule) for rule in rules))


def _rule(rule: LifecycleRule) -> str:
    inside = elements(ID=rule.id, Status="Enabled" if rule.is_enabled else "Disabled")
    inside += f"<Filter>{elements(Prefix=rule.prefix)}</Filter>"
    if rule.expiration_days is not None:
        inside += f"<Expiration>{elements(Days=rule.expiration_days)}</Expiration>"
    if rule.noncurrent_days is not None:
        days = elements(NoncurrentDays=rule.noncurrent_days)
        inside += f"<NoncurrentVersionExpiration>{days}</NoncurrentVersionExpiration>"
    if rule.abort_days is not None:
        days = elements(DaysAfterInitiation=rule.abort_days)
        inside += f"<AbortIncompleteMultipartUpload>{days}</AbortIncompleteMultipartUpload>"
    return f"<Rule>{inside}</Rule>"


def list_objects(account: Account, call: Call, _: Payload) -> Answer:
    objects = account.bucket(call.bucket).objects
    if call.query["list-type"] != "2":
        raise Refused("InvalidArgument", ArgumentName="list-type", ArgumentValue=call.query["list-type"])
    prefix, delimiter = call.query.get("prefix", ""), call.query.get("delimiter", "")
    limit = min(call.number("max-keys", account.page_keys), account.page_keys)
    token = call.query.get("continuation-token")
    after = call.query.get("start-after", "") if token is None else _position(token)
    told = page(objects, limit, prefix=prefix, after=after, delimiter=delimiter)
    is_encoded = call.query.get("encoding-type") == "url"

    def written(name: str) -> str:
        return quote(name, safe="/-_.~") if is_encoded else name

    inside = elements(
        Name=call.bucket,
        Prefix=written(prefix),
        Delimiter=written(delimiter) if delimiter else None,
        StartAfter=written(call.query["start-after"]) if "start-after" in call.query else None,
        ContinuationToken=token,
        NextContinuationToken=None if told.following is None else _token(told.following),
        KeyCount=len(told.names) + len(told.prefixes),
        MaxKeys=limit,
        EncodingType="url" if is_encoded else None,
        IsTruncated=str(told.following is not None).lower(),
    )
    entries = []
    for name in told.names:
        stored = objects[name]
        entry = elements(Key=written(name), LastModified=iso_date(stored.modified), ETag=stored.etag)
        entries.append(f"<Contents>{entry}{elements(Size=len(stored.content), StorageClass='STANDARD')}</Contents>")
    entries.extend(f"<CommonPrefixes>{elements(Prefix=written(name))}</CommonPrefixes>" for name in told.prefixes)
    return document("ListBucketResult", inside + "".join(entries))


def _token(name: str) -> str:
    return base64.urlsafe_b64encode(name.encode()).decode()


def _position(token: str) -> str:
    try:
        return base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, UnicodeDecodeError) as error:
        message = "The continuation token provided is incorrect"
        raise Refused("InvalidArgument", message, ArgumentName="continuation-token") from error
