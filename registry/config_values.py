"""How values of settings are written: sizes, durations, networks, names; and what every section has in common."""

import re
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

KIB = 1024
MIB = 1024 * KIB
_UNITS = {"": 1, "B": 1, "KiB": KIB, "MiB": MIB, "GiB": 1024 * MIB, "TiB": 1024 * 1024 * MIB}
_SIZE = re.compile(r"([0-9]{1,15}) ?(|B|[KMGT]iB)")


def _bytes(value: object) -> object:
    """Read a size: a number, or a number with a binary unit."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        msg = "a size is a number of bytes, or a number with KiB, MiB, GiB or TiB, as in 64MiB"
        raise ValueError(msg)
    return int(match[1]) * _UNITS[match[2]]


def _seconds(value: object) -> object:
    """Read a duration: a bare number of seconds."""
    if isinstance(value, str) and not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value.strip()):
        msg = "a duration is a bare number of seconds, as in 90"
        raise ValueError(msg)
    return value


def _networks(value: object) -> object:
    """Read networks: a list, or one text with commas."""
    parts = [part.strip() for part in value.split(",")] if isinstance(value, str) else value
    if not isinstance(parts, list | tuple):
        return parts
    return tuple(ip_network(part) if isinstance(part, str) else part for part in parts if part)


def _names(value: object) -> object:
    """Read names: a list, or one text with commas."""
    if not isinstance(value, str):
        return value
    return tuple(part.strip() for part in value.split(",") if part.strip())


def _endpoint(value: str) -> str:
    """Check the URL of a service that speaks as one of AWS's does."""
    url = urlsplit(value)
    if url.scheme not in {"http", "https"} or not url.hostname or url.username is not None:
        msg = "an endpoint is http:// or https:// and a host, as in https://s3.example.com; no credentials"
        raise ValueError(msg)
    return value


Bytes = Annotated[int, BeforeValidator(_bytes), Field(ge=0)]
Seconds = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
WholeSeconds = Annotated[int, BeforeValidator(_seconds), Field(ge=0)]
Names = Annotated[tuple[Annotated[str, Field(min_length=1, max_length=256)], ...], BeforeValidator(_names)]
Networks = Annotated[tuple[IPv4Network | IPv6Network, ...], BeforeValidator(_networks)]

Endpoint = Annotated[str, AfterValidator(_endpoint)]


class Section(BaseModel):
    """A table of the configuration file; it refuses keys that it does not know and never changes."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, hide_input_in_errors=True)
