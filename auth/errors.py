"""Facts that auth raises; they know nothing of HTTP."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from auth.actions import Action, Resource
    from auth.principals import Principal


class AuthError(Exception):
    """Base of every fact that auth raises."""


class CredentialsMissing(AuthError):
    """The request needs credentials and carries none."""

    def __init__(self) -> None:
        super().__init__("this request needs credentials: log in first")


class CredentialsInvalid(AuthError):
    """The credentials cannot be read, or the user name or password is wrong."""

    def __init__(self, reason: str = "the user name or the password is wrong") -> None:
        super().__init__(reason)


class TokenInvalid(AuthError):
    """The bearer token is expired, forged, or not for this registry; the reason is safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid token: {reason}")
        self.reason = reason


class ScopeInsufficient(AuthError):
    """The bearer token is valid but does not carry what the request needs."""

    def __init__(self, action: "Action", resource: "Resource") -> None:
        super().__init__(f"the token does not cover {action.value} on {resource.arn}: ask for one that does")
        self.action = action
        self.resource = resource


class AccessDenied(AuthError):
    """The caller is known and may not do this."""

    def __init__(self, principal: "Principal", action: "Action", resource: "Resource") -> None:
        super().__init__(f"{principal.arn} is not allowed to perform {action.value} on {resource.arn}")
        self.principal = principal
        self.action = action
        self.resource = resource


class ScopeInvalid(AuthError):
    """The scope asked for cannot be read, or is longer than any client needs."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid scope: {reason}")
        self.reason = reason


class GrantUnsupported(AuthError):
    """The token request names a grant type that this registry does not offer."""

    def __init__(self, grant_type: str) -> None:
        super().__init__("unsupported grant_type: use password")
        self.grant_type = grant_type[:64]
