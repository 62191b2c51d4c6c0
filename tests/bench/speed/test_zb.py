"""What zot's benchmark says is put in a table, whatever else it writes."""

from bench.speed.zb import table

_SAID = """
Preparing test data ...
============
Test name:\tPush Monolith 1MB
Time taken for tests:\t1.2s
Requests per second:\t44.08
Complete requests:\t8
Failed requests:\t0
min: 10ms
max: 80ms
p50:\t61.1ms
p99:\t77.4ms
============
Test name:\tPull 1MB
Requests per second:\t57.8
Failed requests:\t3
"""


def test_each_test_has_a_row() -> None:
    assert table(_SAID)[2:] == [
        "| Push Monolith 1MB | 44.08 | 0 | 61.1ms | 77.4ms |",
        "| Pull 1MB | 57.8 | 3 | - | - |",
    ]


def test_nothing_said_is_an_empty_table() -> None:
    assert table("") == ["| zb, on Lading | requests/s | failed | p50 | p99 |", "| --- | --- | --- | --- | --- |"]
