"""Who a request comes from, as resource policies name principals, and how directly a policy names them."""

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

ANONYMOUS_ARN: Final = "anonymous"

_SESSION = re.compile(r"arn:(?P<partition>[^:]*):sts::(?P<account>[0-9]{12}):assumed-role/(?P<role>[^/]+)/.+")
_IDENTITY = re.compile(r"arn:[^:]*:(?:iam|sts)::(?P<account>[0-9]{12}):(?P<kind>[^/]+)(?:/.+)?", re.DOTALL)


class Reach(IntEnum):
    """How directly an Allow in a resource policy reaches the requester; what it is limited by follows from it.

    Source: IAM User Guide, "Policy evaluation logic" and "AWS JSON policy elements: Principal".
    """

    ACCOUNT = 1
    """It names the account: the right to grant is delegated, and an identity policy must still grant."""
    ROLE = 2
    """It names the role: a permissions boundary or a session policy that does not allow limits it."""
    USER = 3
    """It names the IAM user: a boundary does not limit it; a session policy does, as for a federated user's."""
    DIRECT = 4
    """It names the session, the root user, the identity provider or everyone: nothing limits it but a Deny."""


@dataclass(frozen=True, slots=True)
class Requester:
    """The principal of a request.

    `account_id` is empty for an anonymous caller. `role_arn` is that of the role behind a session; `federated` names
    the identity provider of a caller who asks for a role with a web identity.
    """

    arn: str
    account_id: str
    is_root: bool = False
    role_arn: str | None = None
    federated: str | None = None

    @classmethod
    def of_arn(cls, arn: str) -> "Requester":
        """The principal with this ARN; a session's role is taken to have no path. Raises ValueError."""
        if arn == ANONYMOUS_ARN:
            return ANYBODY
        if session := _SESSION.fullmatch(arn):
            role_arn = f"arn:{session['partition']}:iam::{session['account']}:role/{session['role']}"
            return cls(arn, session["account"], role_arn=role_arn)
        identity = _IDENTITY.fullmatch(arn)
        if identity is None:
            raise ValueError(f"{arn!r} is not the ARN of a principal")
        own_role = arn if identity["kind"] == "role" else None
        return cls(arn, identity["account"], is_root=identity["kind"] == "root", role_arn=own_role)


ANYBODY: Final = Requester(ANONYMOUS_ARN, "")
"""The caller who gave no credentials."""


@dataclass(frozen=True, slots=True)
class Principals:
    """The Principal or NotPrincipal of a statement."""

    everyone: bool = False
    accounts: frozenset[str] = frozenset()
    arns: frozenset[str] = frozenset()
    federated: frozenset[str] = frozenset()

    def reach(self, requester: Requester) -> Reach | None:
        """How directly a Principal names the requester; None if it does not."""
        if self.everyone or (requester.federated is not None and requester.federated in self.federated):
            return Reach.DIRECT
        if requester.arn in self.arns:
            return _named(requester)
        if requester.role_arn is not None and requester.role_arn in self.arns:
            return Reach.ROLE
        if requester.account_id in self.accounts:
            return Reach.DIRECT if requester.is_root else Reach.ACCOUNT
        return None

    def excepts(self, requester: Requester, *, whole_accounts: bool) -> bool:
        """Whether a NotPrincipal leaves the requester out.

        An account in it leaves out its root user; its other principals too only with `whole_accounts`. AWS's examples
        of Deny list a user next to its account, and deny every other user of that account.
        """
        reach = self.reach(requester)
        return reach is not None and (reach is not Reach.ACCOUNT or whole_accounts)


def _named(requester: Requester) -> Reach:
    if requester.role_arn == requester.arn:
        return Reach.ROLE
    return Reach.USER if ":user/" in requester.arn else Reach.DIRECT
