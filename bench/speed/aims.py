"""What Lading should come to beside its peers."""

from bench.comparison import cpu, peak
from bench.files import DISTRIBUTION_TOKENS, LADING_OPEN, LADING_SEALED
from bench.peers import LADING
from bench.speed.competitors import PEERS
from bench.targets import Target

# What all streams of a worker may hold, for two of them.
_IDLE_MIB, _STREAMS_MIB = 160, 2 * 64
_WHOLE, _PIECES = "POST, PUT", "POST, PATCHes of 16 MiB, PUT"


def _aim(rows: str, rate: float, cost: float | None = None) -> list[Target]:
    """At least so much of the best peer's rate, and at most so much of the CPU time of the one that needs least."""
    found = [Target(rows, LADING, PEERS, rate)]
    return found if cost is None else [*found, Target(rows, LADING, PEERS, cost, is_least=False, kind=cpu)]


def _sealed(rows: str, rate: float) -> Target:
    return Target(rows, LADING_SEALED, PEERS, rate)


def _flat(rows: str, beside: str) -> Target:
    return Target(rows, LADING, (), 1.1, is_least=False, kind=cpu, other_row=beside)


TARGETS = (
    *_aim("manifest by *", 3.0, 0.35),
    *_aim("HEAD manifest *", 3.0, 0.35),
    _flat("manifest by tag, 10,000 tags", "manifest by tag"),
    *(
        Target(f"{rows}, tokens", LADING, (other,), bound)
        for rows in ("manifest by *", "HEAD manifest *")
        for other, bound in ((DISTRIBUTION_TOKENS, 5.0), (LADING_OPEN, 0.9))
    ),
    *_aim("HEAD blob", 2.0, 0.5),
    *_aim("blob of 1 KiB, *", 2.0, 0.5),
    *_aim("tags list of 10,000", 4.0),
    *_aim("tags page of 100 of 10,000", 50.0),
    *_aim("catalog of *", 10.0),
    *_aim("catalog page of *", 10.0),
    *_aim("referrers of 50", 5.0),
    *_aim("tag moved, 10,000 tags", 1.0),
    _flat("tag moved, 10,000 tags", "tag moved, 10 tags"),
    *_aim("pull of 100 MiB, 1 at once", 1.5, 0.5),
    *_aim("pull of 100 MiB, 8 at once", 2.0, 0.5),
    *_aim("pull of 1 MiB, 8 at once", 1.2, 0.9),
    *_aim(f"push of 100 MiB, 1 at once, {_WHOLE}", 1.1, 0.8),
    *_aim(f"push of 100 MiB, 8 at once, {_WHOLE}", 1.1, 0.8),
    *_aim(f"push of 100 MiB, 32 at once, {_WHOLE}", 1.2, 0.8),
    *_aim(f"push of 10 MiB, 8 at once, {_WHOLE}", 1.1, 0.85),
    *_aim(f"push of 1 MiB, 8 at once, {_WHOLE}", 1.1, 0.85),
    *_aim(f"push of *, {_PIECES}", 1.0, 0.85),
    *_aim("push of images *", 1.3),
    *_aim("pull of images *", 1.3),
    Target("push of 100 MiB, *", LADING_SEALED, (LADING,), 0.85),
    _sealed("push of 100 MiB, *", 1.0),
    _sealed("pull of 100 MiB, 8 at once", 1.0),
    _sealed("pull of 1 MiB, 8 at once", 0.8),
    Target("first start", LADING, (), 900, is_least=False),
    Target("start again, *", LADING, (), 1.1, is_least=False, other_row="start again"),
    Target("memory after a start", LADING, (), _IDLE_MIB, is_least=False),
    Target("push of 100 MiB, 32 at once, *", LADING, (), _IDLE_MIB + _STREAMS_MIB, is_least=False, kind=peak),
)
