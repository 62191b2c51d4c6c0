"""The name in a client certificate that a handshake has verified."""

import ssl
from typing import Any

import pytest
from aiohttp.test_utils import make_mocked_request
from aiohttp.web import Request

from auth.errors import CredentialsInvalid
from registry.http.addresses import Addresses
from registry.http.certificates import certificate_name

NOT_AFTER = "Jan  1 12:00:00 2030 GMT"
EXPIRY = ssl.cert_time_to_seconds(NOT_AFTER)
ADDRESSES = Addresses(None, ())


class Connection:
    """A transport whose handshake has verified this certificate."""

    def __init__(self, certificate: dict[str, Any] | None) -> None:
        self.certificate = certificate

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self.certificate if name == "peercert" else default


def request_with(*subject: tuple[str, str]) -> Request:
    certificate = {"subject": tuple((part,) for part in subject), "notAfter": NOT_AFTER}
    return make_mocked_request("GET", "/", transport=Connection(certificate))


def test_the_name_is_the_common_name() -> None:
    request = request_with(("organizationName", "Example"), ("commonName", "bob"), ("emailAddress", "a@example.com"))

    assert certificate_name(request, ADDRESSES, EXPIRY - 1) == "bob"


def test_two_common_names_are_none_at_all() -> None:
    """Also within one part of the subject."""
    certificate = {"subject": ((("commonName", "bob"), ("commonName", "admin")),), "notAfter": NOT_AFTER}

    with pytest.raises(CredentialsInvalid):
        certificate_name(make_mocked_request("GET", "/", transport=Connection(certificate)), ADDRESSES, 0)


def test_a_certificate_that_expires_while_its_connection_stands_is_refused() -> None:
    with pytest.raises(CredentialsInvalid, match="has expired"):
        certificate_name(request_with(("commonName", "bob")), ADDRESSES, EXPIRY)


@pytest.mark.parametrize("certificate", [None, {}])
def test_a_connection_without_a_verified_certificate_names_nobody(certificate: dict[str, Any] | None) -> None:
    request = make_mocked_request("GET", "/", transport=Connection(certificate))

    assert certificate_name(request, ADDRESSES, 0) is None
