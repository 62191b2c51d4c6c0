"""Which user a connection's client certificate names.

- The handshake has verified the certificate; what is asked here is whether it speaks for this request.
- That of a trusted proxy is the proxy's own, and says nothing of its clients.
- A browser shows a certificate with whatever another site makes it send: such a request comes without one.
"""

import ssl
from typing import Any, Final

from aiohttp import web

from auth.errors import CredentialsInvalid
from registry.http.addresses import Addresses

_OWN_SITES: Final = frozenset({"none", "same-origin"})


def certificate_name(request: web.Request, addresses: Addresses, now: float) -> str | None:
    """The common name of the certificate that the client showed, None where it showed none.

    Raises CredentialsInvalid for a certificate that has expired since, or has not exactly one common name.
    """
    certificate = None if request.transport is None else request.transport.get_extra_info("peercert")
    if not certificate or addresses.is_proxied(request):
        return None
    if request.headers.get("Sec-Fetch-Site", "none") not in _OWN_SITES:
        return None
    if now >= ssl.cert_time_to_seconds(certificate["notAfter"]):
        reason = "the client certificate has expired"
        raise CredentialsInvalid(reason)
    return _common_name(certificate)


def _common_name(certificate: dict[str, Any]) -> str:
    names = [value for part in certificate["subject"] for kind, value in part if kind == "commonName"]
    if len(names) != 1:
        reason = "the client certificate names no user: its subject must have exactly one common name"
        raise CredentialsInvalid(reason)
    name: str = names[0]
    return name
