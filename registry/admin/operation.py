"""An operation of the admin API is a row: its action, path, documents, and the function that does it.

- Routes, the OpenAPI document and the commands are all made from the rows, so that they cannot tell three stories.
- An operation knows no HTTP and decides no access: that was done before it is called.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from pydantic import BaseModel

from auth.authorizer import NO_FACTS, Facts
from auth.callers import Caller
from registry.admin.services import Services

if TYPE_CHECKING:
    from sqlalchemy import Connection

Body = TypeVar("Body", bound=BaseModel | None)
Query = TypeVar("Query", bound=BaseModel | None)

ROOT: Final = "/admin/v1"

Load = Callable[["Connection", Mapping[str, str]], BaseModel]
"""Reads what an operation changes, in the transaction that changes it, so that a client's precondition holds."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Body, Query]):
    """One use of an operation: the names in its path, its query and body, who asks, and how."""

    names: Mapping[str, str]
    query: Query
    body: Body
    caller: Caller
    facts: Facts = field(default_factory=lambda: NO_FACTS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation(Generic[Body, Query]):
    """One row.

    `named_by` is for operations whose path names nothing yet: the kind of thing that is made, and the member of the
    body that names it. An operation with `load` has an entity tag and takes If-Match.
    """

    name: str
    method: str
    path: str
    summary: str
    perform: Callable[[Services, Call[Body, Query]], Awaitable[BaseModel | None]]
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    status: int = 200
    named_by: tuple[str, str] | None = None
    load: Load | None = None
    action_name: str | None = None
    placeholders: tuple[str, ...] = field(init=False)

    def __post_init__(self) -> None:
        """Find what the path names."""
        parts = self.path.split("/")
        names = tuple(part[1:-1] for part in parts if part.startswith("{"))
        object.__setattr__(self, "placeholders", names)

    @property
    def action(self) -> str:
        """What a policy must allow."""
        return self.action_name or f"lading:{self.name}"

    @property
    def is_read(self) -> bool:
        """Whether the operation changes nothing."""
        return self.method == "GET"


AnyOperation = Operation[Any, Any]
