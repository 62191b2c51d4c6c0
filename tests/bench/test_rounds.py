"""Rounds go by turns, each begun by another registry, and end in time."""

from bench.rounds import Planned, Schedule, Spread, rotated


def test_another_one_begins_each_round() -> None:
    assert [rotated("abc", count) for count in range(4)] == [
        ["a", "b", "c"],
        ["b", "c", "a"],
        ["c", "a", "b"],
        ["a", "b", "c"],
    ]
    assert rotated((), 3) == []


def test_every_row_gets_its_rounds_by_turns() -> None:
    schedule = Schedule[str, str]([Planned("push", 2), Planned("pull", 1)], ("a", "b"), 60.0)

    assert [(row, peer) for row, peer, _ in schedule.run(lambda row, peer: row + peer)] == [
        ("push", "a"),
        ("push", "b"),
        ("pull", "a"),
        ("pull", "b"),
        ("push", "b"),
        ("push", "a"),
    ]


def test_a_row_may_name_its_peers() -> None:
    schedule = Schedule[str, str]([Planned("push", 1, ("c",)), Planned("pull", 1)], ("a", "b"), 60.0)

    assert [(row, peer) for row, peer, _ in schedule.run(lambda row, peer: row + peer)] == [
        ("push", "c"),
        ("pull", "a"),
        ("pull", "b"),
    ]


def test_no_round_begins_when_the_time_is_up() -> None:
    schedule = Schedule[str, str]([Planned("push", 2)], ("a",), 0.0)

    assert list(schedule.run(lambda row, peer: row + peer)) == []


def test_a_spread_has_the_middle_and_the_ends() -> None:
    assert Spread.of([3.0, 1.0, 8.0]) == Spread(3.0, 1.0, 8.0)
