"""Passwords: the hashes, the equal work, the short queue."""

import asyncio
import threading

import pytest

from auth.errors import TooManyLogins
from auth.passwords import Passwords, generate_password, verify_password


class Verifications:
    """A verification that knows one password, and what it was asked."""

    def __init__(self, password: str = "right") -> None:
        self.password = password
        self.asked: list[tuple[str, str]] = []

    def __call__(self, password: str, phc: str) -> bool:
        self.asked.append((password, phc))
        return password == self.password


async def test_hash_is_argon2id_with_the_chosen_cost(passwords: Passwords) -> None:
    """What a stolen database costs to crack is decided here, not by a library's default."""
    stored = await passwords.hash("correct horse")

    assert stored.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_password_matches_its_own_hash_only(passwords: Passwords) -> None:
    """The right password is taken, any other refused."""
    stored = await passwords.hash("correct horse")

    assert await passwords.check("correct horse", stored)
    assert not await passwords.check("Correct horse", stored)
    assert not await passwords.check("", stored)


async def test_same_password_is_hashed_with_another_salt(passwords: Passwords) -> None:
    """Equal passwords cannot be told from their hashes."""
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_text_beyond_ascii_is_hashed_as_utf8(passwords: Passwords) -> None:
    """A password may be written in any script."""
    stored = await passwords.hash("пароль")

    assert verify_password("пароль", stored)


async def test_damaged_hash_matches_nothing(passwords: Passwords) -> None:
    """A hash that cannot be read locks its user out and nobody in."""
    assert not await passwords.check("", "$argon2id$v=19$m=1")


async def test_unknown_user_costs_a_real_verification() -> None:
    """Whether a user exists cannot be told from how long the answer takes: a hash of the same make is checked."""
    verify = Verifications()
    passwords = Passwords(verify=verify)
    stored = await passwords.hash("right")

    assert not await passwords.check("right", None)

    [(password, phc)] = verify.asked
    assert password == "right"
    assert [len(part) for part in phc.split("$")] == [len(part) for part in stored.split("$")]
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


class Held:
    """A verification that stands still until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.count = 0

    def __call__(self, _password: str, _phc: str) -> bool:
        self.count += 1
        return self.go.wait(10)


async def begun(passwords: Passwords, checks: int) -> list[asyncio.Task[bool]]:
    """So many checks, all of which hold a place."""
    tasks = [asyncio.ensure_future(passwords.check("right", "hash")) for _ in range(checks)]
    await asyncio.sleep(0)
    return tasks


async def test_no_more_checks_wait_than_are_made_in_a_second() -> None:
    """Two are made and 64 wait; the next is refused at once, and those that wait are answered."""
    verify = Held()
    passwords = Passwords(verify=verify)
    tasks = await begun(passwords, 66)

    with pytest.raises(TooManyLogins):
        await passwords.check("right", "hash")
    verify.go.set()

    assert await asyncio.gather(*tasks) == [True] * 66
    assert await passwords.check("right", "hash")
    assert verify.count == 67


async def test_unknown_user_waits_in_the_same_queue() -> None:
    """A full queue tells nothing of who exists."""
    verify = Held()
    passwords = Passwords(verify=verify)
    tasks = await begun(passwords, 66)

    with pytest.raises(TooManyLogins):
        await passwords.check("right", None)

    verify.go.set()
    await asyncio.gather(*tasks)


async def test_cancelled_check_frees_its_place_and_is_never_made() -> None:
    """Nothing is derived for a client that went away while it waited."""
    verify = Held()
    passwords = Passwords(verify=verify)
    tasks = await begun(passwords, 66)

    for task in tasks[2:]:
        task.cancel()
    await asyncio.wait(tasks[2:])
    others = await begun(passwords, 64)
    verify.go.set()

    assert await asyncio.gather(*tasks[:2], *others) == [True] * 66
    assert verify.count == 66


def test_generated_password_can_be_read_out() -> None:
    """Four groups of five, with nothing that is easily confused and no colon, which ends a user name."""
    assert generate_password(lambda letters: letters[0]) == "aaaaa-aaaaa-aaaaa-aaaaa"
    assert not set("01ilo:") & set(generate_password())


def test_generated_passwords_differ() -> None:
    """There is no default password."""
    assert generate_password() != generate_password()
