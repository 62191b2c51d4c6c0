"""Texts of strangers, such that a person, a terminal, a file or a database can take them."""

import re
from typing import Final

_HOSTILE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def inert(text: str, most: int) -> str:
    """A text that does nothing but being read, in any terminal, file or database; at most so many characters of it."""
    if len(text) > most:
        text = text[:most]
    if text.isascii() and text.isprintable():
        return text
    return _HOSTILE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
