"""What errors of a key management service mean: whether it refuses or is away, and what to do about it."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from storage.errors import KeyUnavailable, WrongKey

_OF_ANOTHER_KEY: Final = frozenset({"InvalidCiphertextException", "IncorrectKeyException"})
_THROTTLED: Final = frozenset(
    {
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "RequestLimitExceeded",
        "LimitExceededException",
        "TooManyRequestsException",
    }
)
_UNTRUSTED: Final = frozenset(
    {
        "UnrecognizedClientException",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "ExpiredToken",
        "ExpiredTokenException",
    }
)
_ADVICE: Final[Mapping[str, str]] = {
    "AccessDenied": "allow kms:Encrypt and kms:Decrypt with it to the credentials of the registry",
    "AccessDeniedException": "allow kms:Encrypt and kms:Decrypt with it to the credentials of the registry",
    "DisabledException": "it is disabled: enable it",
    "KMSInvalidStateException": "it is to be deleted, or waits for its material: cancel the deletion, or import it",
    "NotFoundException": "there is no such key: correct encryption.kms_key_id or the region",
    "InvalidArnException": "this is no name of a key: correct encryption.kms_key_id",
    "InvalidKeyUsageException": "it is not for encryption: name a symmetric key",
}
_SERVER_ERROR: Final = 500
_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,64}")


def refused(words: str) -> KeyUnavailable:
    """What a client hears where trying again does not help, and what `words` tell who runs the registry."""
    return KeyUnavailable("the key management service refuses a key: whoever runs the registry must see to it", words)


def away(words: str) -> KeyUnavailable:
    """What a client hears while nobody answers, and what `words` tell who runs the registry."""
    return KeyUnavailable("the key management service does not answer: try again later", words)


@contextmanager
def kms_errors(operation: str, key: str) -> Iterator[None]:
    """Raise WrongKey, or KeyUnavailable that says what to do; nothing of what was sent is in either."""
    from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError  # noqa: PLC0415  loaded where used
    from botocore.exceptions import ConnectionError as Unconnected  # noqa: PLC0415  the same
    from botocore.parsers import ResponseParserError  # noqa: PLC0415  the same
    from urllib3.exceptions import HTTPError  # noqa: PLC0415  the same

    try:
        yield
    except ClientError as error:
        raise _meaning(error.response, operation, key) from error
    except (HTTPClientError, Unconnected, HTTPError) as error:
        raise away(
            f"KMS did not answer ({type(error).__name__}): see that it can be reached, then try again"
        ) from error
    except (BotoCoreError, ResponseParserError, ValueError, KeyError) as error:
        raise _senseless(error, key) from error


def _meaning(response: Mapping[str, Any], operation: str, key: str) -> Exception:
    code = str(response.get("Error", {}).get("Code", ""))
    status = int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    shown = code if _CODE.fullmatch(code) else str(status)
    if code in _OF_ANOTHER_KEY:
        return WrongKey()
    if code in _THROTTLED:
        return away(f"KMS asks for fewer requests ({shown}): try again later, or have its quota raised")
    if status >= _SERVER_ERROR:
        return away(f"KMS failed ({shown}): try again later")
    if code in _UNTRUSTED:
        return refused(f"KMS does not know these credentials ({shown}): correct them, or the region")
    advice = _ADVICE.get(code, "see its policy and state in KMS")
    return refused(f"KMS refuses {operation} with the key {key} ({shown}): {advice}")


def _senseless(error: Exception, key: str) -> KeyUnavailable:
    """Nothing was sent, or what answered is no KMS."""
    from botocore.exceptions import NoCredentialsError, PartialCredentialsError  # noqa: PLC0415  the same

    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        words = (
            "no AWS credentials were found: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give the machine a role"
        )
        return refused(words)
    return refused(f"KMS cannot be asked for {key} ({type(error).__name__}): correct the settings of encryption")
