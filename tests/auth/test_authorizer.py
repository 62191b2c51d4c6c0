"""Who may do what in the absence of policies, and what a token adds to that: nothing."""

import asyncio
from collections.abc import Callable, Sequence

import pytest

from auth.actions import REGISTRY, Action, ScopeType, ScopeWord
from auth.authorizer import Authorizer
from auth.callers import Caller
from auth.directory import Directory, Rules
from auth.errors import AccessDenied, CredentialsMissing, ScopeInsufficient, TokenInvalid
from auth.principals import ANONYMOUS, AnonymousMode, Principal, PrincipalKind
from auth.scopes import Access, Scope, parse_scopes, serialise
from storage.metadata.sqlite import SqliteDatabase

ACCOUNT = "123456789012"
ROOT = Principal(ACCOUNT, "admin", PrincipalKind.ROOT)
BOB = Principal(ACCOUNT, "bob", PrincipalKind.USER)
READS = {
    Action.BATCH_GET_IMAGE,
    Action.GET_DOWNLOAD_URL_FOR_LAYER,
    Action.BATCH_CHECK_LAYER_AVAILABILITY,
    Action.LIST_IMAGES,
}


Make = Callable[..., Authorizer]


@pytest.fixture
def authorizer(database: SqliteDatabase) -> Make:
    """An authorizer of a registry without a policy."""

    def make(anonymous: AnonymousMode = "none") -> Authorizer:
        return Authorizer(ACCOUNT, Directory(database, bytes(32)), anonymous)

    return make


def bearer(principal: Principal, scopes: str) -> Caller:
    """A caller whose token carries exactly these scopes."""
    read = [
        Scope(ScopeType(kind), name, frozenset(map(ScopeWord, words.split(","))))
        for kind, name, words in (scope.split(":") for scope in scopes.split())
    ]
    return Caller(principal, Access(tuple(read)))


async def allowed(rules: Authorizer, caller: Caller) -> set[Action]:
    """The actions that this caller may perform on a/b."""
    permitted = set()
    for action in Action:
        try:
            await rules.permit(caller, action, rules.repository("a/b"))
        except (AccessDenied, CredentialsMissing, ScopeInsufficient, TokenInvalid):
            continue
        permitted.add(action)
    return permitted


async def test_root_user_may_do_everything(authorizer: Make) -> None:
    """The account's root user is bound by no rule."""
    assert await allowed(authorizer(), Caller(ROOT)) == set(Action)


async def test_root_user_of_another_account_may_do_nothing(authorizer: Make) -> None:
    """Root of one account is a stranger in another."""
    stranger = Principal("999999999999", "admin", PrincipalKind.ROOT)

    assert await allowed(authorizer(), Caller(stranger)) == set()


async def test_user_may_log_in_and_nothing_more(authorizer: Make) -> None:
    """Nothing is allowed that no rule allows."""
    assert await allowed(authorizer("push"), Caller(BOB)) == {Action.GET_AUTHORIZATION_TOKEN}


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("none", set()),
        ("pull", READS | {Action.DESCRIBE_REPOSITORIES}),
        ("push", set(Action)),
    ],
)
async def test_anonymous_callers_may_do_what_the_mode_says(
    authorizer: Make, mode: AnonymousMode, expected: set[Action]
) -> None:
    """Off unless asked for; `pull` opens the reads; `push` is everything, for loopback."""
    assert await allowed(authorizer(mode), Caller(ANONYMOUS)) == expected


async def test_denied_user_hears_which_action_is_missing(authorizer: Make) -> None:
    """The message is what an administrator needs to write the policy."""
    rules = authorizer()

    with pytest.raises(AccessDenied) as raised:
        await rules.permit(Caller(BOB), Action.PUT_IMAGE, rules.repository("a/b"))

    assert str(raised.value) == (
        "arn:aws:iam::123456789012:user/bob is not allowed to perform ecr:PutImage "
        "on arn:aws:ecr:local:123456789012:repository/a/b "
        "because no identity-based or resource-based policy allows it"
    )


@pytest.mark.parametrize("mode", ["none", "pull"])
async def test_denied_anonymous_caller_is_asked_for_credentials(authorizer: Make, mode: AnonymousMode) -> None:
    """A push without credentials gets a challenge, so that the client can log in."""
    rules = authorizer(mode)

    with pytest.raises(CredentialsMissing):
        await rules.permit(Caller(ANONYMOUS), Action.INITIATE_LAYER_UPLOAD, rules.repository("a/b"))


async def test_ping_without_credentials_is_challenged_while_anonymous_callers_may_pull(authorizer: Make) -> None:
    """A client that got 200 from GET /v2/ would never send the credentials that a push needs."""
    with pytest.raises(CredentialsMissing):
        await authorizer("pull").permit(Caller(ANONYMOUS), Action.GET_AUTHORIZATION_TOKEN, REGISTRY)


@pytest.mark.parametrize("principal", [ROOT, BOB, ANONYMOUS])
async def test_any_token_passes_the_ping(authorizer: Make, principal: Principal) -> None:
    """regctl logs in with a token that has no scope."""
    await authorizer("pull").permit(Caller(principal, Access()), Action.GET_AUTHORIZATION_TOKEN, REGISTRY)


