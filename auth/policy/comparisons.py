"""The values of conditions that are more than text: numbers, instants, booleans, bytes and addresses."""

import re
from base64 import b64decode
from binascii import Error as Base64Error
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

_NUMBER = re.compile(r"[+-]?[0-9]{1,40}(?:\.[0-9]{1,40})?")
_DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>[0-9]{2})(?:-(?P<day>[0-9]{2})"
    r"(?:T(?P<hour>[0-9]{2}):(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2})(?:\.(?P<fraction>[0-9]{1,9}))?)?"
    r"(?P<zone>Z|[+-][0-9]{2}:?[0-9]{2})?)?)?)?"
)
_EPOCH_BEGAN = datetime(1970, 1, 1, tzinfo=UTC)

Network = IPv4Network | IPv6Network


def parse_number(text: str) -> Decimal | None:
    """An integer or decimal of at most 40 digits either side of the point; None if it is none."""
    return Decimal(text) if _NUMBER.fullmatch(text) else None


def parse_instant(text: str) -> Decimal | None:
    """Seconds since 1970 in UTC, from a W3C date (four digits are a year) or epoch seconds; None if it is neither.

    A time without a zone is in UTC.
    """
    date = _DATE.fullmatch(text)
    if date is None:
        return parse_number(text)
    try:
        whole = datetime(
            int(date["year"]),
            int(date["month"] or 1),
            int(date["day"] or 1),
            int(date["hour"] or 0),
            int(date["minute"] or 0),
            int(date["second"] or 0),
            tzinfo=_zone(date["zone"]),
        )
    except (ValueError, OverflowError):
        return None
    seconds = (whole - _EPOCH_BEGAN) // timedelta(seconds=1)
    # A float would lose digits of the fraction.
    return Decimal(seconds) + Decimal(f"0.{date['fraction'] or 0}")


def parse_boolean(text: str) -> bool | None:
    """The boolean that `true` or `false` stands for, in any case; None if it is neither."""
    return {"true": True, "false": False}.get(text.lower())


def parse_bytes(text: str) -> bytes | None:
    """The bytes that base64 stands for; None if it is no base64."""
    try:
        return b64decode(text.encode("ascii"), validate=True)
    except (Base64Error, UnicodeEncodeError):
        return None


def parse_network(text: str) -> Network | None:
    """A range in CIDR form, or one address; bits beyond the prefix are ignored. None if it is neither."""
    if not text.isascii() or "%" in text:
        return None
    try:
        return ip_network(text, strict=False)
    except ValueError:
        return None


def parse_address(text: str) -> IPv4Address | IPv6Address | None:
    """An address; one of IPv4 written as ::ffff:a.b.c.d is the IPv4 address. None if it is none."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return address.ipv4_mapped or address if isinstance(address, IPv6Address) else address


@dataclass(frozen=True, slots=True)
class Networks:
    """Ranges of addresses, as numbers to compare."""

    ranges: tuple[tuple[int, int, int], ...]

    @classmethod
    def of(cls, networks: list[Network]) -> "Networks":
        """The ranges: version, first address and mask."""
        return cls(tuple((net.version, int(net.network_address), int(net.netmask)) for net in networks))

    def hold(self, address: IPv4Address | IPv6Address) -> bool:
        """Whether the address is in any of the ranges; an IPv4 address is in no IPv6 range."""
        number = int(address)
        return any(address.version == version and number & mask == first for version, first, mask in self.ranges)


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    minutes = int(text[1:3]) * 60 + int(text[-2:])
    return timezone(timedelta(minutes=-minutes if text[0] == "-" else minutes))
