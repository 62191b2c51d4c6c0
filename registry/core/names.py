"""Names of repositories and tags: the grammar of the OCI distribution specification, "Pulling manifests"."""

import re
from dataclasses import dataclass
from typing import Self

from registry.core.errors import NameInvalid, TagInvalid
from storage.digest import Digest
from storage.names import is_repository_name

_TAG = re.compile(r"[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}", re.ASCII)
# Length limits of the referrers tag schema, in the specification's section of that name.
_ALGORITHM_PART, _ENCODED_PART = 32, 64


@dataclass(frozen=True, slots=True)
class RepositoryName:
    """The name of a repository."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a name; raises NameInvalid."""
        if not is_repository_name(text):
            raise NameInvalid(text)
        return cls(text)

    def __str__(self) -> str:
        """The name as it is written in a path."""
        return self.text


@dataclass(frozen=True, slots=True)
class Tag:
    """The name of a tag."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read a tag; raises TagInvalid."""
        if not _TAG.fullmatch(text):
            raise TagInvalid(text)
        return cls(text)

    def __str__(self) -> str:
        """The tag as it is written in a path."""
        return self.text


def parse_reference(text: str) -> Tag | Digest:
    """Read what names a manifest: a digest if it holds a colon, else a tag; raises DigestInvalid or TagInvalid."""
    return Digest.parse(text) if ":" in text else Tag.parse(text)


def referrers_tag(subject: Digest) -> Tag:
    """The tag under which clients keep referrers on registries that have no referrers API."""
    return Tag(f"{subject.algorithm.value[:_ALGORITHM_PART]}-{subject.hex[:_ENCODED_PART]}")
