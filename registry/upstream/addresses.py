"""Which addresses a request that somebody else had a say in may go to.

- What is listed nowhere as public is private; an address within an address counts as what it leads to, or not at all.
- Source: IANA special-purpose address registries (RFC 6890 and its successors).
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address


def _networks(*texts: str) -> tuple[Network, ...]:
    return tuple(map(ip_network, texts))


_PRIVATE: Final = _networks(
    *("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8"),
    *("::1/128", "fc00::/7"),
)
"""Where an administrator may have something of their own."""

_NOWHERE: Final = _networks(
    *("0.0.0.0/8", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24"),
    *("203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4"),
    # Where clouds answer machines about themselves, credentials included.
    *("169.254.0.0/16", "168.63.129.16/32", "100.100.100.200/32", "fd00:ec2::254/128", "fd20:ce::254/128"),
    # Protocol assignments and tunnels (Teredo, 6to4): they lead to IPv4 addresses that nobody checked.
    *("2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"),
)
"""Where nothing is that anybody should be asked at."""

_GLOBAL: Final = ip_network("2000::/3")
"""All of IPv6 that is assigned for hosts."""


def is_allowed(text: str, *, allow_private: bool) -> bool:
    """Whether a connection to this address may be made; False for what is no address at all."""
    try:
        address = ip_address(text)
    except ValueError:
        return False
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return is_allowed(str(address.ipv4_mapped), allow_private=allow_private)
        if address.scope_id is not None:
            return False
    if _is_in(address, _NOWHERE):
        return False
    if _is_in(address, _PRIVATE):
        return allow_private
    return isinstance(address, IPv4Address) or address in _GLOBAL


def _is_in(address: Address, networks: Iterable[Network]) -> bool:
    return any(address in network for network in networks)
