"""Sessions: passwords for half a day, and roles that somebody acts in for a while.

Whoever may log in may ask for both; a role's trust policy decides who gets it.
"""

from typing import Final

from pydantic import Field

from auth.actions import Action
from auth.authenticator import AUTHORIZATION_USER
from auth.callers import Caller
from auth.claims import TokenKind
from registry.admin.documents import Document, Model, Time, policy_text, rfc3339
from registry.admin.operation import Call, Operation
from registry.admin.services import Services

_LOGIN: Final = Action.GET_AUTHORIZATION_TOKEN.value


class Login(Model):
    """What to log in with, for `docker login` as well as for this API: the password is a token without a colon."""

    user: str
    password: str = Field(repr=False)
    expires_at: Time
    arn: str = Field(description="Who it makes of its holder.")


class NewSession(Model):
    """A session to open; its policy, where there is one, limits it below what the role may do."""

    session_name: str = Field(description="Shows in audit events and ARNs: 2 to 64 letters, digits and +=,.@_-")
    duration_seconds: int | None = Field(default=None, description="900 to the most of the role; an hour if left out.")
    policy: Document | None = None


async def _authorize(services: Services, call: Call[None, None]) -> Login:
    await services.authorizer.permit_token(call.caller, facts=call.facts)
    return _password(services, call.caller)


async def _assume(services: Services, call: Call[NewSession, None]) -> Login:
    asked = call.body
    caller = await services.role_sessions.assume(
        call.caller,
        call.names["role"],
        asked.session_name,
        policy=None if asked.policy is None else policy_text(asked.policy),
        seconds=asked.duration_seconds,
        facts=call.facts,
    )
    return _password(services, caller)


def _password(services: Services, caller: Caller) -> Login:
    token = services.issuer.mint(caller, kind=TokenKind.AUTHORIZATION)
    return Login(
        user=AUTHORIZATION_USER,
        password=token.text,
        expires_at=rfc3339(token.issued_at + token.expires_in),
        arn=caller.principal.arn,
    )


AUTHORIZE = Operation(
    name="GetAuthorizationToken", method="POST", path="/authorization-token",
    summary="Give the caller a password that lasts for twelve hours.",
    perform=_authorize, answer=Login, status=201, action_name=_LOGIN,
)  # fmt: skip
ASSUME = Operation(
    name="AssumeRole", method="POST", path="/roles/{role}/sessions",
    summary="Act in a role for a while, if its trust policy lets the caller.",
    perform=_assume, body=NewSession, answer=Login, status=201, action_name=_LOGIN,
)  # fmt: skip

OPERATIONS = (AUTHORIZE, ASSUME)
