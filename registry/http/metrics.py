"""What is counted for every answered request."""

from bisect import bisect_left
from typing import Final

from registry.core.metrics import CountWriter, Metric

REQUESTS: Final = Metric(
    "lading_http_requests_total", "Answered requests.", "counter", labels=("method", "action", "status")
)
SECONDS: Final = Metric(
    "lading_http_request_seconds",
    "Time from the head of a request to the end of its answer.",
    "histogram",
    labels=("action",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
)
REQUEST_BYTES: Final = Metric(
    "lading_http_request_bytes_total", "Bytes of request bodies received.", "counter", labels=("action",)
)
RESPONSE_BYTES: Final = Metric(
    "lading_http_response_bytes_total", "Bytes of answer bodies sent.", "counter", labels=("action",)
)
HTTP_METRICS: Final = (REQUESTS, SECONDS, REQUEST_BYTES, RESPONSE_BYTES)

_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_BOUNDS: Final = SECONDS.buckets


class RequestMetrics:
    """Counts the requests that one worker answers."""

    def __init__(self, counts: CountWriter) -> None:
        self._counts = counts
        self._requests: dict[tuple[str, str, int], int] = {}
        self._actions: dict[str, tuple[int, int, int, list[int]]] = {}

    def observe(
        self, *, method: str, action: str, status: int, seconds: float, received_bytes: int, sent_bytes: int
    ) -> None:
        """Count one request; `action` is a name from the route table or "none", never a caller's text."""
        slot = self._requests.get((method, action, status))
        if slot is None:
            slot = self._request_slot(method, action, status)
        series = self._actions.get(action)
        if series is None:
            series = self._action_slots(action)
        received, sent, total, buckets = series
        add = self._counts.add
        add(slot)
        if received_bytes:
            add(received, received_bytes)
        add(sent, sent_bytes)
        add(total, seconds)
        add(buckets[bisect_left(_BOUNDS, seconds)])

    def _request_slot(self, method: str, action: str, status: int) -> int:
        if method not in _METHODS:
            return self._counts.slot(REQUESTS.key("other", action, str(status)))
        slot = self._counts.slot(REQUESTS.key(method, action, str(status)))
        self._requests[method, action, status] = slot
        return slot

    def _action_slots(self, action: str) -> tuple[int, int, int, list[int]]:
        counts = self._counts
        slots = (
            counts.slot(REQUEST_BYTES.key(action)),
            counts.slot(RESPONSE_BYTES.key(action)),
            counts.slot(SECONDS.key(action, "sum")),
            [counts.slot(SECONDS.key(action, str(bucket))) for bucket in range(len(_BOUNDS) + 1)],
        )
        self._actions[action] = slots
        return slots
