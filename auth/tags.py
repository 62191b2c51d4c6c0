"""Tags of principals and repositories: names with values that conditions of policies can ask for.

Source of the bounds: IAM User Guide, "Tags for IAM resources"; Amazon ECR API, `Tag`.
"""

import json
from collections.abc import Mapping
from typing import Final

from auth.credentials import has_control_characters
from auth.errors import TagsInvalid

_MOST: Final = 50
_MOST_NAME_CHARACTERS: Final = 128
_MOST_VALUE_CHARACTERS: Final = 256


def write_tags(tags: Mapping[str, str]) -> str:
    """Tags as the database keeps them; raises TagsInvalid."""
    if len(tags) > _MOST:
        raise TagsInvalid
    for name, value in tags.items():
        if not 0 < len(name) <= _MOST_NAME_CHARACTERS or len(value) > _MOST_VALUE_CHARACTERS:
            raise TagsInvalid
        if has_control_characters(name + value):
            raise TagsInvalid
    return json.dumps(dict(tags), sort_keys=True, ensure_ascii=False)


def read_tags(text: str) -> dict[str, str]:
    """Tags from the database."""
    tags: dict[str, str] = json.loads(text)
    return tags
