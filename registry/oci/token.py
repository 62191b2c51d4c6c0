"""Docker's token service: credentials and scopes in, a bearer token out.

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication".
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from auth.authenticator import Authenticator
from auth.authorizer import Authorizer, Facts
from auth.callers import Caller
from auth.credentials import BasicCredentials
from auth.errors import AuthError, GrantUnsupported
from auth.scopes import parse_scopes
from auth.tokens import TokenIssuer
from registry.http.access import ACCESS, CHALLENGE
from registry.http.auditing import LOGIN, USER_TRIED, Login
from registry.http.bodies import read_body

_MAX_FORM_BYTES = 64 * 1024
_MAX_FIELDS = 200
_FORM_SECONDS = 10


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a token for: the service that will read it, and scopes as they were written."""

    service: str | None
    scopes: Sequence[str]
    facts: Facts


class TokenService:
    """Grants what the caller may have of what it asks for, here or at one of the other services that trust us."""

    def __init__(
        self, authenticator: Authenticator, authorizer: Authorizer, issuer: TokenIssuer, others: Collection[str] = ()
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._issuer = issuer
        self._others = others

    async def for_header(self, header: str | None, asked: Asked) -> web.Response:
        """A token for the credentials of an Authorization header, or none."""
        return await self._grant(await self._authenticator.authenticate(header), asked)

    async def for_password(self, credentials: BasicCredentials, asked: Asked) -> web.Response:
        """A token for a user name and password."""
        return await self._grant(await self._authenticator.check_password(credentials), asked)

    async def _grant(self, caller: Caller, asked: Asked) -> web.Response:
        # A token for one registry must not open another: an unknown service gets one that only we accept.
        audience = asked.service if asked.service in self._others else None
        grant = self._authorizer.grant if audience is None else self._authorizer.grant_elsewhere
        granted = await grant(caller.principal, parse_scopes(asked.scopes), asked.facts)
        await self._authorizer.permit_token(caller, granted, asked.facts)
        token = self._issuer.mint(
            caller.principal.name,
            granted,
            access_key=caller.access_key,
            not_before=caller.valid_after,
            audience=audience,
        )
        document = {
            "token": token.text,
            "access_token": token.text,
            "expires_in": token.expires_in,
            "issued_at": datetime.fromtimestamp(token.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        response = web.Response(
            body=orjson.dumps(document), content_type="application/json", headers={"Cache-Control": "no-store"}
        )
        response[LOGIN] = Login(caller, tuple(asked.scopes), tuple(granted), audience)
        return response


TOKENS: web.AppKey[TokenService] = web.AppKey("tokens", TokenService)
JWKS: web.AppKey[bytes] = web.AppKey("jwks", bytes)


async def get_token(request: web.Request) -> web.Response:
    """Issue a token for the request's own credentials."""
    try:
        return await request.app[TOKENS].for_header(
            request.headers.get("Authorization"),
            Asked(request.query.get("service"), request.query.getall("scope", []), request.app[ACCESS].facts(request)),
        )
    except AuthError:
        _challenge(request)
        raise


async def post_token(request: web.Request) -> web.Response:
    """Issue a token for the credentials in a form; raises GrantUnsupported for anything but a password."""
    body = await read_body(request, limit_bytes=_MAX_FORM_BYTES, idle_seconds=_FORM_SECONDS)
    try:
        form = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
    except ValueError:
        form = {}
    grant_type = form.get("grant_type", [""])[0]
    if grant_type != "password":
        raise GrantUnsupported(grant_type)
    try:
        credentials = BasicCredentials(form.get("username", [""])[0], form.get("password", [""])[0])
        request[USER_TRIED] = credentials.name
        asked = Asked(form.get("service", [None])[0], form.get("scope", []), request.app[ACCESS].facts(request))
        return await request.app[TOKENS].for_password(credentials, asked)
    except AuthError:
        _challenge(request)
        raise


async def get_keys(request: web.Request) -> web.Response:
    """The public keys that verify our tokens (RFC 7517)."""
    return web.Response(body=request.app[JWKS], content_type="application/json")


def _challenge(request: web.Request) -> None:
    access = request.app[ACCESS]
    request[CHALLENGE] = f'Basic realm="{access.service}"'
