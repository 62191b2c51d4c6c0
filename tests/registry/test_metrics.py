"""Metrics: counted in shared memory, summed over workers, shown as Prometheus reads them."""

import os

from registry.admin.metrics import Exposition
from registry.core.metrics import Counts, Metric
from registry.http.metrics import HTTP_METRICS, RequestMetrics


def _pull(metrics: RequestMetrics, seconds: float = 0.0025) -> None:
    metrics.observe(method="GET", action="pull", status=200, seconds=seconds, received_bytes=3, sent_bytes=100)


def test_counts_are_summed_over_writers() -> None:
    """Any reader sees what all have counted."""
    counts = Counts(writers=2)
    first, second = counts.writer(0), counts.writer(1)

    first.add(first.slot("a"), 2)
    second.add(second.slot("b"))
    second.add(second.slot("a"), 0.5)

    assert counts.totals() == {"a": 2.5, "b": 1.0}


def test_successor_goes_on_where_a_dead_writer_stopped() -> None:
    """Nothing that was counted is lost or counted twice."""
    counts = Counts()
    pid = os.fork()
    if pid == 0:
        writer = counts.writer(0)
        writer.slot("other")
        writer.add(writer.slot("a"), 2)
        os._exit(0)
    os.waitpid(pid, 0)

    writer = counts.writer(0)
    writer.add(writer.slot("a"))

    assert counts.totals() == {"other": 0.0, "a": 3.0}


def test_full_region_counts_the_rest_under_one_key() -> None:
    """However many series there are, memory is bounded and nothing fails."""
    counts = Counts()
    writer = counts.writer(0)

    for number in range(5000):
        writer.add(writer.slot(f"key {number}"))
    writer.add(counts.writer(0).slot("x" * 200))

    totals = counts.totals()
    assert len(totals) == 4096
    assert totals["lading_metrics_overflow_total"] == 5001 - 4095
    assert totals["key 4094"] == 1.0


def test_requests_are_shown_by_method_action_and_status() -> None:
    """Rates, errors and sizes can be told apart by what was done."""
    counts = Counts(writers=2)
    for index in range(2):
        _pull(RequestMetrics(counts.writer(index)))
    RequestMetrics(counts.writer(0)).observe(
        method="BREW", action="none", status=405, seconds=0, received_bytes=0, sent_bytes=0
    )

    text, content_type = Exposition(counts, HTTP_METRICS).text("")
    lines = text.decode().splitlines()

    assert content_type.startswith("text/plain; version=")
    assert 'lading_http_requests_total{action="pull",method="GET",status="200"} 2.0' in lines
    assert 'lading_http_requests_total{action="none",method="other",status="405"} 1.0' in lines
    assert 'lading_http_request_bytes_total{action="pull"} 6.0' in lines
    assert 'lading_http_response_bytes_total{action="pull"} 200.0' in lines
    assert "lading_worker_restarts_total 0.0" in lines
    assert any(line.startswith("lading_build_info{") for line in lines)


def test_histogram_bounds_are_inclusive_and_cumulative() -> None:
    """As Prometheus defines `le`."""
    counts = Counts()
    metrics = RequestMetrics(counts.writer(0))
    for seconds in (0.001, 0.0025, 0.0026, 1000.0):
        _pull(metrics, seconds)

    lines = Exposition(counts, HTTP_METRICS).text("")[0].decode().splitlines()

    assert 'lading_http_request_seconds_bucket{action="pull",le="0.001"} 1.0' in lines
    assert 'lading_http_request_seconds_bucket{action="pull",le="0.0025"} 2.0' in lines
    assert 'lading_http_request_seconds_bucket{action="pull",le="300.0"} 3.0' in lines
    assert 'lading_http_request_seconds_bucket{action="pull",le="+Inf"} 4.0' in lines
    assert 'lading_http_request_seconds_count{action="pull"} 4.0' in lines


def test_label_values_are_escaped() -> None:
    """A value with quotes cannot forge a series."""
    counts = Counts()
    metric = Metric("things_total", "Things.", "counter", labels=("name",))
    writer = counts.writer(0)
    writer.add(writer.slot(metric.key('a"b')))

    assert b'things_total{name="a\\"b"} 1.0' in Exposition(counts, [metric]).text("")[0]
