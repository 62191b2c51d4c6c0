"""A caller: who is asking, and what the credentials used say about it."""

from dataclasses import dataclass, field
from enum import StrEnum
from math import inf
from typing import Final

from auth.principals import ANONYMOUS, Principal
from auth.scopes import Access


class CredentialKind(StrEnum):
    """How a caller proved who it is."""

    NONE = "none"
    PASSWORD = "password"  # noqa: S105  a kind
    ACCESS_KEY = "access-key"
    BEARER_TOKEN = "bearer-token"  # noqa: S105  a kind
    AUTHORIZATION_TOKEN = "authorization-token"  # noqa: S105  a kind
    REFRESH_TOKEN = "refresh-token"  # noqa: S105  a kind
    SERVICE_TOKEN = "service-token"  # noqa: S105  a kind
    WEB_IDENTITY = "web-identity"
    CERTIFICATE = "certificate"
    LOCAL = "local"
    """A command on the registry's own machine, which can read the data directory."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking, and the most that the credentials used let them do; no ceiling but for bearer tokens.

    A token for this caller is dated no earlier than `valid_after` (those before were revoked), and ends no later than
    `expires_at`, both in seconds since the epoch; and with whatever stands behind the caller: its access key, its
    stored token, the `jti` of its authorization token with those of all that it was fetched with, and for a role's
    session who opened it, a user first and then role by role. `credential_id` names the credential where it has a name
    that may be shown: an access key's id, a stored token's id, a signed token's `jti`. From `until` on, in seconds
    since the epoch, a token stands for nobody any more; before, only a change of the directory can end it.
    """

    principal: Principal
    ceiling: Access | None = None
    access_key: str | None = None
    stored_token: str | None = field(default=None, compare=False)
    authorizations: tuple[str, ...] = field(default=(), compare=False)
    opened_by: tuple[Principal, ...] = field(default=(), compare=False)
    valid_after: float = field(default=0, compare=False)
    expires_at: float | None = field(default=None, compare=False)
    credential: CredentialKind = field(default=CredentialKind.NONE, compare=False)
    credential_id: str | None = field(default=None, compare=False)
    until: float = field(default=inf, compare=False)


STRANGER: Final = Caller(ANONYMOUS)
"""Who comes without credentials."""
