"""Putting together who checks credentials, who decides access, and who issues tokens."""

import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from typing import Final

from auth.authenticator import Authenticator
from auth.bearers import Bearers
from auth.bootstrap import Prepared
from auth.directory import Directory
from auth.key_discovery import DiscoveredKeys
from auth.last_use import LastUse
from auth.login_counts import SharedCounts
from auth.logins import Logins
from auth.passwords import Passwords
from auth.recent_logins import RecentLogins
from auth.revocations import Revocations
from auth.signing_keys import SigningKeys
from auth.stored_tokens import StoredTokens
from auth.throttle import Throttle
from auth.tokens import TokenVerifier
from auth.web_identity import WebIdentities
from registry.administration import Deciders
from registry.config import Settings
from registry.http.access import Access
from registry.http.addresses import Addresses
from registry.jobs.scheduler import Job
from registry.oci.token import PublishedKeys, TokenService
from registry.upstream.documents import Documents
from storage.metadata.database import Database

SERVICE: Final = "lading"
"""What challenges call the service; token requests may leave it out."""


@dataclass(frozen=True, slots=True)
class Defence:
    """What watches over logins, for whoever checks them against a directory."""

    passwords: Passwords
    counts: SharedCounts
    last_use: LastUse
    logins: Callable[[Directory], Logins]


async def open_defence(settings: Settings, prepared: Prepared, activity: Database, stack: AsyncExitStack) -> Defence:
    """What watches over logins; what it opens is closed with the stack."""
    counts, last_use = SharedCounts(activity, time.time), LastUse(activity, time.time)
    await stack.enter_async_context(last_use.written())
    passwords = Passwords()
    stack.callback(passwords.close)
    throttle = Throttle(
        counts, prepared.secrets_key, settings.limits.login_attempts, now=time.time, recent=RecentLogins()
    )
    return Defence(passwords, counts, last_use, partial(Logins, passwords, throttle))


def open_access(
    settings: Settings, prepared: Prepared, deciders: Deciders, defence: Defence, stack: AsyncExitStack
) -> tuple[Access, TokenService, PublishedKeys]:
    """Who decides access, who issues tokens, and the keys that others verify them with."""
    directory, authorizer = deciders.directory, deciders.authorizer
    documents = Documents()
    stack.push_async_callback(documents.close)
    identities = WebIdentities(directory, DiscoveredKeys(documents.fetch), prepared.account_id)
    bearers = Bearers(directory, TokenVerifier(deciders.ring, deciders.parties))
    authenticator = Authenticator(directory, bearers, defence.logins(directory), identities)
    addresses = Addresses(settings.server.public_url, settings.server.trusted_proxies)
    stored = StoredTokens(directory.database, settings.auth.refresh_ttl, time.time)
    return (
        Access(authenticator, authorizer, addresses, defence.last_use, SERVICE),
        TokenService(authenticator, authorizer, deciders.issuer, stored, defence.last_use, settings.auth.services),
        PublishedKeys(directory, deciders.ring),
    )


def credential_jobs(settings: Settings, registry: Database, prepared: Prepared, defence: Defence) -> tuple[Job, ...]:
    """What removes credentials and counts of logins that have had their time."""
    stored = StoredTokens(registry, settings.auth.refresh_ttl, time.time)
    revocations = Revocations(registry, time.time)
    signing_keys = SigningKeys(registry, prepared.secrets_key, time.time)

    async def sweep_tokens() -> None:
        await stored.sweep()
        await revocations.sweep()
        await signing_keys.sweep()

    return (
        Job("sweep-tokens", every_seconds=3600, run=sweep_tokens),
        Job("sweep-login-failures", every_seconds=300, run=defence.counts.sweep),
        Job("sweep-last-uses", every_seconds=86_400, run=partial(defence.last_use.forget_missing, registry)),
    )
