"""Under which address a client sees the registry, and from which it comes."""

from ipaddress import ip_network
from unittest.mock import Mock

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from multidict import CIMultiDict

from registry.http.addresses import Addresses

PROXIES = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


def request_from(peer: str, *headers: tuple[str, str]) -> web.Request:
    transport = Mock()
    transport.get_extra_info = {"peername": (peer, 1234)}.get
    named = CIMultiDict([("Host", "registry.local:5000"), *headers])
    return make_mocked_request("GET", "/", headers=named, transport=transport)


@pytest.mark.parametrize(
    ("peer", "headers", "expected"),
    [
        ("10.0.0.1", [], "http://registry.local:5000"),
        ("10.0.0.1", [("X-Forwarded-Proto", "https")], "https://registry.local:5000"),
        ("10.0.0.1", [("X-Forwarded-Proto", "https, http")], "https://registry.local:5000"),
        ("10.0.0.1", [("X-Forwarded-Proto", "javascript")], "http://registry.local:5000"),
        ("10.0.0.1", [("X-Forwarded-Host", "a.example")], "http://a.example"),
        ("10.0.0.1", [("X-Forwarded-Host", " a.example , b.example")], "http://a.example"),
        ("10.0.0.1", [("X-Forwarded-Host", "")], "http://registry.local:5000"),
        ("::ffff:10.0.0.1", [("X-Forwarded-Host", "a.example")], "http://a.example"),
        ("fd00::1", [("X-Forwarded-Host", "a.example")], "http://a.example"),
        ("11.0.0.1", [("X-Forwarded-Host", "a.example")], "http://registry.local:5000"),
        ("not an address", [("X-Forwarded-Host", "a.example")], "http://registry.local:5000"),
    ],
)
def test_base_url_is_the_one_the_client_used(peer: str, headers: list[tuple[str, str]], expected: str) -> None:
    """The request's own host, or what a trusted proxy says it was."""
    assert Addresses(None, PROXIES).base_url(request_from(peer, *headers)) == expected


@pytest.mark.parametrize("public_url", ["https://a.example", "https://a.example/"])
def test_public_url_is_the_base(public_url: str) -> None:
    """Whatever the request says."""
    request = request_from("10.0.0.1", ("X-Forwarded-Host", "b.example"))

    assert Addresses(public_url, PROXIES).base_url(request) == "https://a.example"


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("192.0.2.1", [], "192.0.2.1"),
        ("192.0.2.1", ["203.0.113.9"], "192.0.2.1"),
        ("10.0.0.1", [], "10.0.0.1"),
        ("10.0.0.1", ["203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["203.0.113.9:50123, 10.0.0.2:443"], "203.0.113.9"),
        ("10.0.0.1", ["[2001:db8::9]:50123, [fd00::2]"], "2001:db8::9"),
        ("10.0.0.1", ["2001:db8::9"], "2001:db8::9"),
        ("10.0.0.1", ["203.0.113.9", "10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["6.6.6.6, 203.0.113.9, 10.0.0.2"], "203.0.113.9"),
        ("10.0.0.1", ["10.0.0.3, 10.0.0.2"], "10.0.0.1"),
        ("10.0.0.1", ["", " , "], "10.0.0.1"),
    ],
)
def test_client_is_the_last_that_is_no_proxy(peer: str, forwarded: list[str], expected: str) -> None:
    """What is further left was written by the client itself."""
    headers = [("X-Forwarded-For", value) for value in forwarded]

    assert Addresses(None, PROXIES).client(request_from(peer, *headers)) == expected


def test_nobody_is_trusted_by_default() -> None:
    """Not even the machine itself."""
    request = request_from("127.0.0.1", ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Host", "a.example"))
    addresses = Addresses(None, ())

    assert addresses.client(request) == "127.0.0.1"
    assert addresses.base_url(request) == "http://registry.local:5000"
