"""Waiting for clients: those that send little, and those that have only just begun."""

from itertools import accumulate

from registry.http.waiting import Pace


def test_after_the_first_turn_in_which_little_came_the_client_is_asked_again_at_once() -> None:
    assert Pace().pause_after(is_little=True) <= 0.001


def test_a_client_that_goes_on_sending_little_is_asked_less_and_less_but_often_enough() -> None:
    pace = Pace()
    pauses = [pace.pause_after(is_little=True) for _ in range(20)]
    assert pauses == sorted(pauses)
    assert pauses[-1] == 0.05
    assert list(accumulate(pauses))[5] < 0.1


def test_there_is_no_pause_after_a_turn_in_which_much_came() -> None:
    pace = Pace()
    assert [pace.pause_after(is_little=False) for _ in range(3)] == [0, 0, 0]
    assert pace.pause_after(is_little=True) <= 0.001


def test_a_client_whose_pauses_are_just_long_enough_keeps_them() -> None:
    """Else it would have seven turns with little for each with much."""
    pace = Pace()
    for _ in range(10):
        pace.pause_after(is_little=True)
    pace.pause_after(is_little=False)
    assert pace.pause_after(is_little=True) == 0.025
