"""Ratios are taken within each round, and the best peer is the best of those that were measured without errors."""

from bench.comparison import CPU, ERRORS, FIGURE, REQUESTS, TIME, beside, best, cpu, figure, ratio, table
from bench.rounds import Spread
from tests.bench.measured import measured


def test_ratios_are_of_figures_of_one_round() -> None:
    """So that a machine that is slow for a while is so for both."""
    rounds = [measured("push", "a", 10), measured("push", "b", 5), measured("push", "a", 40), measured("push", "b", 10)]

    assert ratio(rounds, "push", "a", "b") == Spread(3.0, 2.0, 4.0)


def test_what_was_not_measured_has_no_ratio() -> None:
    rounds = [measured("push", "a", 10)]

    assert ratio(rounds, "push", "a", "b") is None
    assert ratio(rounds, "push", "b", "a") is None


def test_the_best_rate_is_the_highest_and_the_best_time_the_shortest() -> None:
    rates = [measured("pull", "a", 10), measured("pull", "b", 20)]
    times = [measured("start", "a", 10, unit=TIME), measured("start", "b", 20, unit=TIME)]

    assert best(rates, "pull", ("a", "b"), figure) == "b"
    assert best(times, "start", ("a", "b"), figure) == "a"


def test_the_best_cost_is_the_lowest_of_any_row() -> None:
    rounds = [measured("pull", "a", 10, cpu_seconds=2), measured("pull", "b", 5, cpu_seconds=1)]

    assert best(rounds, "pull", ("a", "b"), cpu) == "b"


def test_who_had_errors_is_not_the_best() -> None:
    rounds = [measured("pull", "a", 10), measured("pull", "b", 20, errors=("refused",))]

    assert best(rounds, "pull", ("a", "b")) == "a"
    assert best(rounds, "pull", ("b",)) is None


def test_cpu_is_of_a_request_or_of_a_gibibyte() -> None:
    assert measured("push", "a", 10, cpu_seconds=2).cpu == 2.0
    assert measured("get", "a", 10, unit=REQUESTS, cpu_seconds=0.5, requests=10_000).cpu == 50.0


def test_a_table_has_a_line_for_each_row_and_registry() -> None:
    rounds = [
        measured("get", "a", 3000, unit=REQUESTS, cpu_seconds=0.5, requests=10_000),
        measured("get", "b", 1000, unit=REQUESTS, cpu_seconds=1, requests=10_000),
        measured("get", "a", 3400, unit=REQUESTS, cpu_seconds=0.5, requests=10_000),
        measured("get", "b", 1000, unit=REQUESTS, cpu_seconds=1, requests=10_000, errors=("no",)),
    ]

    assert table(rounds, (FIGURE, beside(rounds, "b"), CPU, ERRORS)) == [
        "| load | registry | median (min-max) | beside b | CPU | errors |",
        "| --- | --- | --- | --- | --- | --- |",
        "| get | a | 3200 requests/s (3000-3400) | 3.20 (3.00-3.40) | 50 µs | 0 |",
        "| get | b | 1000 requests/s (1000-1000) | 1.00 (1.00-1.00) | 100 µs | 1 |",
    ]


def test_small_figures_keep_a_digit() -> None:
    assert FIGURE.cell([measured("push", "a", 4.25)]) == "4.2 MiB/s (4.2-4.2)"
    assert FIGURE.cell([measured("start", "a", 850, unit=TIME)]) == "850.00 ms (850.00-850.00)"
