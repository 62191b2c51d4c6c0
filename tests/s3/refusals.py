"""What the server refuses, with the codes and statuses of the S3 API reference, "Error responses"."""

from collections.abc import Mapping

_STATUS_AND_MESSAGE: Mapping[str, tuple[int, str]] = {
    "AccessDenied": (403, "Access Denied"),
    "AuthorizationHeaderMalformed": (400, "The authorization header is malformed."),
    "AuthorizationQueryParametersError": (400, "The query parameters of the signature are malformed."),
    "BadDigest": (400, "The digest that was sent is not the digest of the content that was received."),
    "BucketAlreadyOwnedByYou": (409, "The bucket exists, and you own it."),
    "BucketNotEmpty": (409, "The bucket is not empty."),
    "EntityTooLarge": (400, "The upload is larger than one may be."),
    "EntityTooSmall": (400, "The part is smaller than one may be."),
    "ExpiredToken": (400, "The session token has expired."),
    "IncompleteBody": (400, "The body is shorter than was announced."),
    "InternalError": (500, "We encountered an internal error. Please try again."),
    "InvalidAccessKeyId": (403, "There is no such access key."),
    "InvalidArgument": (400, "Invalid argument"),
    "InvalidDigest": (400, "The Content-MD5 is not one."),
    "InvalidPart": (400, "A part is not there, or its entity tag is another."),
    "InvalidPartOrder": (400, "The parts are not in ascending order."),
    "InvalidRange": (416, "The requested range is not satisfiable"),
    "InvalidRequest": (400, "Invalid request"),
    "InvalidToken": (400, "The session token is not the one of this key."),
    "MalformedXML": (400, "The XML is not what the operation takes."),
    "MethodNotAllowed": (405, "The method is not allowed against this resource."),
    "MissingContentLength": (411, "The Content-Length header is needed."),
    "NoSuchBucket": (404, "The bucket does not exist"),
    "NoSuchKey": (404, "The key does not exist."),
    "NoSuchLifecycleConfiguration": (404, "The bucket has no lifecycle configuration."),
    "NoSuchUpload": (404, "The upload does not exist: it was aborted or completed, or never was."),
    "NotImplemented": (501, "What a header or parameter asks for is not implemented."),
    "NotModified": (304, "Not Modified"),
    "PreconditionFailed": (412, "A precondition does not hold."),
    "RequestTimeTooSkewed": (403, "The clocks of the request and of the server differ too much."),
    "RequestTimeout": (400, "The connection was idle for too long."),
    "ServiceUnavailable": (503, "Service is unable to handle request."),
    "SignatureDoesNotMatch": (403, "The signature is not the one that was calculated."),
    "SlowDown": (503, "Please reduce your request rate."),
    "XAmzContentSHA256Mismatch": (400, "The x-amz-content-sha256 is not the one of the content."),
}


class Refused(Exception):
    """An answer that is an error: its code, a message, and elements that the code brings along."""

    def __init__(self, code: str, message: str = "", *, status: int | None = None, **elements: str) -> None:
        known_status, known_message = _STATUS_AND_MESSAGE.get(code, (500, code))
        self.code = code
        self.status = known_status if status is None else status
        self.message = message or known_message
        self.elements = elements
        super().__init__(f"{code}: {self.message}")
