"""Web identity: a program that its platform vouches for becomes a role, for a while and without a stored secret.

- The provider's keys must verify the token, and the role's trust policy must allow its claims.
- A role that is not there and one that may not be assumed look the same, so that a stranger learns of no role.
- Source: AWS Security Token Service, AssumeRoleWithWebIdentity; IAM User Guide, "Create a role for OpenID Connect
  federation" and "Available keys for AWS OIDC federation".
"""

import time
from collections.abc import Callable
from typing import Final, NoReturn

from auth.authorizer import NO_FACTS, Facts
from auth.callers import Caller, CredentialKind
from auth.directory import Directory, User
from auth.errors import WebIdentityInvalid
from auth.identity_claims import CLAIM_PREFIX, bound_facts, facts_of_claims
from auth.identity_tokens import Identity, audiences_of, read_token, verify_token
from auth.key_discovery import DiscoveredKeys
from auth.policy.context import Context
from auth.policy.document import Request
from auth.policy.evaluation import Policies, evaluate
from auth.policy.requesters import Requester
from auth.principals import Fact, Principal, PrincipalKind, Session, opened_at
from auth.role_names import check_session_name, role_name, session_name_of

_ASSUME_ROLE: Final = "sts:AssumeRoleWithWebIdentity"
_PROVIDER_FACT: Final = "aws:FederatedProvider"


class WebIdentities:
    """Gives roles to who comes with an identity token."""

    def __init__(
        self, directory: Directory, keys: DiscoveredKeys, account_id: str, now: Callable[[], float] = time.time
    ) -> None:
        self._directory = directory
        self._keys = keys
        self._account_id = account_id
        self._now = now

    async def caller(
        self, role: str, identity_token: str, session_name: str | None = None, *, facts: Facts = NO_FACTS
    ) -> Caller:
        """The role, given by name or ARN, in a session of who the token is about; `facts` are those of the request.

        The session lasts as long as the role's sessions may, whenever the token ends. Raises WebIdentityInvalid,
        KeysUnavailable, or SessionInvalid for a name of a session that cannot be one.
        """
        if session_name is not None:
            check_session_name(session_name)
        identity = await self._identify(identity_token)
        # Fetching keys may have taken seconds: what is decided rests on what is so after it.
        await self._directory.refresh()
        name = role_name(role, self._account_id)
        found = None if name is None else await self._directory.role(name)
        if found is None:
            _refuse()
        named = session_name or session_name_of(identity.subject)
        claims = facts_of_claims(identity.claims)
        self._require_trust(found, identity, {**facts, **self._asked(identity, claims, named)})
        now = self._now()
        session = Session(named, (*self._kept(identity, claims), opened_at(now)))
        return Caller(
            Principal(self._account_id, found.principal.name, PrincipalKind.ROLE, session),
            valid_after=found.valid_after,
            expires_at=now + found.max_session_seconds,
            credential=CredentialKind.WEB_IDENTITY,
        )

    async def _identify(self, text: str) -> Identity:
        token = read_token(text)
        await self._directory.refresh()
        provider = await self._directory.identity_provider(token.issuer)
        if provider is None:
            _refuse()
        keys = await self._keys.of(provider, token.kid)
        return verify_token(token, provider, keys, self._now())

    def _require_trust(self, role: User, identity: Identity, facts: Facts) -> None:
        trust = self._directory.trust_policy(role)
        provider = identity.provider.arn(self._account_id)
        # Not the subject: an issuer may call somebody what a user or session here is called.
        requester = Requester(provider, "", federated=provider)
        asked = Request(requester, _ASSUME_ROLE, role.principal.role_arn, Context(facts))
        if trust is None or not evaluate(asked, Policies(resource=trust)).allowed:
            _refuse()

    def _asked(self, identity: Identity, claims: Facts, session_name: str) -> dict[str, Fact]:
        """What a trust policy can ask of a token: its claims, as IAM names them and as policies of sessions do."""
        provider = identity.provider
        by_provider = {f"{provider.name}:{name}": value for name, value in claims.items()}
        by_provider[f"{provider.name}:aud"] = tuple(audiences_of(identity.claims))
        own = {f"{CLAIM_PREFIX}{name}": value for name, value in claims.items()}
        return {
            **by_provider,
            **own,
            _PROVIDER_FACT: provider.arn(self._account_id),
            "sts:RoleSessionName": session_name,
        }

    def _kept(self, identity: Identity, claims: Facts) -> tuple[tuple[str, Fact], ...]:
        return (*bound_facts(claims), (_PROVIDER_FACT, identity.provider.arn(self._account_id)))


def _refuse() -> NoReturn:
    message = "no role by this name trusts it"
    raise WebIdentityInvalid(message)
