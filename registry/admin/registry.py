"""The registry as a whole: its settings, its size in numbers, and what it would decide."""

from functools import partial
from typing import Any, Literal, Self

from pydantic import Field, model_validator

from auth.accounts import require_role
from auth.actions import REGISTRY, Resource
from auth.principals import ANONYMOUS, Principal, PrincipalKind, Session
from registry.admin.documents import Model, Name
from registry.admin.operation import Call, Operation
from registry.admin.services import Services
from storage.metadata import statistics
from storage.names import is_repository_name


class Setting(Model):
    """A setting as it is in force; what may hold a password is masked."""

    key: str
    value: Any = Field(description="A string, number, Boolean, list or null.")
    is_default: bool
    description: str


class Settings(Model):
    """Every setting."""

    items: list[Setting]


class Statistics(Model):
    """How much there is."""

    repositories: int
    manifests: int
    image_tags: int
    blobs: int
    blob_bytes: int
    users: int
    roles: int
    groups: int
    policies: int
    access_keys: int
    open_uploads: int


class Question(Model):
    """A request to decide without making it: by a user, by a role, or by nobody known (both left out)."""

    user: Name | None = None
    role: Name | None = None
    action: str = Field(min_length=1, max_length=128, pattern=r"^[a-z0-9-]+:[A-Za-z*?]+$", examples=["ecr:PutImage"])
    resource: str = Field(
        default="*", max_length=512, description="A repository's name, an ARN, or * for the registry."
    )
    context: dict[str, str] = Field(default_factory=dict, max_length=100, description="Condition keys and values.")

    @model_validator(mode="after")
    def _one_asker(self) -> Self:
        if self.user is not None and self.role is not None:
            raise ValueError("ask about a user or about a role")
        return self


class Statement(Model):
    """A statement that decided."""

    policy: str
    sid: str | None
    index: int
    effect: str


class Decided(Model):
    """A decision, the statements that made it, and the reason in words."""

    decision: Literal["allowed", "explicitDeny", "implicitDeny"]
    statements: list[Statement]
    reason: str
    disabled: bool = Field(description="Whether the user is disabled, and so refused whatever policies say.")


async def _settings(services: Services, call: Call[None, None]) -> Settings:  # noqa: ARG001 (an operation's signature)
    return Settings.model_validate({"items": services.settings})


async def _statistics(services: Services, call: Call[None, None]) -> Statistics:  # noqa: ARG001 (an operation's signature)
    counted = await services.database.scan(statistics.count_registry)
    uploads = await services.activity.scan(statistics.count_uploads)
    return Statistics(**counted, open_uploads=uploads)


async def _simulate(services: Services, call: Call[Question, None]) -> Decided:
    asked = call.body
    principal, is_disabled = await _principal(services, asked)
    resource = resource_named(services, asked.resource)
    decision = await services.authorizer.authorize(principal, asked.action, resource, asked.context)
    statements = [
        Statement(policy=match.policy, sid=match.sid, index=match.index, effect=match.effect.value)
        for match in decision.matches
    ]
    return Decided(decision=decision.outcome.value, statements=statements, reason=decision.reason, disabled=is_disabled)


async def _principal(services: Services, asked: Question) -> tuple[Principal, bool]:
    """Whom a question is about, and whether it is disabled; raises NotThere."""
    if asked.user is not None:
        user = await services.accounts.user(asked.user)
        return Principal(user.account_id, user.name, PrincipalKind(user.kind)), user.is_disabled
    if asked.role is None:
        return ANONYMOUS, False
    role = await services.database.read(partial(require_role, name=asked.role))
    return Principal(role.account_id, role.name, PrincipalKind.ROLE, Session("simulation")), False


def resource_named(services: Services, text: str) -> Resource:
    """What a person calls a resource: a repository's name, an ARN, or `*`."""
    if text == REGISTRY.arn:
        return REGISTRY
    if is_repository_name(text):
        return services.authorizer.repository(text)
    name = text.partition(":repository/")[2]
    return Resource(text, name if is_repository_name(name) else None)


SETTINGS = Operation(
    name="GetSettings", method="GET", path="/settings", summary="Show every setting in force.",
    perform=_settings, answer=Settings,
)  # fmt: skip
STATISTICS = Operation(
    name="GetStatistics", method="GET", path="/statistics", summary="Count what the registry holds.",
    perform=_statistics, answer=Statistics,
)  # fmt: skip
SIMULATE = Operation(
    name="SimulatePolicy", method="POST", path="/simulation",
    summary="Say what would be decided, and by which statements.",
    perform=_simulate, body=Question, answer=Decided,
)  # fmt: skip

OPERATIONS = (SETTINGS, STATISTICS, SIMULATE)