@pytest.mark.parametrize(
    ("scopes", "expected"),
    [
        ("", set()),
        ("repository:a/b:pull", READS),
        (
            "repository:a/b:push",
            {
                Action.INITIATE_LAYER_UPLOAD,
                Action.UPLOAD_LAYER_PART,
                Action.COMPLETE_LAYER_UPLOAD,
                Action.PUT_IMAGE,
                Action.CREATE_REPOSITORY,
            },
        ),
        ("repository:a/b:delete", {Action.BATCH_DELETE_IMAGE}),
        ("repository:a/b:*", set(Action) - {Action.DESCRIBE_REPOSITORIES}),
        ("registry:catalog:*", {Action.DESCRIBE_REPOSITORIES}),
        ("repository:catalog:*", set()),
        ("repository:a/bc:* repository:a:* repository:A/b:* repository:a/b/c:*", set()),
    ],
)
async def test_token_is_a_ceiling_even_for_the_root_user(authorizer: Make, scopes: str, expected: set[Action]) -> None:
    """A token that leaks opens what it was made for and nothing else."""
    assert await allowed(authorizer(), bearer(ROOT, scopes)) == expected | {Action.GET_AUTHORIZATION_TOKEN}


async def test_token_that_lacks_the_scope_is_told_apart_from_a_denial(authorizer: Make) -> None:
    """The client is to fetch another token, not to give up."""
    rules = authorizer()

    with pytest.raises(ScopeInsufficient) as raised:
        await rules.permit(bearer(ROOT, "repository:a/b:pull"), Action.PUT_IMAGE, rules.repository("a/b"))

    assert raised.value.action is Action.PUT_IMAGE
    assert raised.value.resource == rules.repository("a/b")


async def test_denial_is_said_whatever_the_token_lacks(authorizer: Make) -> None:
    """No other token would help, so the client is not sent for one."""
    rules = authorizer()

    with pytest.raises(AccessDenied) as raised:
        await rules.permit(bearer(BOB, ""), Action.PUT_IMAGE, rules.repository("a/b"))

    assert raised.value.action is Action.PUT_IMAGE


async def test_token_lifts_nobody_above_the_rules(authorizer: Make) -> None:
    """A token signed when the user had more rights gives none of them back."""
    rules = authorizer()

    with pytest.raises(AccessDenied):
        await rules.permit(bearer(BOB, "repository:a/b:*"), Action.BATCH_GET_IMAGE, rules.repository("a/b"))


@pytest.mark.parametrize(
    ("principal", "mode", "asked", "granted"),
    [
        (ROOT, "none", "repository:a/b:pull,push", "repository:a/b:pull,push"),
        (ROOT, "none", "repository:a/b:*", "repository:a/b:pull,push,delete,*"),
        (ROOT, "none", "registry:catalog:*", "registry:catalog:*"),
        (ROOT, "none", "", ""),
        (BOB, "none", "repository:a/b:pull,push registry:catalog:*", ""),
        (ANONYMOUS, "none", "repository:a/b:pull", ""),
        (ANONYMOUS, "pull", "repository:a/b:pull,push,delete", "repository:a/b:pull"),
        (ANONYMOUS, "pull", "repository:a/b:*", "repository:a/b:pull"),
        (ANONYMOUS, "pull", "repository:a/b:push repository:c:pull", "repository:c:pull"),
        (ANONYMOUS, "pull", "registry:catalog:*", "registry:catalog:*"),
        (ANONYMOUS, "push", "repository:a/b:*", "repository:a/b:pull,push,delete,*"),
    ],
)
async def test_grant_is_the_part_that_the_rules_allow(
    authorizer: Make, principal: Principal, mode: AnonymousMode, asked: str, granted: str
) -> None:
    """A partial grant is no error, and neither is an empty one."""
    assert serialise(await authorizer(mode).grant(principal, parse_scopes([asked]))) == granted


async def test_users_and_allowed_anonymous_callers_get_tokens(authorizer: Make) -> None:
    """A login that gives a token proves the password, whatever the user may do."""
    await authorizer().permit_token(Caller(BOB))
    await authorizer("pull").permit_token(Caller(ANONYMOUS))


async def test_anonymous_callers_get_no_token_while_anonymous_access_is_off(authorizer: Make) -> None:
    """A client without credentials hears so at the token endpoint."""
    with pytest.raises(CredentialsMissing):
        await authorizer().permit_token(Caller(ANONYMOUS))


async def test_token_buys_no_other_token(authorizer: Make) -> None:
    """A stolen token can be neither renewed nor widened."""
    with pytest.raises(TokenInvalid):
        await authorizer().permit_token(bearer(ROOT, "repository:a/b:pull"))


async def test_decision_names_its_reason(authorizer: Make) -> None:
    """A decision explains itself."""
    rules = authorizer()

    decision = await rules.authorize(ANONYMOUS, Action.LIST_IMAGES, rules.repository("a"))

    assert decision.reason == "anonymous access is off"


async def test_anonymous_token_opens_nothing_after_anonymous_access_was_turned_off(authorizer: Make) -> None:
    """A setting that was narrowed bites at the next request, and the client is told to log in."""
    caller = bearer(ANONYMOUS, "repository:a/b:pull")

    for action in (Action.BATCH_GET_IMAGE, Action.GET_AUTHORIZATION_TOKEN):
        with pytest.raises(TokenInvalid, match="anonymous access was turned off"):
            await authorizer().permit(caller, action, authorizer().repository("a/b"))


class TaggedDirectory(Directory):
    """Every repository has rules of its own."""

    async def repositories(self, names: Sequence[str]) -> dict[str, Rules]:
        return {name: Rules(None, {"aws:ResourceTag/owner": name}) for name in names}


async def test_others_have_their_turn_while_many_repositories_are_decided_on(database: SqliteDatabase) -> None:
    names = [f"a/{number}" for number in range(250)]
    rules = Authorizer(ACCOUNT, TaggedDirectory(database, bytes(32)), "none")
    looking = asyncio.ensure_future(rules.visible(ROOT, names))
    turns = 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1

    assert await looking == names
    assert turns > 2
