"""Which release of Lading this is."""

from functools import cache
from importlib import metadata


@cache
def release() -> str:
    """Version of the installed distribution; "unknown" in a tree that is not installed."""
    try:
        return metadata.version("lading")
    except metadata.PackageNotFoundError:
        return "unknown"
