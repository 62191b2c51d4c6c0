"""The grammar of Docker's scopes."""

from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auth.actions import REGISTRY, Action, Resource, ScopeType, ScopeWord
from auth.errors import ScopeInvalid
from auth.scopes import Access, Scope, needed_scope, parse_scopes, serialise
from storage.names import is_repository_name

PULL, PUSH, DELETE, ALL = ScopeWord.PULL, ScopeWord.PUSH, ScopeWord.DELETE, ScopeWord.ALL


def repository(name: str, *words: ScopeWord) -> Scope:
    return Scope(ScopeType.REPOSITORY, name, frozenset(words))


CATALOG = Scope(ScopeType.REGISTRY, "catalog", frozenset({ALL}))

COMPONENTS = st.from_regex(r"[a-z0-9]{1,8}((\.|_|__|-{1,3})[a-z0-9]{1,4}){0,2}", fullmatch=True)
NAMES = st.lists(COMPONENTS, min_size=1, max_size=4).map("/".join)
WORD_SETS = st.sets(st.sampled_from([PULL, PUSH, DELETE]), min_size=1) | st.just(set(ScopeWord))
REPOSITORIES = st.builds(repository, NAMES).flatmap(
    lambda scope: WORD_SETS.map(lambda words: Scope(scope.type, scope.name, frozenset(words)))
)
SCOPES = st.lists(REPOSITORIES | st.just(CATALOG), max_size=8, unique_by=lambda scope: (scope.type, scope.name))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ([], ()),
        ([""], ()),
        (["   "], ()),
        (["repository:a/b:pull"], (repository("a/b", PULL),)),
        (["repository:a/b:push,pull"], (repository("a/b", PULL, PUSH),)),
        (
            ["repository:a/b:pull,push repository:c:pull"],
            (repository("a/b", PULL, PUSH), repository("c", PULL)),
        ),
        (
            ["repository:a/b:pull,push", "repository:c:pull"],
            (repository("a/b", PULL, PUSH), repository("c", PULL)),
        ),
        (["repository:a:pull repository:a:push"], (repository("a", PULL, PUSH),)),
        (["repository:a:*"], (repository("a", PULL, PUSH, DELETE, ALL),)),
        (["registry:catalog:*"], (CATALOG,)),
    ],
)
def test_scopes_are_read_however_clients_write_them(texts: list[str], expected: tuple[Scope, ...]) -> None:
    """Docker joins scopes with spaces, podman repeats the parameter; order means nothing."""
    assert parse_scopes(texts) == expected


@pytest.mark.parametrize(
    "text",
    [
        "repository(plugin):a/b:pull",
        "plugin:a/b:pull",
        "Repository:a/b:pull",
        "aws:catalog:*",
        "registry:other:*",
        "registry:catalog:pull",
        "registry:catalog:",
        "repository:a/b:",
        "repository:a/b:admin",
        "repository:a/b:PULL",
        "repository:A/b:pull",
        "repository:a/../b:pull",
        "repository:a//b:pull",
        "repository:a/b\n:pull",
        "repository:a%2fb:pull",
        "repository:é:pull",
        "repository:\u0661:pull",
        f"repository:{'a' * 256}:pull",
        "repository:host:5000/a:pull",
        "repository:a:pull,x:push",
        "repository:sha256:aa:pull",
    ],
)
def test_what_nobody_can_be_granted_is_left_out(text: str) -> None:
    """One odd scope must not cost the client the token for the others."""
    assert parse_scopes([text, "repository:c:pull"]) == (repository("c", PULL),)


@pytest.mark.parametrize(
    "text", ["repository", "repository:a", ":", "::", ":a:pull", "repository::pull", "pull", "a:b", "\x00"]
)
def test_what_cannot_be_read_is_refused(text: str) -> None:
    """A client that writes something else is told so."""
    with pytest.raises(ScopeInvalid):
        parse_scopes([text])


def test_unknown_actions_leave_the_known_ones() -> None:
    """A client may ask for what other registries have."""
    assert parse_scopes(["repository:a:pull,metadata_read,push,,"]) == (repository("a", PULL, PUSH),)


def test_a_hundred_scopes_are_read() -> None:
    """The bound is inclusive."""
    assert len(parse_scopes([" ".join(f"repository:a{number}:pull" for number in range(100))])) == 100


