"""Who is asking."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, Literal

AnonymousMode = Literal["none", "pull", "push"]
"""What callers without credentials may do; `push` is for a registry on loopback that anybody there may use."""


Fact = str | tuple[str, ...]
"""The value of a condition key; several for a key that can hold more than one."""


class PrincipalKind(StrEnum):
    """What kind of caller a principal is."""

    ROOT = "root"
    USER = "user"
    ROLE = "role"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Session:
    """What a caller got for a while: by assuming a role, or with a token that carries less than its owner may do.

    `name` is the session's name of a role and empty for a user. `facts` are condition keys with their values, such as
    the claims of a web identity; `policies` are documents that limit together what the session may do.
    """

    name: str = ""
    facts: tuple[tuple[str, Fact], ...] = ()
    policies: tuple[str, ...] = ()


def opened_at(seconds: float) -> tuple[str, Fact]:
    """The fact that tells when a role's session was opened, in seconds since the epoch.

    Source: IAM User Guide, "AWS global condition context keys", `aws:TokenIssueTime`.
    """
    return "aws:TokenIssueTime", datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was established; a role acts in a session only."""

    account_id: str
    name: str
    kind: PrincipalKind
    session: Session | None = None

    @property
    def arn(self) -> str:
        """The name that policies, audit records and messages use."""
        match self.kind:
            case PrincipalKind.ROOT:
                return f"arn:aws:iam::{self.account_id}:root"
            case PrincipalKind.USER:
                return f"arn:aws:iam::{self.account_id}:user/{self.name}"
            case PrincipalKind.ROLE if self.session is not None:
                return f"arn:aws:sts::{self.account_id}:assumed-role/{self.name}/{self.session.name}"
            case PrincipalKind.ROLE:
                return self.role_arn
            case PrincipalKind.ANONYMOUS:
                return "anonymous"

    @property
    def role_arn(self) -> str:
        """The role as policies name it, whatever the session."""
        return f"arn:aws:iam::{self.account_id}:role/{self.name}"


ANONYMOUS: Final = Principal("", "", PrincipalKind.ANONYMOUS)
"""The caller who gave no credentials."""
