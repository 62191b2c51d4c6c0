"""The grammar of repository names, which every layer above must agree on.

Source: OCI distribution specification, "Pulling manifests". The length is what clients take together with a host name.
"""

import re

MAX_REPOSITORY_NAME = 255
REPOSITORY_NAME = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*"
_NAME = re.compile(REPOSITORY_NAME, re.ASCII)


def is_repository_name(text: str) -> bool:
    """Whether a repository can have this name."""
    return len(text) <= MAX_REPOSITORY_NAME and _NAME.fullmatch(text) is not None
