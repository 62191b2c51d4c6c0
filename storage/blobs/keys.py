"""The keys of stored copies and the ids of uploads, the same in every store, so that content can move between stores.

    <algorithm>/<first two hex>/<next two hex>/<hex>.<suffix>                  a copy whose digest was known first
    upload/<first two characters>/<next two>/<upload id>.<suffix>              one that was in place before it was

No text from outside is looked up in a store before it matched one of these patterns.
"""

import re
from typing import Final

from storage.digest import Digest

_ID: Final = r"[0-9a-f]{32}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
_KEY: Final = re.compile(
    r"(?:sha256/([0-9a-f]{2})/([0-9a-f]{2})/\1\2[0-9a-f]{60}"
    r"|sha512/([0-9a-f]{2})/([0-9a-f]{2})/\3\4[0-9a-f]{124}"
    rf"|upload/([0-9a-f]{{2}})/([0-9a-f]{{2}})/(?=\5\6)(?:{_ID}))"
    r"\.[0-9a-z]{1,64}"
)
_UPLOAD_ID: Final = re.compile(_ID)
_UPLOADS: Final = "upload/"


def key_of(digest: Digest, suffix: str) -> str:
    """The key of one stored copy of the bytes that a digest names."""
    return f"{digest.algorithm.value}/{digest.hex[:2]}/{digest.hex[2:4]}/{digest.hex}.{suffix}"


def key_of_upload(upload_id: str, suffix: str) -> str:
    """The key of one stored copy of the bytes of an upload."""
    return f"{_UPLOADS}{upload_id[:2]}/{upload_id[2:4]}/{upload_id}.{suffix}"


def upload_of(key: str) -> str | None:
    """The upload that a key is named after, None for one that is named after a digest."""
    return key.rpartition("/")[2].partition(".")[0] if key.startswith(_UPLOADS) and is_key(key) else None


def is_key(text: str) -> bool:
    """Whether a text can be the key of a stored copy."""
    return _KEY.fullmatch(text) is not None


def is_upload_id(text: str) -> bool:
    """Whether a text is a UUID in lower-case hex, with or without dashes."""
    return _UPLOAD_ID.fullmatch(text) is not None
