"""What each key that the database keeps is bound to when it is wrapped: a key in another's place does not unwrap.

A key management service shows these words in its own trail and can make them a condition of its policies.
"""

from collections.abc import Mapping


def domain_key_context(registry_id: str, domain: str, version: int) -> Mapping[str, str]:
    """Of one version of a domain's key."""
    return {"registry": registry_id, "domain": domain, "version": str(version)}


def secrets_key_context(registry_id: str) -> Mapping[str, str]:
    """Of the secrets key, which seals the registry's own secrets."""
    return {"purpose": "secrets-key", "registry": registry_id}
