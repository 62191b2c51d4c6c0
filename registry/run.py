"""What one start of the server has in common, and which of its workers this is."""

from dataclasses import dataclass, field

from registry.core.metrics import Counts


@dataclass(frozen=True, slots=True)
class Run:
    """Drawn by the supervisor and handed to each worker; a restarted worker keeps its index and gets the same epoch."""

    epoch: bytes
    """32 random bytes, drawn once when the supervisor starts."""
    worker: int
    """Index of the worker, from 0."""
    started_at: float
    """When the supervisor started, in seconds since 1970."""
    counts: Counts = field(default_factory=Counts, compare=False, repr=False)
    """The numbers behind the metrics, shared by all workers; the worker writes the region of its index."""
