"""Putting together what the operations of the admin API work with, in a server or in a command."""

import time

from auth.authorizer import Authorizer
from auth.bootstrap import Prepared
from auth.passwords import Passwords
from registry.admin.services import Services
from registry.config import Settings
from registry.config_text import listed
from registry.databases import Databases


def administration(
    settings: Settings, databases: Databases, prepared: Prepared, passwords: Passwords, authorizer: Authorizer
) -> Services:
    """What the operations of the admin API work with, in a server or in a command."""
    return Services(
        account_id=prepared.account_id,
        root_key=prepared.root_key,
        database=databases.registry,
        activity=databases.activity,
        passwords=passwords,
        authorizer=authorizer,
        settings=listed(settings),
        now=time.time,
        page=settings.limits.page,
        refresh_ttl_seconds=settings.auth.refresh_ttl,
    )
