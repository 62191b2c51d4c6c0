"""Under which address a client sees this registry, and from which address it comes.

- Forwarded headers are believed only from the proxies that the settings name.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web

Network = IPv4Network | IPv6Network

_WITH_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::[0-9]+)?")


class Addresses:
    """Answers both questions for one configuration."""

    def __init__(self, public_url: str | None, trusted_proxies: Sequence[Network]) -> None:
        self._public_url = public_url
        self._trusted = tuple(trusted_proxies)

    def base_url(self, request: web.Request) -> str:
        """Scheme and host that the client used, without a slash at the end.

        It is the request's own host unless the settings name another, since go-containerregistry refuses a token
        realm on any other private address.
        """
        if self._public_url is not None:
            return self._public_url.rstrip("/")
        host = request.host
        if self._is_trusted(_peer(request)):
            host = _first(request, "X-Forwarded-Host") or host
        return f"{'https' if self.is_secure(request) else 'http'}://{host}"

    def is_secure(self, request: web.Request) -> bool:
        """Whether the client speaks TLS, to this registry or to a trusted proxy before it."""
        scheme = request.scheme
        if self._is_trusted(_peer(request)):
            scheme = _first(request, "X-Forwarded-Proto") or scheme
        return scheme == "https"

    def is_proxied(self, request: web.Request) -> bool:
        """Whether the connection is one of a trusted proxy, which stands for clients and not for itself."""
        return self._is_trusted(_peer(request))

    def client(self, request: web.Request) -> str:
        """The address of the client: the last one that is no trusted proxy."""
        peer = _peer(request)
        if not self._is_trusted(peer):
            return peer
        for forwarded in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
            address = _without_port(forwarded.strip())
            if address and not self._is_trusted(address):
                return address
        return peer

    def _is_trusted(self, text: str) -> bool:
        if not self._trusted:
            return False
        try:
            address = _plain(text)
        except ValueError:
            return False
        return any(address in network for network in self._trusted)


def _without_port(text: str) -> str:
    """An address without the port that some proxies add to it, by which each connection would be another client."""
    found = _WITH_PORT.fullmatch(text)
    return text if found is None else found[1] or found[2]


def _plain(text: str) -> IPv4Address | IPv6Address:
    address = ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def _peer(request: web.Request) -> str:
    return request.remote or ""


def _first(request: web.Request, name: str) -> str:
    return request.headers.get(name, "").partition(",")[0].strip()
