"""Bodies as documents: strict JSON, in which no member stands twice and nothing is there that the schema has not."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError

from registry.admin.facts import RequestInvalid

Read = TypeVar("Read", bound=BaseModel)

_MOST_PROBLEMS: Final = 100


def read_document(model: type[Read], content: bytes) -> Read:
    """The document in a body; raises RequestInvalid."""
    try:
        document = model.model_validate_json(content)
    except ValidationError as error:
        raise RequestInvalid(_problems_of(error)) from error
    # Depth and encoding were checked above. Which of two members counts, two readers could see differently.
    json.loads(content, object_pairs_hook=_members, parse_constant=_refuse_constant)
    return document


def read_query(model: type[Read], given: Mapping[str, str]) -> Read:
    """The parameters of a URL; raises RequestInvalid."""
    try:
        return model.model_validate_strings(given)
    except ValidationError as error:
        raise RequestInvalid(_problems_of(error)) from error


def _problems_of(error: ValidationError) -> list[dict[str, str]]:
    """What is wrong and where, without what was sent."""
    found = error.errors(include_url=False, include_context=False, include_input=False)
    return [
        {"field": ".".join(map(str, each["loc"])), "message": each["msg"].removeprefix("Value error, ")}
        for each in found[:_MOST_PROBLEMS]
    ]


def _members(pairs: Sequence[tuple[str, Any]]) -> None:
    seen: set[str] = set()
    for name, _ in pairs:
        if name in seen:
            raise RequestInvalid([{"field": name[:64], "message": "give it once"}])
        seen.add(name)


def _refuse_constant(name: str) -> None:
    raise RequestInvalid([{"field": "", "message": f"{name} is not JSON"}])
