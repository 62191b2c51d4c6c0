"""Docker's token service: credentials and scopes in, a bearer token out.

Source: distribution, "Token Authentication Specification" and "OAuth2 Token Authentication"; RFC 8693 for tokens of
other issuers.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import orjson
from aiohttp import web

from auth.authenticator import Authenticator
from auth.authorizer import Authorizer, Facts
from auth.callers import Caller
from auth.credentials import BasicCredentials
from auth.directory import Directory
from auth.errors import AuthError, GrantUnsupported, WebIdentityInvalid
from auth.key_ring import KeyRing
from auth.last_use import LastUse
from auth.scopes import parse_scopes, serialise
from auth.stored_tokens import StoredTokens
from auth.tokens import TokenIssuer
from registry.http.access import ACCESS, CHALLENGE
from registry.http.auditing import LOGIN, USER_TRIED, Login
from registry.http.bodies import read_body

_ACCESS_TOKEN_TYPE = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105  a type
_SUBJECT_TYPES = {f"urn:ietf:params:oauth:token-type:{name}" for name in ("jwt", "id_token")}
_MAX_FORM_BYTES = 64 * 1024
_MAX_FIELDS = 200
_FORM_SECONDS = 10
# How long others may keep the keys: a key that signs later than this after it was published surprises nobody.
_KEYS_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Asked:
    """What a client asks a token for: the service that will read it, and scopes as they were written.

    With `offline` it asks for a refresh token too.
    """

    service: str | None
    scopes: Sequence[str]
    offline: bool
    facts: Facts


@dataclass(frozen=True, slots=True)
class Issued:
    """What a client is told, and what there is to tell of it."""

    document: dict[str, Any]
    login: Login


class TokenService:
    """Grants what the caller may have of what it asks for, here or at one of the other services that trust us."""

    def __init__(
        self,
        authenticator: Authenticator,
        authorizer: Authorizer,
        issuer: TokenIssuer,
        stored: StoredTokens,
        last_use: LastUse,
        others: Collection[str] = (),
    ) -> None:
        self._authenticator = authenticator
        self._authorizer = authorizer
        self._issuer = issuer
        self._stored = stored
        self._others = others
        self._last_use = last_use

    async def for_form(self, form: "Form", client: str, asked: Asked) -> Issued:
        """A token for the grant in a form; raises GrantUnsupported for one that is not offered here."""
        authenticator = self._authenticator
        match form.first("grant_type"):
            case "password":
                credentials = BasicCredentials(form.first("username"), form.first("password"))
                caller = await authenticator.check_password(credentials, client, asked.facts)
            case "refresh_token":
                caller = await authenticator.check_refresh(form.first("refresh_token"))
            case "urn:ietf:params:oauth:grant-type:token-exchange":
                return await self._exchange(form, asked)
            case grant_type:
                raise GrantUnsupported(grant_type)
        self._last_use.note(caller, client)
        return await self.for_caller(caller, asked)

    async def _exchange(self, form: "Form", asked: Asked) -> Issued:
        """RFC 8693 section 2.1, with `role` and `role_session_name` of our own."""
        if form.first("subject_token_type") not in _SUBJECT_TYPES or not form.first("role"):
            message = "name the role, and say that subject_token is a jwt or an id_token"
            raise WebIdentityInvalid(message)
        session_name = form.first("role_session_name") or None
        caller = await self._authenticator.exchange(
            form.first("role"), form.first("subject_token"), session_name, asked.facts
        )
        issued = await self.for_caller(caller, asked)
        return replace(issued, document={**issued.document, "issued_token_type": _ACCESS_TOKEN_TYPE})

    async def for_caller(self, caller: Caller, asked: Asked) -> Issued:
        """A token for a caller who has proved who it is, or for an anonymous one."""
        # A token for one registry must not open another: an unknown service gets one that only we accept.
        audience = asked.service if asked.service in self._others else None
        grant = self._authorizer.grant if audience is None else self._authorizer.grant_elsewhere
        granted = await grant(caller.principal, parse_scopes(asked.scopes), asked.facts)
        await self._authorizer.permit_token(caller, granted, asked.facts)
        token = self._issuer.mint(caller, granted, audience=audience)
        document = {
            "token": token.text,
            "access_token": token.text,
            "token_type": "Bearer",
            "scope": serialise(granted),
            "expires_in": token.expires_in,
            "issued_at": datetime.fromtimestamp(token.issued_at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
        refresh_token = await self._stored.issue_refresh(caller) if asked.offline else None
        if refresh_token is not None:
            document["refresh_token"] = str(refresh_token)
        return Issued(document, Login(caller, tuple(asked.scopes), tuple(granted), audience))


class Form:
    """The fields of a form; those of a body that is none are empty."""

    def __init__(self, body: bytes) -> None:
        try:
            self._fields = parse_qs(body.decode(), keep_blank_values=True, max_num_fields=_MAX_FIELDS)
        except ValueError:
            self._fields = {}

    def first(self, name: str) -> str:
        """The first value of a field, empty where there is none."""
        return self.all(name)[0] if self.all(name) else ""

    def all(self, name: str) -> list[str]:
        """Every value of a field."""
        return self._fields.get(name, [])


@dataclass(frozen=True, slots=True)
class PublishedKeys:
    """The public keys, as of the last change."""

    directory: Directory
    ring: KeyRing

    async def document(self) -> bytes:
        """A JWK set (RFC 7517, section 5) of every key that has not retired, the next one included."""
        await self.directory.refresh()
        return orjson.dumps({"keys": self.ring.published()})


TOKENS: web.AppKey[TokenService] = web.AppKey("tokens", TokenService)
JWKS: web.AppKey[PublishedKeys] = web.AppKey("jwks", PublishedKeys)


async def get_token(request: web.Request) -> web.Response:
    """Issue a token for the request's own credentials."""
    access, query = request.app[ACCESS], request.query
    asked = Asked(
        query.get("service"), query.getall("scope", []), query.get("offline_token") == "true", access.facts(request)
    )
    try:
        return _answer(await request.app[TOKENS].for_caller(await access.authenticate(request), asked))
    except AuthError:
        _challenge(request)
        raise


async def post_token(request: web.Request) -> web.Response:
    """Issue a token for the credentials in a form."""
    access = request.app[ACCESS]
    form = Form(await read_body(request, limit_bytes=_MAX_FORM_BYTES, idle_seconds=_FORM_SECONDS))
    asked = Asked(
        form.first("service"), form.all("scope"), form.first("access_type") == "offline", access.facts(request)
    )
    client = access.addresses.client(request)
    if form.first("username"):
        request[USER_TRIED] = form.first("username")
    try:
        return _answer(await request.app[TOKENS].for_form(form, client, asked))
    except AuthError:
        _challenge(request)
        raise


async def get_keys(request: web.Request) -> web.Response:
    """The public keys that verify our tokens (RFC 7517)."""
    headers = {"Cache-Control": f"public, max-age={_KEYS_SECONDS}"}
    body = await request.app[JWKS].document()
    return web.Response(body=body, content_type="application/json", headers=headers)


def _answer(issued: Issued) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    response = web.Response(body=orjson.dumps(issued.document), content_type="application/json", headers=headers)
    response[LOGIN] = issued.login
    return response


def _challenge(request: web.Request) -> None:
    access = request.app[ACCESS]
    request[CHALLENGE] = f'Basic realm="{access.service}"'
