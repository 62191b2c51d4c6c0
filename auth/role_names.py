"""The names of roles and of their sessions, as callers give them."""

import hashlib
import re
from typing import Final

from auth.accounts import is_name
from auth.errors import SessionInvalid

_MOST_CHARACTERS: Final = 64
_DIGEST_CHARACTERS: Final = 8
# AWS Security Token Service, AssumeRole, RoleSessionName
_SESSION_NAME = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII)
_OTHER_CHARACTERS = re.compile(r"[^\w+=,.@-]+", re.ASCII)


def role_name(role: str, account_id: str) -> str | None:
    """The name of a role that is given by name or by ARN; None for one of another account, and what names no role."""
    name = role.removeprefix(f"arn:aws:iam::{account_id}:role/")
    return name if is_name(name) else None


def check_session_name(name: str) -> str:
    """The name, if a session can have it; raises SessionInvalid."""
    if not _SESSION_NAME.fullmatch(name):
        reason = "its name has 2 to 64 letters, digits and +=,.@_-"
        raise SessionInvalid(reason)
    return name


def session_name_of(subject: str) -> str:
    """A name for the session of a subject: what a name can hold of it, and a digest where it is too long for one."""
    name = _OTHER_CHARACTERS.sub("-", subject)
    if len(name) > _MOST_CHARACTERS:
        digest = hashlib.sha256(subject.encode()).hexdigest()[:_DIGEST_CHARACTERS]
        return f"{name[: _MOST_CHARACTERS - _DIGEST_CHARACTERS - 1]}-{digest}"
    return name if len(name) > 1 else f"{name}-"
