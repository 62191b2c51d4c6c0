"""Logins at a token service, as docker does it: credentials and a scope in, a bearer token out."""

import base64
import http
import json
import urllib.parse
from dataclasses import dataclass
from pathlib import Path

from bench.tls import http_connection

TIMEOUT_SECONDS = 30
CATALOG = "registry:catalog:*"


class NoToken(Exception):
    """The token service answered something else than a token."""


@dataclass(frozen=True, slots=True)
class Login:
    """Credentials at the token service of an address, for a service that trusts it; with a certificate, over TLS."""

    address: str
    service: str
    user: str
    password: str
    certificate: Path | None = None

    @property
    def basic(self) -> dict[str, str]:
        """The header that names user and password."""
        pair = base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def path(self, scope: str) -> str:
        """Where a token for a scope is asked for."""
        return f"/auth/token?{urllib.parse.urlencode({'service': self.service, 'scope': scope})}"

    def bearer(self, scope: str) -> dict[str, str]:
        """The header of a fresh token for a scope; raises NoToken."""
        connection = http_connection(self.address, self.certificate, TIMEOUT_SECONDS)
        try:
            connection.request("GET", self.path(scope), headers=self.basic)
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        if response.status != http.HTTPStatus.OK:
            raise NoToken(f"the token service answered {response.status}: {said[:200]!r}")
        return {"Authorization": f"Bearer {json.loads(said)['token']}"}


def repository_scope(repository: str) -> str:
    """Pulling from a repository and pushing to it."""
    return f"repository:{repository}:pull,push"
