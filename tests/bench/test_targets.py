"""A target says what was found and whether that is enough; it fails nothing."""

from bench.comparison import TIME, cpu, peak
from bench.targets import Target
from tests.bench.measured import measured

_ROUNDS = [
    measured("pull of 1 MiB", "ours", 30, cpu_seconds=1),
    measured("pull of 1 MiB", "slow", 10, cpu_seconds=4),
    measured("pull of 1 MiB", "fast", 20, cpu_seconds=8),
]


def test_a_rate_is_compared_with_the_best_of_the_others() -> None:
    target = Target("pull *", "ours", ("slow", "fast", "absent"), 1.5)

    assert list(target.verdicts(_ROUNDS)) == ["pull of 1 MiB: ours 1.50 of fast, at least 1.5: reached"]


def test_a_cost_is_compared_with_the_lowest_of_the_others() -> None:
    target = Target("pull *", "ours", ("slow", "fast"), 0.2, is_least=False, kind=cpu)

    assert list(target.verdicts(_ROUNDS)) == ["pull of 1 MiB: CPU, ours 0.25 of slow, at most 0.2: MISSED"]


def test_a_figure_without_others_is_compared_with_the_bound() -> None:
    started = [measured("start", "ours", 850, unit=TIME)]

    assert list(Target("start", "ours", (), 900, is_least=False).verdicts(started)) == [
        "start: ours 850.00 ms, at most 900: reached"
    ]
    assert list(Target("pull *", "ours", (), 100, is_least=False, kind=peak).verdicts(_ROUNDS)) == [
        "pull of 1 MiB: peak memory, ours 120.00 MiB, at most 100: MISSED"
    ]


def test_a_row_can_be_compared_with_another() -> None:
    rounds = [measured("many", "ours", 10, cpu_seconds=2), measured("few", "ours", 10, cpu_seconds=2)]
    target = Target("many", "ours", (), 1.1, is_least=False, kind=cpu, other_row="few")

    assert list(target.verdicts(rounds)) == ["many: CPU, ours 1.00 of «few», at most 1.1: reached"]


def test_what_was_not_measured_has_no_verdict() -> None:
    assert list(Target("push *", "ours", ("slow",), 1.0).verdicts(_ROUNDS)) == []
    assert list(Target("pull *", "ours", ("absent",), 1.0).verdicts(_ROUNDS)) == []
    assert list(Target("pull *", "absent", ("slow",), 1.0).verdicts(_ROUNDS)) == []
