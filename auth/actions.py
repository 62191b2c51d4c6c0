"""What a caller can ask to do and to what, in ECR's words, and which word of a Docker scope stands for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Action(StrEnum):
    """An action, named as AWS names it (Service Authorization Reference, Amazon Elastic Container Registry)."""

    GET_AUTHORIZATION_TOKEN = "ecr:GetAuthorizationToken"  # noqa: S105  the name of an action
    BATCH_GET_IMAGE = "ecr:BatchGetImage"
    GET_DOWNLOAD_URL_FOR_LAYER = "ecr:GetDownloadUrlForLayer"
    BATCH_CHECK_LAYER_AVAILABILITY = "ecr:BatchCheckLayerAvailability"
    LIST_IMAGES = "ecr:ListImages"
    DESCRIBE_REPOSITORIES = "ecr:DescribeRepositories"
    INITIATE_LAYER_UPLOAD = "ecr:InitiateLayerUpload"
    UPLOAD_LAYER_PART = "ecr:UploadLayerPart"
    COMPLETE_LAYER_UPLOAD = "ecr:CompleteLayerUpload"
    PUT_IMAGE = "ecr:PutImage"
    CREATE_REPOSITORY = "ecr:CreateRepository"
    BATCH_DELETE_IMAGE = "ecr:BatchDeleteImage"


class ScopeType(StrEnum):
    """The kinds of resource that a Docker scope can name here."""

    REPOSITORY = "repository"
    REGISTRY = "registry"


class ScopeWord(StrEnum):
    """An action of a Docker scope; `ALL` on a repository stands for the other three too."""

    PULL = "pull"
    PUSH = "push"
    DELETE = "delete"
    ALL = "*"


CATALOG: Final = "catalog"
ADMIN: Final = "admin"
"""The names that a scope of type registry can have: listing repositories, and the admin API."""

ADMIN_PREFIX: Final = "lading:"
"""What the actions of the admin API begin with."""

QUESTIONS: Final = frozenset({"lading:SimulatePolicy", "lading:ValidatePolicy", "lading:VerifyAuditTrail"})
"""What changes nothing, though its method is none that only reads."""

SCOPE_WORDS: Final[Mapping[str, tuple[ScopeType, ScopeWord] | None]] = MappingProxyType(
    {
        Action.GET_AUTHORIZATION_TOKEN: None,  # any token passes: regctl logs in with one that has no scope
        Action.BATCH_GET_IMAGE: (ScopeType.REPOSITORY, ScopeWord.PULL),
        Action.GET_DOWNLOAD_URL_FOR_LAYER: (ScopeType.REPOSITORY, ScopeWord.PULL),
        Action.BATCH_CHECK_LAYER_AVAILABILITY: (ScopeType.REPOSITORY, ScopeWord.PULL),
        Action.LIST_IMAGES: (ScopeType.REPOSITORY, ScopeWord.PULL),
        Action.DESCRIBE_REPOSITORIES: (ScopeType.REGISTRY, ScopeWord.ALL),
        Action.INITIATE_LAYER_UPLOAD: (ScopeType.REPOSITORY, ScopeWord.PUSH),
        Action.UPLOAD_LAYER_PART: (ScopeType.REPOSITORY, ScopeWord.PUSH),
        Action.COMPLETE_LAYER_UPLOAD: (ScopeType.REPOSITORY, ScopeWord.PUSH),
        Action.PUT_IMAGE: (ScopeType.REPOSITORY, ScopeWord.PUSH),
        Action.CREATE_REPOSITORY: (ScopeType.REPOSITORY, ScopeWord.PUSH),
        Action.BATCH_DELETE_IMAGE: (ScopeType.REPOSITORY, ScopeWord.DELETE),
    }
)
"""What a token's scope must say before it covers an action of the data plane; None where any token does."""


@dataclass(frozen=True, slots=True)
class Resource:
    """What an action is done to: a repository, or the registry itself when `repository` is None."""

    arn: str
    repository: str | None

    @classmethod
    def of_repository(cls, name: str, *, account_id: str, region: str) -> "Resource":
        """The repository of this name, whether it exists or not."""
        return cls(f"arn:aws:ecr:{region}:{account_id}:repository/{name}", name)


REGISTRY: Final = Resource("*", None)
"""The registry itself, for actions that no repository confines."""