def test_more_than_a_hundred_scopes_are_refused() -> None:
    """The bound holds over all parameters, and for repeated scopes too."""
    with pytest.raises(ScopeInvalid, match="100 scopes"):
        parse_scopes(["repository:a:pull"] * 101)


def test_more_than_16_kib_are_refused() -> None:
    """No client needs as much."""
    with pytest.raises(ScopeInvalid, match="16384 characters"):
        parse_scopes(["repository:a:pull" + " " * 8192, " " * 8192])


@given(SCOPES)
def test_what_is_written_is_read_back(scopes: list[Scope]) -> None:
    """A challenge that a client repeats asks for what the challenge named."""
    assert parse_scopes([serialise(scopes)]) == tuple(scopes)


@given(st.lists(st.text() | st.text("repositygscal:/*,.-_ \n"), max_size=4))
def test_any_text_is_read_or_refused(texts: list[str]) -> None:
    """No text breaks the token endpoint, and whatever is read could be granted."""
    try:
        scopes = parse_scopes(texts)
    except ScopeInvalid:
        return

    for scope in scopes:
        assert scope.actions
        assert scope == CATALOG or is_repository_name(scope.name)


@given(REPOSITORIES, st.randoms(use_true_random=False))
def test_order_of_actions_means_nothing(scope: Scope, random: Random) -> None:
    """Docker writes push,pull where podman writes pull,push."""
    words = [word.value for word in scope.actions]
    random.shuffle(words)

    assert parse_scopes([f"repository:{scope.name}:{','.join(words)}"]) == (scope,)


def test_actions_are_written_in_one_order() -> None:
    """A challenge is the same text every time."""
    scopes = [repository("b", DELETE, PUSH, PULL), repository("a", ALL, PULL)]

    assert serialise(scopes) == "repository:b:pull,push,delete repository:a:pull,*"


@pytest.mark.parametrize("name", ["a", "a/b", "a.b", "a_b", "a__b", "a---b", "0", "a/b/c/d/e", "x" * 255])
def test_repository_names_of_the_specification(name: str) -> None:
    """Every name that can be pushed to can be asked for."""
    assert is_repository_name(name)


@pytest.mark.parametrize(
    "name", ["", "/", "a/", "/a", "a//b", "A", "a..b", "a___b", "a._b", "-a", "a-", "a\n", "a b", "x" * 256]
)
def test_other_repository_names(name: str) -> None:
    """What cannot be pushed to cannot be asked for."""
    assert not is_repository_name(name)


@pytest.mark.parametrize("name", ["a/bc", "a", "A/b", "a/b/c", "a/b/../b"])
def test_access_is_to_one_repository(name: str) -> None:
    """A token for a/b opens no neighbour."""
    assert not Access((repository("a/b", PULL),)).covers(Scope(ScopeType.REPOSITORY, name, frozenset({PULL})))


def test_access_covers_its_actions_only() -> None:
    """Push implies nothing else; `*` implies everything."""
    assert not Access((repository("a", PUSH),)).covers(Scope(ScopeType.REPOSITORY, "a", frozenset({PULL})))
    assert Access((repository("a", ALL),)).covers(Scope(ScopeType.REPOSITORY, "a", frozenset({DELETE})))


def test_access_to_a_repository_named_catalog_is_not_the_catalog() -> None:
    """The type of a scope counts."""
    assert not Access((repository("catalog", ALL),)).covers(Scope(ScopeType.REGISTRY, "catalog", frozenset({ALL})))


@pytest.mark.parametrize(
    ("action", "expected"),
    [
        (Action.BATCH_GET_IMAGE, "repository:a/b:pull"),
        (Action.PUT_IMAGE, "repository:a/b:pull,push"),
        (Action.BATCH_DELETE_IMAGE, "repository:a/b:delete"),
    ],
)
def test_challenge_names_what_the_request_needs(action: Action, expected: str) -> None:
    """A pusher is told to ask for pull as well."""
    resource = Resource.of_repository("a/b", account_id="123456789012", region="local")

    assert str(needed_scope(action, resource)) == expected


def test_challenge_for_the_registry() -> None:
    """The catalog has a scope of its own; GET /v2/ needs none."""
    assert needed_scope(Action.DESCRIBE_REPOSITORIES, REGISTRY) == CATALOG
    assert needed_scope(Action.GET_AUTHORIZATION_TOKEN, REGISTRY) is None
