"""What a token says: written from a caller, read back only when every claim is as this registry writes it.

- Issuer and audience are compared whole; exp, nbf and iat must be there and be numbers.
- An access token carries scopes, a ceiling on what its bearer may do; an authorization token carries none, and stands
  for its user as a password does.
- A session's facts and policies travel with its tokens: no table holds them.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NoReturn

from auth.actions import ScopeType, ScopeWord
from auth.callers import Caller
from auth.errors import SessionInvalid, TokenInvalid
from auth.principals import Fact, Principal, PrincipalKind, Session
from auth.scopes import Access, Scope

ROLE: Final = "role/"
"""What the subject of a role's session begins with; no user's name holds a slash."""
LEEWAY_SECONDS: Final = 60
"""How far the clocks of two nodes may be apart."""

_MAX_TIME = 2**53  # the last second that every JSON reader agrees on (RFC 8259, section 6)
_MAX_SESSION_BYTES = 8 * 1024


class TokenKind(StrEnum):
    """What a token is for, as the header's `typ` says it (RFC 8725, section 3.11): neither stands for the other."""

    ACCESS = "JWT"
    """A bearer token under the ceiling of its scopes; other programs verify it too, so it is typed as they expect."""
    AUTHORIZATION = "authorization+jwt"
    """A password of the user AWS for half a day (Amazon ECR, GetAuthorizationToken)."""


@dataclass(frozen=True, slots=True)
class Parties:
    """Who issues tokens, and who is to take them."""

    issuer: str
    audience: str


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """What a token says, once its signature and its dates have been checked; times are seconds since the epoch.

    `name` is that of a user or, with `is_role`, of a role; empty for an anonymous caller. `access` is None for an
    authorization token. `access_key`, `stored_token` and `authorizations` name what it was fetched with: the ids of an
    access key and of a refresh or service token, and the `jti` of every authorization token between it and a login.
    `opened_by` are the subjects who opened a role's session: users, or roles as `role/NAME`. From `until` on it has to
    be verified again, or earlier if the signing keys change.
    """

    kind: TokenKind
    id: str
    name: str
    is_role: bool
    session: Session | None
    access: Access | None
    issued_at: float
    expires_at: float
    access_key: str | None = None
    stored_token: str | None = None
    authorizations: tuple[str, ...] = ()
    opened_by: tuple[str, ...] = ()
    until: float = math.inf


def claims_about(caller: Caller, scopes: Sequence[Scope], kind: TokenKind) -> dict[str, object]:
    """The claims that say who the caller is and what its token carries; raises SessionInvalid for a role on its own."""
    claims: dict[str, object] = {"sub": _subject(caller.principal)}
    if kind is TokenKind.ACCESS:
        claims["access"] = [_scope_claim(scope) for scope in scopes]
    return claims


def claims_behind(caller: Caller) -> dict[str, object]:
    """The claims that only this registry needs: the session, and what the token was fetched with.

    Raises SessionInvalid for too long a session.
    """
    claims: dict[str, object] = {}
    if caller.principal.session is not None:
        claims["session"] = _session_claim(caller.principal.session)
    if caller.access_key is not None:
        claims["access_key"] = caller.access_key
    if caller.stored_token is not None:
        claims["stored_token"] = caller.stored_token
    if caller.authorizations:
        claims["authorizations"] = caller.authorizations
    if caller.opened_by:
        claims["opened_by"] = [_subject_without_session(opener) for opener in caller.opened_by]
    return claims


def read_claims(payload: bytes, kind: TokenKind, expected: Parties, now: float) -> VerifiedToken:
    """What a signed payload says, if it is for us and valid at this moment; raises TokenInvalid."""
    try:
        claims = json.loads(payload)
    except (ValueError, RecursionError) as error:
        message = "its claims cannot be read"
        raise TokenInvalid(message) from error
    if not isinstance(claims, dict):
        _refuse("its claims cannot be read")
    issued_at, expires_at = _check_times(claims, now)
    # An identity or refresh token, or one for a neighbour whose name begins like ours, must not pass.
    if claims.get("iss") != expected.issuer:
        _refuse("another registry issued it")
    if claims.get("aud") != expected.audience:
        _refuse("it is meant for another service")
    name, is_role, session = _read_subject(claims)
    return VerifiedToken(
        kind=kind,
        id=_text(claims, "jti"),
        name=name,
        is_role=is_role,
        session=session,
        access=_read_access(claims, kind),
        issued_at=issued_at,
        expires_at=expires_at,
        access_key=_optional_text(claims, "access_key"),
        stored_token=_optional_text(claims, "stored_token"),
        authorizations=_optional_texts(claims, "authorizations"),
        opened_by=_optional_texts(claims, "opened_by"),
    )


