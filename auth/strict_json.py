"""JSON from strangers, read so that no two readers can disagree about what it says."""

import json
from typing import Any

import orjson


def read_object(text: bytes) -> dict[str, Any]:
    """The object that a text is; raises ValueError for anything else.

    No member stands twice, no text holds half a character, no number is NaN, and nothing nests too deep for a reader.
    """
    try:
        orjson.loads(text)  # stricter than the library's, but for members that stand twice
        found = json.loads(text, object_pairs_hook=_without_repetition)
    except RecursionError as error:
        message = "it nests too deep"
        raise ValueError(message) from error
    if not isinstance(found, dict):
        message = "it is no JSON object"
        raise ValueError(message)  # noqa: TRY004  what is wrong is the text
    return found


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        message = "a member stands twice in it"
        raise ValueError(message)
    return members
