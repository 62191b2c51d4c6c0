"""When a worker that died is started again."""

from registry.supervisor import Restarts


def test_worker_that_lived_is_started_at_once() -> None:
    """One death in a long life says nothing about the next life."""
    assert Restarts().delay(60.0, was_ready=True) == 0.0


def test_quick_deaths_are_followed_by_longer_and_longer_waits() -> None:
    """A worker that cannot live does not burn the machine."""
    restarts = Restarts(attempts=6, first_delay_seconds=0.5, longest_delay_seconds=2.0)

    assert [restarts.delay(0.1, was_ready=False) for _ in range(6)] == [0.5, 1.0, 2.0, 2.0, 2.0, None]


def test_long_life_ends_a_row_of_quick_deaths() -> None:
    """Only deaths in a row mean that there is no point."""
    restarts = Restarts(attempts=3, first_delay_seconds=0.5)
    restarts.delay(0.1, was_ready=False)
    restarts.delay(0.1, was_ready=False)

    assert restarts.delay(60.0, was_ready=True) == 0.0
    assert restarts.delay(0.1, was_ready=False) == 0.5


def test_worker_that_was_ready_is_started_again_for_ever() -> None:
    """Whatever kills it again and again, the others serve."""
    restarts = Restarts(attempts=3, first_delay_seconds=0.5, longest_delay_seconds=2.0)

    assert [restarts.delay(0.1, was_ready=True) for _ in range(2000)] == [0.5, 1.0] + [2.0] * 1998
