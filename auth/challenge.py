"""The `WWW-Authenticate` header that tells a client where to get a token, and for what (RFC 6750, section 3)."""

from collections.abc import Iterable
from typing import Literal
from urllib.parse import quote

from auth.scopes import Scope, serialise

ChallengeError = Literal["invalid_token", "insufficient_scope"]

# What a quoted string may hold unchanged (RFC 9110, section 5.6.4); quote() keeps letters and digits by itself.
_PRINTABLE = "".join(map(chr, range(0x20, 0x7F)))


def bearer_challenge(
    realm: str, service: str, scopes: Iterable[Scope] = (), error: ChallengeError | None = None
) -> str:
    """A Bearer challenge; scope and error are left out when there is nothing to say."""
    parameters = {"realm": realm, "service": service, "scope": serialise(scopes), "error": error}
    written = ",".join(f"{name}={_quoted(value)}" for name, value in parameters.items() if value)
    return f"Bearer {written}"


def _quoted(text: str) -> str:
    """A quoted string; what a header cannot carry is percent-encoded."""
    escaped = quote(text, safe=_PRINTABLE, errors="replace").replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
