"""Putting together what the operations of the admin API work with, in a server or in a command."""

import time
from dataclasses import dataclass

from auth.authorizer import Authorizer
from auth.bootstrap import Prepared
from auth.claims import Parties
from auth.directory import Directory
from auth.key_ring import KeyRing
from auth.passwords import Passwords
from auth.principals import AnonymousMode
from auth.role_sessions import RoleSessions
from auth.tokens import TokenIssuer
from registry.admin.services import Services
from registry.audit_parts import history_of
from registry.config import Settings
from registry.config_text import listed
from registry.databases import Databases
from registry.turns import turn_of
from storage.metadata.database import Database
from storage.roots.interface import RootKeys


@dataclass(frozen=True, slots=True)
class Deciders:
    """Who knows the principals, who decides, and who signs; `parties` is whose tokens are ours."""

    directory: Directory
    authorizer: Authorizer
    ring: KeyRing
    parties: Parties
    issuer: TokenIssuer


def deciders_of(settings: Settings, prepared: Prepared, database: Database) -> Deciders:
    """Those of a registry."""
    anonymous: AnonymousMode = "push" if settings.dev else settings.auth.anonymous
    name = settings.server.public_url or prepared.registry_id
    parties, ring = Parties(name, name), KeyRing(prepared.signing_keys)
    directory = Directory(database, prepared.secrets_key, ring)
    authorizer = Authorizer(prepared.account_id, directory, anonymous)
    return Deciders(directory, authorizer, ring, parties, TokenIssuer(ring, parties, settings.auth.token_ttl))


def administration(
    settings: Settings,
    databases: Databases,
    roots: RootKeys,
    prepared: Prepared,
    passwords: Passwords,
    deciders: Deciders,
) -> Services:
    """What the operations of the admin API work with."""
    return Services(
        account_id=prepared.account_id,
        secrets_key=prepared.secrets_key,
        database=databases.registry,
        activity=databases.activity,
        passwords=passwords,
        authorizer=deciders.authorizer,
        issuer=deciders.issuer,
        role_sessions=RoleSessions(deciders.directory, deciders.authorizer, prepared.account_id),
        audit_history=history_of(databases.activity, prepared.secrets_key),
        settings=listed(settings),
        now=time.time,
        page=settings.limits.page,
        refresh_ttl_seconds=settings.auth.refresh_ttl,
        registry_id=prepared.registry_id,
        roots=roots,
        turn=turn_of(settings),
        encrypts=settings.encryption.mode != "off",
    )
