"""Assuming a role: a user, or another role, becomes it for a while.

- The trust policy of the role must allow the caller, and the caller's own policies must where trust is given to the
  account as a whole.
- The root user assumes no role: it may do everything anyway, and its traces would be those of the role.
- A role that is not there and one that may not be assumed look the same.
- A session ends with the tokens of whoever opened it: with a user who is disabled or given another password, and with
  the sessions of the role that it was opened in.
- Source: AWS Security Token Service, AssumeRole.
"""

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from auth.actions import Resource
from auth.authorizer import ASSUME_ROLE, NO_FACTS, Authorizer, Decision, Facts
from auth.callers import Caller
from auth.directory import TRUST_POLICY_OF, Directory, User
from auth.errors import AccessDenied, CredentialsMissing, SessionInvalid, TokenInvalid
from auth.policy.document import PolicyKind
from auth.policy.evaluation import Outcome
from auth.policy.parsing import parse_policy
from auth.principals import Principal, PrincipalKind, Session, opened_at
from auth.role_names import check_session_name, role_name

LEAST_SECONDS: Final = 900
_DEFAULT_SECONDS: Final = 3600
_MOST_CHAINED_SECONDS: Final = 3600
_MOST_POLICY_CHARACTERS: Final = 2048
_NO_TRUST: Final = "no role by this name trusts it, or its own policies do not let it assume the role"
_ROOT: Final = "the root user assumes no role: use a user of its account"


class RoleSessions:
    """Gives roles to who has logged in."""

    def __init__(
        self, directory: Directory, authorizer: Authorizer, account_id: str, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._authorizer = authorizer
        self._account_id = account_id
        self._now = now

    async def assume(
        self,
        caller: Caller,
        role: str,
        session_name: str,
        *,
        policy: str | None = None,
        seconds: int | None = None,
        facts: Facts = NO_FACTS,
    ) -> Caller:
        """The role, given by name or ARN, in a session of this name that lasts so many seconds, an hour by default.

        `policy` is a document that limits the session further; `facts` are those of the request. A session ends no
        later than the credentials it was opened with, and one opened by another role's lasts an hour at most. Raises
        SessionInvalid, PolicyInvalid, AccessDenied, CredentialsMissing, or TokenInvalid for a bearer token.
        """
        _require_own_credentials(caller)
        check_session_name(session_name)
        if policy is not None:
            _check_policy(policy)
        await self._directory.refresh()
        found = await self._require_trust(caller.principal, role, {**facts, "sts:RoleSessionName": session_name})
        now = self._now()
        expires_at = now + _duration(caller, found, seconds)
        session = Session(session_name, (opened_at(now),), () if policy is None else (policy,))
        return Caller(
            Principal(self._account_id, found.principal.name, PrincipalKind.ROLE, session),
            valid_after=max(found.valid_after, caller.valid_after),
            expires_at=expires_at if caller.expires_at is None else min(expires_at, caller.expires_at),
            access_key=caller.access_key,
            stored_token=caller.stored_token,
            authorizations=caller.authorizations,
            opened_by=tuple(dict.fromkeys((*caller.opened_by, replace(caller.principal, session=None)))),
            credential=caller.credential,
            credential_id=caller.credential_id,
        )

    async def _require_trust(self, principal: Principal, role: str, facts: Facts) -> User:
        name = role_name(role, self._account_id)
        arn = role if name is None else Principal(self._account_id, name, PrincipalKind.ROLE).role_arn
        if principal.kind is PrincipalKind.ROOT:
            raise AccessDenied(principal, ASSUME_ROLE, Resource(arn, None), _ROOT)
        found = None if name is None else await self._directory.role(name)
        trust = None if found is None else self._directory.trust_policy(found)
        if found is None or trust is None:
            raise _refusal(principal, arn, None)
        decision = await self._authorizer.authorize_role(principal, arn, trust, facts)
        if not decision.allowed:
            raise _refusal(principal, arn, decision)
        return found


def _require_own_credentials(caller: Caller) -> None:
    if caller.principal.kind is PrincipalKind.ANONYMOUS:
        raise CredentialsMissing
    if caller.ceiling is not None:
        # A stolen token must end with its own expiry and stay under its own ceiling.
        reason = "a role is not assumed with it: use a user name and a password"
        raise TokenInvalid(reason)


def _check_policy(policy: str) -> None:
    if len(policy) > _MOST_POLICY_CHARACTERS:
        reason = f"its policy is longer than {_MOST_POLICY_CHARACTERS} characters"
        raise SessionInvalid(reason)
    parse_policy(policy, PolicyKind.IDENTITY)


def _duration(caller: Caller, role: User, seconds: int | None) -> int:
    most = role.max_session_seconds
    if caller.principal.kind is PrincipalKind.ROLE:
        most = min(most, _MOST_CHAINED_SECONDS)
    if seconds is None:
        return min(_DEFAULT_SECONDS, most)
    if not LEAST_SECONDS <= seconds <= most:
        reason = f"it can last {LEAST_SECONDS} to {most} seconds"
        raise SessionInvalid(reason)
    return seconds


def _refusal(principal: Principal, arn: str, decision: Decision | None) -> AccessDenied:
    """Name a statement of the caller's own policies that denies, but none of a role's that it may not know of."""
    matches = () if decision is None or decision.outcome is not Outcome.EXPLICIT_DENY else decision.matches
    denied_by = next((match for match in matches if not match.policy.startswith(TRUST_POLICY_OF)), None)
    return AccessDenied(principal, ASSUME_ROLE, Resource(arn, None), _NO_TRUST, denied_by)
