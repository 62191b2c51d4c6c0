"""Users, roles and groups: making, changing and removing them, one transaction each.

- Names are checked here, once; nobody is named like an access key.
- Disabling a user, or giving it another password, ends its tokens at the next request.
- The root user cannot be disabled, deleted, or put under policies.
"""

import math
import re
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from auth.credentials import has_control_characters, is_access_key_id
from auth.errors import AccountNameInvalid, AlreadyThere, NotThere, PasswordRefused, RootProtected
from auth.passwords import Passwords
from auth.policy.document import PolicyKind
from auth.policy.parsing import parse_policy
from auth.principals import PrincipalKind
from auth.tags import write_tags
from storage.metadata import groups, principals
from storage.metadata.database import Database
from storage.metadata.principals import NewPrincipal, StoredPrincipal

if TYPE_CHECKING:
    from sqlalchemy import Connection

_NAME = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII)
_MOST_PASSWORD_CHARACTERS: Final = 1024


def is_name(name: str) -> bool:
    """Whether a user, group, role or policy can have this name."""
    return _NAME.fullmatch(name) is not None and not is_access_key_id(name)


def check_name(name: str) -> str:
    """The name, if a user, group, role or policy can have it; raises AccountNameInvalid."""
    if not is_name(name):
        raise AccountNameInvalid(name)
    return name


def check_password(password: str) -> str:
    """The password, if somebody could log in with it; raises PasswordRefused."""
    if not 0 < len(password) <= _MOST_PASSWORD_CHARACTERS or has_control_characters(password):
        raise PasswordRefused
    return password


def after_all_tokens(now: float, valid_after: float = 0) -> float:
    """The first second that no token of now or earlier is dated in; a token is dated no later than `valid_after`.

    Tokens are dated in whole seconds, so one that is fetched after a change in the same second needs another date.
    """
    return max(math.floor(now), valid_after) + 1


class Accounts:
    """The users, roles and groups of one account."""

    def __init__(self, database: Database, account_id: str, passwords: Passwords, now: Callable[[], float]) -> None:
        self._database = database
        self._account_id = account_id
        self._passwords = passwords
        self._now = now

    async def create_user(
        self, name: str, password: str | None = None, tags: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        """Make a user, without a password unless one is given; raises AlreadyThere or TagsInvalid."""
        check_name(name)
        written = write_tags(tags)
        password_hash = None if password is None else await self._passwords.hash(check_password(password))
        await self._create(self._new(name, PrincipalKind.USER, password_hash=password_hash, tags=written))

    async def create_role(self, name: str, trust_policy: str) -> None:
        """Make a role that this trust policy lets others assume; raises AlreadyThere or PolicyInvalid."""
        parse_policy(trust_policy, PolicyKind.TRUST)
        await self._create(self._new(check_name(name), PrincipalKind.ROLE, trust_policy=trust_policy))

    async def user(self, name: str) -> StoredPrincipal:
        """A user, or the root user; raises NotThere."""
        return await self._database.read(partial(require_user, name=name))

    async def update_user(
        self, name: str, *, disabled: bool | None = None, tags: Mapping[str, str] | None = None
    ) -> None:
        """Change what is given, in one transaction; raises NotThere, RootProtected or TagsInvalid.

        A disabled user is refused whatever it sends, its tokens and access keys included; one that is enabled again is
        let in, though not with tokens from before.
        """
        fields: dict[str, str | float] = {} if tags is None else {"tags": write_tags(tags)}

        def change(connection: "Connection") -> None:
            user = _require_changeable(connection, name)
            if disabled is not None:
                fields["is_disabled"] = disabled
            if disabled:
                fields["valid_after"] = after_all_tokens(self._now(), user.valid_after)
            if fields:
                principals.change_principal(connection, name, user.kind, **fields)

        await self._database.write(change)

    async def set_password(self, name: str, password: str) -> None:
        """Give a user another password, which ends what was opened with the one before; raises NotThere."""
        password_hash = await self._passwords.hash(check_password(password))

        def change(connection: "Connection") -> None:
            user = require_user(connection, name)
            valid_after = after_all_tokens(self._now(), user.valid_after)
            principals.change_principal(
                connection, name, user.kind, password_hash=password_hash, valid_after=valid_after
            )

        await self._database.write(change)

    async def delete_user(self, name: str) -> None:
        """Remove a user with its keys, memberships and policies; raises NotThere or RootProtected."""

        def change(connection: "Connection") -> None:
            _require_changeable(connection, name)
            principals.delete_principal(connection, name, PrincipalKind.USER.value)

        await self._database.write(change)

    async def delete_role(self, name: str) -> None:
        """Remove a role with its policies; raises NotThere."""
        removed = await self._database.write(lambda c: principals.delete_principal(c, name, PrincipalKind.ROLE.value))
        if not removed:
            raise NotThere("role", name)

    async def create_group(self, name: str) -> None:
        """Make a group; raises AlreadyThere."""
        now = self._now()
        check_name(name)
        if not await self._database.write(lambda c: groups.add_group(c, name, now)):
            raise AlreadyThere("group", name)

    async def delete_group(self, name: str) -> None:
        """Remove a group with its policies; its members stay. Raises NotThere."""
        if not await self._database.write(lambda c: groups.delete_group(c, name)):
            raise NotThere("group", name)

    async def add_member(self, group: str, user: str) -> None:
        """Put a user into a group, where it may be already; raises NotThere or RootProtected."""

        def change(connection: "Connection") -> None:
            require_group(connection, group)
            _require_changeable(connection, user)
            groups.add_member(connection, group, user)

        await self._database.write(change)

    async def remove_member(self, group: str, user: str) -> None:
        """Take a user out of a group, where it may not be; raises NotThere."""

        def change(connection: "Connection") -> None:
            require_group(connection, group)
            require_user(connection, user)
            groups.remove_member(connection, group, user)

        await self._database.write(change)

    async def _create(self, new: NewPrincipal) -> None:
        now = self._now()
        if not await self._database.write(lambda c: principals.add_principal(c, new, now)):
            raise AlreadyThere(new.kind, new.name)

    def _new(
        self,
        name: str,
        kind: PrincipalKind,
        *,
        password_hash: str | None = None,
        trust_policy: str | None = None,
        tags: str = "{}",
    ) -> NewPrincipal:
        return NewPrincipal(
            account_id=self._account_id,
            name=name,
            kind=kind.value,
            password_hash=password_hash,
            trust_policy=trust_policy,
            valid_after=after_all_tokens(self._now()),  # those of somebody who had the name before open nothing
            tags=tags,
        )


def require_user(connection: "Connection", name: str) -> StoredPrincipal:
    """A user, or the root user, as it is in this transaction; raises NotThere."""
    found = principals.find_principal(connection, name)
    if found is None:
        raise NotThere("user", name)
    return found


def require_role(connection: "Connection", name: str) -> StoredPrincipal:
    """A role as it is in this transaction; raises NotThere."""
    found = principals.find_role(connection, name)
    if found is None:
        raise NotThere("role", name)
    return found


def _require_changeable(connection: "Connection", name: str) -> StoredPrincipal:
    found = require_user(connection, name)
    if found.kind == PrincipalKind.ROOT.value:
        raise RootProtected(name)
    return found


def require_group(connection: "Connection", name: str) -> str:
    """The name of a group that is there in this transaction; raises NotThere."""
    if not groups.is_group(connection, name):
        raise NotThere("group", name)
    return name
