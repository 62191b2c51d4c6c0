"""What is remembered of logins that were right."""

from types import SimpleNamespace

from auth.recent_logins import RecentLogins

RIGHT = ("password", "hash")


def test_right_login_is_remembered_for_a_minute(clock: SimpleNamespace) -> None:
    """A client that sends Basic with every request costs one derivation a minute."""
    recent = RecentLogins(monotonic=lambda: clock.time)
    recent.remember("bob", RIGHT)

    clock.time += 59
    assert recent.confirms("bob", RIGHT)
    clock.time += 1

    assert not recent.confirms("bob", RIGHT)


def test_nobody_is_remembered_unproved() -> None:
    assert not RecentLogins().confirms("bob", RIGHT)


def test_wrong_login_forgets_the_right_one() -> None:
    """Guesses are compared with what is remembered once: the right one that comes after a wrong one is not told."""
    recent = RecentLogins()
    recent.remember("bob", RIGHT)

    assert not recent.confirms("bob", ("guess", "hash"))

    assert not recent.confirms("bob", RIGHT)


def test_changed_hash_voids_what_is_remembered() -> None:
    """After a password was changed, the one before it ends at the next request."""
    recent = RecentLogins()
    recent.remember("bob", RIGHT)

    assert not recent.confirms("bob", ("password", "changed hash"))


def test_proof_holds_for_who_gave_it_however_it_is_cut() -> None:
    """What one proved holds for no other."""
    recent = RecentLogins()
    recent.remember("bob", RIGHT)
    recent.remember("ann", RIGHT)

    assert not recent.confirms("robot", RIGHT)
    assert not recent.confirms("bob", ("passwordh", "ash"))
    assert recent.confirms("ann", RIGHT)


def test_memory_is_bounded_and_keeps_who_comes_back() -> None:
    """A crowd pushes the longest unseen out."""
    recent = RecentLogins()
    recent.remember("bob", RIGHT)
    recent.remember("ann", RIGHT)

    for number in range(1023):
        recent.remember(f"user{number}", RIGHT)
        assert recent.confirms("bob", RIGHT)

    assert not recent.confirms("ann", RIGHT)
    assert recent.confirms("user0", RIGHT)
