"""Facts that auth raises; they know nothing of HTTP."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from auth.actions import Resource
    from auth.policy.evaluation import Match
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

    def __init__(self, action: str, resource: "Resource") -> None:
        super().__init__(f"the token does not cover {action} on {resource.arn}: ask for one that does")
        self.action = action
        self.resource = resource


class AccessDenied(AuthError):
    """The caller is known and may not do this; `denied_by` is the statement of an explicit deny."""

    def __init__(
        self,
        principal: "Principal",
        action: str,
        resource: "Resource",
        reason: str,
        denied_by: "Match | None" = None,
    ) -> None:
        super().__init__(f"{principal.arn} is not allowed to perform {action} on {resource.arn} because {reason}")
        self.principal = principal
        self.action = action
        self.resource = resource
        self.denied_by = denied_by


class TooManyAttempts(AuthError):
    """Too many wrong passwords for this user came from this client; a right one has to wait as well."""

    def __init__(self, retry_after_seconds: int) -> None:
        super().__init__(f"too many wrong passwords: try again in {retry_after_seconds} seconds")
        self.retry_after_seconds = retry_after_seconds


class TooManyLogins(AuthError):
    """More passwords are waiting to be checked than this server checks in the time that clients wait."""

    def __init__(self) -> None:
        super().__init__("too many logins at once: try again in a moment, or use tokens")


class WebIdentityInvalid(AuthError):
    """The identity token is not one that the registry trusts for the role; the reason is safe to show."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid identity token: {reason}")
        self.reason = reason


class KeysUnavailable(AuthError):
    """The keys of an identity provider could not be fetched; the reason is safe to show."""

    def __init__(self, issuer: str, reason: str) -> None:
        super().__init__(f"the keys of {issuer} cannot be had: {reason}")
        self.issuer = issuer
        self.reason = reason


class ProviderInvalid(AuthError):
    """This cannot be an identity provider."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid identity provider: {reason}")
        self.reason = reason


class SessionInvalid(AuthError):
    """No such session can be had: its name, duration or policy is out of bounds."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid session: {reason}")
        self.reason = reason


class NoSigningKey(AuthError):
    """No key of the registry signs at this moment."""

    def __init__(self) -> None:
        super().__init__("no key signs tokens at this moment: make one with `lading signing rotate`")


class RotationRefused(AuthError):
    """The signing keys cannot take turns in this way; the reason says what to do."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)


class ScopeInvalid(AuthError):
    """The scope asked for cannot be read, or is longer than any client needs."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"invalid scope: {reason}")
        self.reason = reason


class GrantUnsupported(AuthError):
    """The token request names a grant type that this registry does not offer."""

    def __init__(self, grant_type: str) -> None:
        super().__init__("unsupported grant_type: use password, refresh_token or token exchange")
        self.grant_type = grant_type[:64]


class StoredPolicyInvalid(AuthError):
    """A policy in the database cannot be read by this version, so nothing that it bears on is allowed."""

    def __init__(self, name: str) -> None:
        super().__init__(f"the stored policy {name} cannot be read by this version: put it again, or delete it")
        self.name = name


class AccountNameInvalid(AuthError):
    """The name cannot be that of a user, group, role or policy."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name[:64]!r} is no name for a user, group, role or policy: write 1 to 64 letters, digits and +=,.@_-, "
            "and nothing that looks like an access key id"
        )
        self.name = name


class AlreadyThere(AuthError):
    """Something of this kind and name is there already."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is a {kind} {name} already: choose another name, or delete that one first")
        self.kind = kind
        self.name = name


class NotThere(AuthError):
    """Nothing of this kind has this name, which may be of any length and is told up to that of a repository's."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(f"there is no {kind} {name[:255]}: {_REMEDIES[kind]}")
        self.kind = kind
        self.name = name


class TooMany(AuthError):
    """No more of something can be had."""

    def __init__(self, what: str, most: int, remedy: str) -> None:
        super().__init__(f"there can be {most} {what} at most: {remedy}")
        self.most = most


class PolicyInUse(AuthError):
    """The policy is the boundary of a user or role, which would do without a limit if it went."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"policy {name} is the boundary of a user or role: lift that first with `lading policy detach --boundary`"
        )
        self.name = name


class VersionInUse(AuthError):
    """The version is the one that counts wherever the policy is attached."""

    def __init__(self, name: str, version: int) -> None:
        super().__init__(f"version {version} of policy {name} is the one that counts: let another one count first")
        self.name = name
        self.version = version


class TagsInvalid(AuthError):
    """These cannot be the tags of a principal or repository."""

    def __init__(self) -> None:
        super().__init__(
            "tags are at most 50 names of 1 to 128 characters, with values of at most 256, and no control characters"
        )


class RootProtected(AuthError):
    """The root user always may log in, so that nobody is locked out."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{name} is the root user: it can be given another password, and nothing else")
        self.name = name


class PasswordRefused(AuthError):
    """The password could not be typed into a login, or is no password at all."""

    def __init__(self) -> None:
        super().__init__("a password has 1 to 1024 characters and no control character: choose another")


_REMEDIES: Final = {
    "user": "list them with `lading user list`, or make it with `lading user create`",
    "group": "list them with `lading group list`, or make it with `lading group create`",
    "access key": "list them with `lading key list --user NAME`",
    "policy": "list them with `lading policy list`",
    "role": "list them with `lading role list`, or make it with `lading role create`",
    "repository": "push to it first",
    "repository policy of": "write one with `lading repo policy set`",
    "policy version": "list them with `lading policy show`",
    "identity provider": "list them with `lading role provider list`",
    "service token": "list them with `lading token list --user NAME`",
    "token": "its id is the jti that it says",
    "signing key": "list them with `lading signing list`",
    "policy of": "write one with `lading policy put --registry`",
}
