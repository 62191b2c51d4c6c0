"""The scopes of Docker's token flow: what a client asks for, what a token carries, what a challenge demands.

- The grammar is that of distribution's "Token Scope Documentation", read leniently: order and repetition mean nothing.
- What cannot be read is an error; what nobody could be granted (an unknown type or action, an impossible repository
  name) is left out, so that the rest of the request still gets its token.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from auth.actions import ADMIN, CATALOG, SCOPE_WORDS, Resource, ScopeType, ScopeWord
from auth.errors import ScopeInvalid
from storage.names import is_repository_name

_MAX_SCOPES = 100
_MAX_CHARACTERS = 16 * 1024
_ORDER = tuple(ScopeWord)
_WORDS_OF = {ScopeType.REPOSITORY: frozenset(ScopeWord), ScopeType.REGISTRY: frozenset({ScopeWord.ALL})}


@dataclass(frozen=True, slots=True)
class Scope:
    """Actions on one resource."""

    type: ScopeType
    name: str
    actions: frozenset[ScopeWord]

    @property
    def ordered_actions(self) -> tuple[ScopeWord, ...]:
        """The actions in the one order that is ever written: pull, push, delete, `*`."""
        return tuple(word for word in _ORDER if word in self.actions)

    def __str__(self) -> str:
        """The scope as a challenge or a token request writes it."""
        return f"{self.type.value}:{self.name}:{','.join(self.ordered_actions)}"


@dataclass(frozen=True, slots=True)
class Access:
    """What a token carries: the ceiling on what its bearer may do with it."""

    scopes: tuple[Scope, ...] = ()

    def covers(self, needed: Scope) -> bool:
        """Whether one of the scopes names this resource with one of these actions, or with `*`."""
        words = needed.actions | {ScopeWord.ALL}
        return any(
            scope.type is needed.type and scope.name == needed.name and not scope.actions.isdisjoint(words)
            for scope in self.scopes
        )


def parse_scopes(texts: Iterable[str]) -> tuple[Scope, ...]:
    """Read the values of every `scope` parameter, each holding scopes separated by spaces; one Scope per resource.

    At most 100 scopes in 16,384 characters. Raises ScopeInvalid.
    """
    actions: dict[tuple[ScopeType, str], frozenset[ScopeWord]] = {}
    for text in _split(texts):
        scope = _parse_scope(text)
        if scope is not None:
            resource = (scope.type, scope.name)
            actions[resource] = actions.get(resource, frozenset()) | scope.actions
    return tuple(Scope(scope_type, name, words) for (scope_type, name), words in actions.items())


def serialise(scopes: Iterable[Scope]) -> str:
    """Scopes as a challenge or a token request writes them, in the order given."""
    return " ".join(str(scope) for scope in scopes)


def needed_scope(action: str, resource: Resource) -> Scope | None:
    """The scope to ask for before doing this; None where a token without any will do.

    A pusher is told to ask for pull too: it looks for what is there already with the same token.
    """
    covering = covering_scope(action, resource)
    if covering is None or ScopeWord.PUSH not in covering.actions:
        return covering
    return Scope(covering.type, covering.name, frozenset({ScopeWord.PULL, ScopeWord.PUSH}))


def covering_scope(action: str, resource: Resource) -> Scope | None:
    """The least scope that covers doing this, None where any token does; actions in no table are the admin API's."""
    needed = SCOPE_WORDS.get(action, (ScopeType.REGISTRY, ScopeWord.ALL))
    if needed is None:
        return None
    scope_type, word = needed
    if scope_type is ScopeType.REPOSITORY and resource.repository is not None:
        return Scope(scope_type, resource.repository, frozenset({word}))
    name = CATALOG if action in SCOPE_WORDS else ADMIN
    return Scope(ScopeType.REGISTRY, name, frozenset({ScopeWord.ALL}))


def _split(texts: Iterable[str]) -> Iterator[str]:
    characters = scopes = 0
    for text in texts:
        characters += len(text)
        if characters > _MAX_CHARACTERS:
            message = f"at most {_MAX_CHARACTERS} characters can be asked for at once"
            raise ScopeInvalid(message)
        for scope in filter(None, text.split(" ")):
            scopes += 1
            if scopes > _MAX_SCOPES:
                message = f"at most {_MAX_SCOPES} scopes can be asked for at once"
                raise ScopeInvalid(message)
            yield scope


def _parse_scope(text: str) -> Scope | None:
    """Read one scope; None where nobody could be granted it."""
    # A name may hold a host and its port: it is all there is between the first colon and the last.
    kind, first, rest = text.partition(":")
    name, last, listed = rest.rpartition(":")
    if not (first and last and kind and name):
        message = "a scope is written type:name:action,action"
        raise ScopeInvalid(message)
    try:
        scope_type = ScopeType(kind)
    except ValueError:
        return None
    actions = _parse_actions(scope_type, listed)
    nameable = is_repository_name(name) if scope_type is ScopeType.REPOSITORY else name in {CATALOG, ADMIN}
    return Scope(scope_type, name, actions) if actions and nameable else None


def _parse_actions(scope_type: ScopeType, listed: str) -> frozenset[ScopeWord]:
    grantable = _WORDS_OF[scope_type]
    asked = set(listed.split(","))
    return grantable if ScopeWord.ALL in asked else frozenset(word for word in grantable if word in asked)
