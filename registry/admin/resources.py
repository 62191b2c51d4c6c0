"""What an operation of the admin API is done to, as policies name it."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from auth.actions import REGISTRY, Resource
from registry.admin.operation import AnyOperation
from registry.admin.services import Services

_REPOSITORY: Final = "repository"
_IAM: Final = {
    "user": "user",
    "group": "group",
    "role": "role",
    "policy": "policy",
    "provider": "oidc-provider",
}
"""How IAM's ARNs call each kind of thing that a path names."""


def resource_of(
    operation: AnyOperation, services: Services, names: Mapping[str, str], body: BaseModel | None
) -> Resource:
    """The first thing that the path names, or what the body names that is to be made; else the registry."""
    kind, name = "", ""
    if operation.named_by is not None and body is not None:
        kind, member = operation.named_by
        name = str(getattr(body, member))
    elif operation.placeholders:
        kind = operation.placeholders[0]
        name = names[kind]
    if kind == _REPOSITORY:
        return services.authorizer.repository(name)
    if kind not in _IAM:
        return REGISTRY
    return Resource(f"arn:aws:iam::{services.account_id}:{_IAM[kind]}/{name}", None)
