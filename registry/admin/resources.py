"""What an operation of the admin API is done to, as policies name it."""

from collections.abc import Mapping
from typing import Final

from pydantic import BaseModel

from auth.actions import REGISTRY, Resource
from auth.authorizer import REGION
from auth.bootstrap import ROOT_USER
from auth.principals import Principal, PrincipalKind
from registry.admin.operation import AnyOperation
from registry.admin.services import Services

_REPOSITORY: Final = "repository"
_DOMAIN: Final = "domain"
_IAM: Final = {
    "user": "user",
    "group": "group",
    "role": "role",
    "policy": "policy",
    "provider": "oidc-provider",
}
"""How IAM's ARNs call each kind of thing that a path names."""


def root_of(account_id: str) -> Resource:
    """The root user, who is none of the users that `user/*` stands for."""
    return Resource(Principal(account_id, ROOT_USER, PrincipalKind.ROOT).arn, None)


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
    if kind == "user" and name == ROOT_USER:
        return root_of(services.account_id)
    if kind == _REPOSITORY:
        return services.authorizer.repository(name)
    if kind == _DOMAIN:
        return Resource(f"arn:aws:ecr:{REGION}:{services.account_id}:encryption-domain/{name}", None)
    if kind not in _IAM:
        return REGISTRY
    prefix = f"arn:aws:iam::{services.account_id}:{_IAM[kind]}/"
    # A role may be named by its ARN where it is assumed.
    return Resource(prefix + name.removeprefix(prefix), None)
