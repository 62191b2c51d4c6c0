"""What tests of uploads share: a blob, bodies of unknown length, and what lies on the disk."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from tests.http.client import Registry

BLOB: Final = b"the bytes of a blob"


def staged(registry: Registry) -> list[Path]:
    return [path for path in (registry.root / "uploads").rglob("*") if path.is_file()]


def stored(registry: Registry) -> list[Path]:
    return [path for path in (registry.root / "blobs").rglob("[!.]*") if path.is_file()]


def with_query(location: str, query: str) -> str:
    """Add a parameter as clients do, whatever the location has already."""
    return f"{location}{'&' if '?' in location else '?'}{query}"


async def pieces(*contents: bytes) -> AsyncIterator[bytes]:
    """A body of unknown length."""
    for content in contents:
        yield content
