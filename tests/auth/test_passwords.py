"""Passwords: the hashes, the equal work, the short memory."""

from types import SimpleNamespace

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

    assert await passwords.check("bob", "correct horse", stored)
    assert not await passwords.check("bob", "Correct horse", stored)
    assert not await passwords.check("bob", "", stored)


async def test_same_password_is_hashed_with_another_salt(passwords: Passwords) -> None:
    """Equal passwords cannot be told from their hashes."""
    assert await passwords.hash("correct horse") != await passwords.hash("correct horse")


async def test_text_beyond_ascii_is_hashed_as_utf8(passwords: Passwords) -> None:
    """A password may be written in any script."""
    stored = await passwords.hash("пароль")

    assert verify_password("пароль", stored)


async def test_damaged_hash_matches_nothing(passwords: Passwords) -> None:
    """A hash that cannot be read locks its user out and nobody in."""
    assert not await passwords.check("bob", "", "$argon2id$v=19$m=1")


async def test_unknown_user_costs_a_real_verification() -> None:
    """Whether a user exists cannot be told from how long the answer takes: a hash of the same make is checked."""
    verify = Verifications()
    passwords = Passwords(verify=verify)
    stored = await passwords.hash("right")

    assert not await passwords.check("nobody", "right", None)

    [(password, phc)] = verify.asked
    assert password == "right"
    assert [len(part) for part in phc.split("$")] == [len(part) for part in stored.split("$")]
    assert phc.startswith("$argon2id$v=19$m=19456,t=2,p=1$")


async def test_successful_check_is_remembered_for_a_minute(clock: SimpleNamespace) -> None:
    """A client that sends Basic with every request costs one derivation a minute."""
    verify = Verifications()
    passwords = Passwords(verify=verify, monotonic=lambda: clock.time)

    for seconds in (0, 59):
        clock.time += seconds
        assert await passwords.check("bob", "right", "hash")
    assert len(verify.asked) == 1
    clock.time += 1
    assert await passwords.check("bob", "right", "hash")

    assert len(verify.asked) == 2


async def test_failed_check_is_not_remembered() -> None:
    """A wrong password is looked at each time."""
    verify = Verifications()
    passwords = Passwords(verify=verify)

    for _ in range(2):
        assert not await passwords.check("bob", "wrong", "hash")

    assert len(verify.asked) == 2


async def test_changed_hash_voids_what_is_remembered() -> None:
    """After a password was changed, the one before it ends at the next request."""
    verify = Verifications()
    passwords = Passwords(verify=verify)
    assert await passwords.check("bob", "right", "hash")
    verify.password = "changed"

    assert not await passwords.check("bob", "right", "changed hash")


async def test_memory_confuses_neither_users_nor_passwords() -> None:
    """What one user proved holds for no other, however name and password are cut."""
    verify = Verifications()
    passwords = Passwords(verify=verify)
    assert await passwords.check("bob", "right", "hash")
    verify.password = "none"

    assert not await passwords.check("bobr", "ight", "hash")
    assert not await passwords.check("bo", "bright", "hash")


async def test_memory_is_bounded() -> None:
    """A crowd of users pushes the longest unseen out."""
    verify = Verifications()
    passwords = Passwords(verify=verify)

    for number in range(1025):
        await passwords.check(f"user{number}", "right", "hash")
    await passwords.check("user1024", "right", "hash")
    assert len(verify.asked) == 1025
    await passwords.check("user0", "right", "hash")

    assert len(verify.asked) == 1026


async def test_memory_keeps_who_comes_back() -> None:
    """A user who is seen again is not pushed out by a crowd of others."""
    verify = Verifications()
    passwords = Passwords(verify=verify)

    await passwords.check("bob", "right", "hash")
    for number in range(1500):
        await passwords.check(f"user{number}", "right", "hash")
        await passwords.check("bob", "right", "hash")

    assert len(verify.asked) == 1501


def test_generated_password_can_be_read_out() -> None:
    """Four groups of five, with nothing that is easily confused and no colon, which ends a user name."""
    assert generate_password(lambda letters: letters[0]) == "aaaaa-aaaaa-aaaaa-aaaaa"
    assert not set("01ilo:") & set(generate_password())


def test_generated_passwords_differ() -> None:
    """There is no default password."""
    assert generate_password() != generate_password()
