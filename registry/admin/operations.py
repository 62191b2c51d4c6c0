"""Every operation of the admin API."""

from typing import Final

from registry.admin import (
    access_keys,
    attachments,
    audit,
    encryption,
    groups,
    identity_providers,
    policies,
    registry,
    repositories,
    roles,
    service_tokens,
    sessions,
    signing_keys,
    users,
)
from registry.admin.operation import AnyOperation

OPERATIONS: Final[tuple[AnyOperation, ...]] = (
    *users.OPERATIONS,
    *access_keys.OPERATIONS,
    *groups.OPERATIONS,
    *roles.OPERATIONS,
    *identity_providers.OPERATIONS,
    *attachments.OPERATIONS,
    *policies.OPERATIONS,
    *repositories.OPERATIONS,
    *service_tokens.OPERATIONS,
    *signing_keys.OPERATIONS,
    *encryption.OPERATIONS,
    *sessions.OPERATIONS,
    *audit.OPERATIONS,
    *registry.OPERATIONS,
)
