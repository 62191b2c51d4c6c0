"""What a trust policy should say before it lets in everybody whom an issuer of identity tokens vouches for.

- An issuer may serve the whole world, as those of GitHub and GitLab do; only its owner knows.
- The audience narrows nothing: whoever asks such an issuer for a token chooses it.
- Source: IAM User Guide, "Identity-provider controls for shared OIDC providers".
"""

from typing import Final

from auth.policy.conditions import Condition
from auth.policy.context import NO_CONTEXT, Context
from auth.policy.document import Effect, Statement
from auth.policy.findings import Findings, Rule
from auth.policy.members import join
from auth.policy.reading import Member
from auth.policy.vocabulary import claim_of

_ASSUME_ROLE: Final = "sts:assumerolewithwebidentity"
_CHOSEN_BY_ANYBODY: Final = frozenset({"aud", "iss"})
_STRANGER: Final = "\x00"
"""What no claim that somebody may want to trust says."""


def check_trust(statement: Statement, audience: Member, field: str, findings: Findings) -> None:
    """Warn of an Allow for web identities that asks for no claim which tells one from another."""
    if statement.effect is not Effect.ALLOW or statement.audience is None:
        return
    principals = statement.audience.principals
    if not (principals.everyone or principals.federated):
        return
    if statement.actions.patterns.matches(_ASSUME_ROLE, NO_CONTEXT) is statement.actions.negated:
        return
    if not any(map(_turns_strangers_away, statement.conditions)):
        message = (
            "Everybody whom the identity provider vouches for may assume this role, whatever audience the condition "
            "asks for. Add a condition on the sub claim, or on another that tells one holder from another."
        )
        findings.warn(Rule.ALLOW_WITHOUT_CLAIM, audience.start, join(field, audience.name), message)


def _turns_strangers_away(condition: Condition) -> bool:
    claim = claim_of(condition.key)
    if claim is None or claim in _CHOSEN_BY_ANYBODY:
        return False
    return not condition.holds(Context({condition.key: _STRANGER}))
