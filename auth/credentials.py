"""What an `Authorization` header carries, before anybody has looked whether it is right."""

import base64
import binascii
import re
from dataclasses import dataclass, field

from auth.errors import CredentialsInvalid

# A bearer token of 16 KiB and its scheme; HTTP servers usually stop at less.
_MAX_CHARACTERS = 16 * 1024 + 16
_ACCESS_KEY_ID = re.compile(r"LK[A-Z2-7]{18}", re.ASCII)
# Control characters, and surrogates, which no encoding of the text can hold.
_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class BasicCredentials:
    """A user name and a password (RFC 7617, section 2); raises CredentialsInvalid for a control character."""

    name: str
    password: str = field(repr=False)

    def __post_init__(self) -> None:
        """Refuse what no user can have been given."""
        if not self.name or has_control_characters(self.name) or has_control_characters(self.password):
            message = "the user name is empty, or it or the password holds a control character"
            raise CredentialsInvalid(message)


@dataclass(frozen=True, slots=True)
class BearerCredentials:
    """A token (RFC 6750)."""

    token: str = field(repr=False)


Credentials = BasicCredentials | BearerCredentials


def is_access_key_id(name: str) -> bool:
    """Whether this is the id of an access key: no user can have such a name."""
    return _ACCESS_KEY_ID.fullmatch(name) is not None


def has_control_characters(text: str) -> bool:
    """Whether no header could carry this text, so that nobody could ever log in with it."""
    return _REFUSED.search(text) is not None


def parse_authorization(header: str | None) -> Credentials | None:
    """Read the header's value; None when there is no header. Raises CredentialsInvalid."""
    if header is None:
        return None
    if len(header) > _MAX_CHARACTERS:
        message = f"the Authorization header is longer than {_MAX_CHARACTERS} characters"
        raise CredentialsInvalid(message)
    scheme, _, value = header.strip(" ").partition(" ")
    value = value.lstrip(" ")
    match scheme.lower():
        case "basic":
            return _parse_basic(value)
        case "bearer":
            return _parse_bearer(value)
        case _:
            message = "the Authorization header must be Basic or Bearer"
            raise CredentialsInvalid(message)


def _parse_basic(encoded: str) -> BasicCredentials:
    try:
        decoded = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError) as error:
        message = "the Basic credentials are not base64"
        raise CredentialsInvalid(message) from error
    name, colon, password = _decode_text(decoded).partition(":")
    if not colon:
        message = "the Basic credentials are not a user name, a colon and a password"
        raise CredentialsInvalid(message)
    return BasicCredentials(name, password)


def _parse_bearer(token: str) -> BearerCredentials:
    if not token or " " in token:
        message = "the Bearer credentials are not one token"
        raise CredentialsInvalid(message)
    return BearerCredentials(token)


def _decode_text(content: bytes) -> str:
    """Read UTF-8 as RFC 7617 recommends, else the Latin-1 that older clients send."""
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content.decode("latin-1")
