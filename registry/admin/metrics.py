"""`GET /metrics`: the numbers of all workers in Prometheus' format."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Final

from aiohttp import web
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import CollectorRegistry

from registry.core.metrics import OVERFLOW, WORKER_RESTARTS, Counts, Metric
from registry.release import release


class Exposition:
    """Renders the shared counts; `metrics` says what the keys mean, and a key of no metric is left out."""

    def __init__(self, counts: Counts, metrics: Sequence[Metric]) -> None:
        self._counts = counts
        self._metrics = (*metrics, WORKER_RESTARTS, OVERFLOW)
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    def describe(self) -> Iterable[Family]:
        """Nothing to tell ahead of a scrape."""
        return ()

    def collect(self) -> Iterator[Family]:
        """Sum the counts of all workers, metric by metric."""
        build = GaugeMetricFamily("lading_build_info", "Which version answers.", labels=("version", "python"))
        build.add_metric((release(), sys.version.split()[0]), 1)
        yield build
        series: dict[str, dict[tuple[str, ...], float]] = {metric.name: {} for metric in self._metrics}
        for key, total in self._counts.totals().items():
            name, *values = key.split("\n")
            if name in series:
                series[name][tuple(values)] = total
        for metric in self._metrics:
            render = _histogram if metric.kind == "histogram" else _counter
            yield render(metric, series[metric.name])

    def text(self, accept: str) -> tuple[bytes, str]:
        """Render for an Accept header; the body and its content type."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type


EXPOSITION: Final = web.AppKey("exposition", Exposition)


async def metrics(request: web.Request) -> web.Response:
    """Show the numbers of all workers."""
    body, content_type = request.app[EXPOSITION].text(request.headers.get("Accept", ""))
    return web.Response(body=body, headers={"Content-Type": content_type})


def _counter(metric: Metric, series: Mapping[tuple[str, ...], float]) -> Family:
    family = CounterMetricFamily(metric.name, metric.description, labels=metric.labels)
    for values, total in series.items() or [((), 0.0)] * (not metric.labels):
        family.add_metric(values, total)
    return family


def _histogram(metric: Metric, series: Mapping[tuple[str, ...], float]) -> Family:
    family = HistogramMetricFamily(metric.name, metric.description, labels=metric.labels)
    bounds = [*(str(float(bound)) for bound in metric.buckets), "+Inf"]
    for *values, last in series:
        if last == "sum":
            counts = accumulate(series.get((*values, str(bucket)), 0.0) for bucket in range(len(bounds)))
            family.add_metric(values, buckets=list(zip(bounds, counts, strict=True)), sum_value=series[*values, last])
    return family
