"""Who is asking."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

AnonymousMode = Literal["none", "pull", "push"]
"""What callers without credentials may do; `push` is for a registry on loopback that anybody there may use."""


class PrincipalKind(StrEnum):
    """What kind of caller a principal is."""

    ROOT = "root"
    USER = "user"
    ROLE = "role"
    ANONYMOUS = "anonymous"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose identity was established."""

    account_id: str
    name: str
    kind: PrincipalKind

    @property
    def arn(self) -> str:
        """The name that policies, audit records and messages use."""
        match self.kind:
            case PrincipalKind.ROOT:
                return f"arn:aws:iam::{self.account_id}:root"
            case PrincipalKind.USER:
                return f"arn:aws:iam::{self.account_id}:user/{self.name}"
            case PrincipalKind.ROLE:
                return f"arn:aws:iam::{self.account_id}:role/{self.name}"
            case PrincipalKind.ANONYMOUS:
                return "anonymous"


ANONYMOUS: Final = Principal("", "", PrincipalKind.ANONYMOUS)
"""The caller who gave no credentials."""