def _refuse(reason: str) -> NoReturn:
    raise TokenInvalid(reason)


def _subject(principal: Principal) -> str:
    if principal.kind is not PrincipalKind.ROLE:
        return principal.name
    if principal.session is None:
        message = "a role acts in a session only"
        raise SessionInvalid(message)
    return f"{_subject_without_session(principal)}/{principal.session.name}"


def _subject_without_session(principal: Principal) -> str:
    return f"{ROLE}{principal.name}" if principal.kind is PrincipalKind.ROLE else principal.name


def _scope_claim(scope: Scope) -> dict[str, str | list[str]]:
    actions = [word.value for word in scope.ordered_actions]
    return {"type": scope.type.value, "name": scope.name, "actions": actions}


def _session_claim(session: Session) -> dict[str, object]:
    claim: dict[str, object] = {"facts": session.facts, "policies": session.policies}
    if len(json.dumps(claim)) > _MAX_SESSION_BYTES:
        raise SessionInvalid(f"its facts and policies take more than {_MAX_SESSION_BYTES} bytes of a token")
    return claim


def _check_times(claims: dict[str, Any], now: float) -> tuple[float, float]:
    """When the token was issued and expires, if it is valid at this moment, give or take the leeway."""
    expires_at, not_before, issued_at = (_read_time(claims.get(name)) for name in ("exp", "nbf", "iat"))
    if now >= expires_at + LEEWAY_SECONDS:
        _refuse("it has expired")
    if max(not_before, issued_at) > now + LEEWAY_SECONDS:
        _refuse("it is not valid yet: compare the clocks")
    return issued_at, expires_at


def _read_time(value: object) -> float:
    """Seconds since the epoch; a bool is an int to Python and 1e400 an infinity to JSON, and neither is a time."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse("its dates are missing or not numbers")
    if not (0 <= value <= _MAX_TIME and math.isfinite(value)):
        _refuse("its dates are missing or not numbers")
    return value


def _read_subject(claims: dict[str, Any]) -> tuple[str, bool, Session | None]:
    """The name of a user or role, whether it is a role, and the session that it acts in."""
    subject, session = _text(claims, "sub"), claims.get("session")
    if not subject.startswith(ROLE):
        return subject, False, None if session is None else _read_session("", session)
    role, _, session_name = subject.removeprefix(ROLE).partition("/")
    if not role or not session_name:
        _refuse("its claims cannot be read")
    return role, True, _read_session(session_name, session)


def _read_session(name: str, claim: object) -> Session:
    if not isinstance(claim, dict):
        _refuse("its session cannot be read")
    facts, policies = claim.get("facts"), claim.get("policies")
    if not isinstance(facts, list) or not isinstance(policies, list):
        _refuse("its session cannot be read")
    if not _is_texts(policies):
        _refuse("its session cannot be read")
    return Session(name, tuple(map(_read_fact, facts)), tuple(policies))


def _read_fact(entry: object) -> tuple[str, Fact]:
    match entry:
        case [str() as key, str() as value]:
            return key, value
        case [str() as key, list() as values] if _is_texts(values):
            return key, tuple(values)
        case _:
            return _refuse("its session cannot be read")


def _is_texts(value: object) -> bool:
    return isinstance(value, list) and all(isinstance(each, str) for each in value)


def _text(claims: dict[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str):
        _refuse("its claims cannot be read")
    return value


def _optional_text(claims: dict[str, Any], name: str) -> str | None:
    return None if claims.get(name) is None else _text(claims, name)


def _optional_texts(claims: dict[str, Any], name: str) -> tuple[str, ...]:
    found = claims.get(name, [])
    if not _is_texts(found):
        _refuse("its claims cannot be read")
    return tuple(found)


def _read_access(claims: dict[str, Any], kind: TokenKind) -> Access | None:
    claim = claims.get("access")
    if kind is TokenKind.AUTHORIZATION and claim is None:
        return None
    if not isinstance(claim, list) or kind is not TokenKind.ACCESS:
        _refuse("its access claim cannot be read")
    try:
        return Access(tuple(map(_read_scope, claim)))
    except (KeyError, TypeError, ValueError) as error:
        message = "its access claim cannot be read"
        raise TokenInvalid(message) from error


def _read_scope(entry: dict[str, Any]) -> Scope:
    name = entry["name"]
    if not isinstance(name, str):
        raise TypeError
    return Scope(ScopeType(entry["type"]), name, frozenset(map(ScopeWord, entry["actions"])))
