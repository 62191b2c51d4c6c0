"""How many refusals of one address the audit trail takes from strangers."""

from types import SimpleNamespace

import pytest

from registry.http.strangers import Strangers


@pytest.fixture
def clock() -> SimpleNamespace:
    return SimpleNamespace(now=0.0)


@pytest.fixture
def strangers(clock: SimpleNamespace) -> Strangers:
    """Three a minute."""
    return Strangers(3, lambda: float(clock.now))


def test_refusals_are_taken_up_to_the_bound(strangers: Strangers) -> None:
    assert [strangers.admit("192.0.2.1") for _ in range(5)] == [0, 0, 0, None, None]


def test_what_was_left_out_is_told_with_the_next_one(strangers: Strangers, clock: SimpleNamespace) -> None:
    for _ in range(5):
        strangers.admit("192.0.2.1")
    clock.now = 60

    assert [strangers.admit("192.0.2.1") for _ in range(4)] == [2, 0, 0, None]


def test_a_minute_begins_with_its_first_refusal(strangers: Strangers, clock: SimpleNamespace) -> None:
    clock.now = 30
    for _ in range(3):
        strangers.admit("192.0.2.1")
    clock.now = 89

    assert strangers.admit("192.0.2.1") is None


def test_addresses_are_counted_apart(strangers: Strangers) -> None:
    """But for those of one IPv6 customer."""
    for _ in range(3):
        strangers.admit("192.0.2.1")
        strangers.admit("2001:db8::1")

    assert strangers.admit("192.0.2.2") == 0
    assert strangers.admit("2001:db8::ffff") is None
    assert strangers.admit("2001:db8:1::1") == 0


def test_memory_is_bounded(strangers: Strangers) -> None:
    for number in range(25_000):
        strangers.admit(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")

    assert len(strangers._windows) <= 10_000
