"""What is said of stored objects that turn out to be damaged: to the metrics, the log and the audit trail."""

from collections.abc import Callable

from auth.actions import Resource
from auth.authorizer import REGION
from registry.core.audit import AuditTrail
from registry.core.damage import DAMAGED_OBJECTS, Damage
from registry.core.metrics import CountWriter
from registry.logs import logger
from storage.metadata.audit_event import QUARANTINE, THE_REGISTRY, AuditEvent, EventKind, Verdict


class DamageReports:
    """Tells who runs the registry; `now` is in seconds since the epoch."""

    def __init__(self, counts: CountWriter, trail: AuditTrail, account_id: str, now: Callable[[], float]) -> None:
        self._counts = counts
        self._trail = trail
        self._account_id = account_id
        self._now = now

    async def hear(self, damage: Damage) -> None:
        """Count it and log it; returns when it is in the audit trail, on the disk."""
        self._counts.add(self._counts.slot(DAMAGED_OBJECTS.key(damage.kind)))
        logger().error(
            "a stored object is damaged and not served any more: push it again to repair it",
            digest=damage.digest,
            repository=damage.repository.text,
            kind=damage.kind.value,
            reason=damage.reason,
        )
        await self._trail.record(self._event(damage))

    def _event(self, damage: Damage) -> AuditEvent:
        repository = Resource.of_repository(damage.repository.text, account_id=self._account_id, region=REGION)
        return AuditEvent(
            at=self._now(),
            event=EventKind.DAMAGE,
            principal=THE_REGISTRY,
            source="",
            action=QUARANTINE,
            resource=repository.arn,
            decision=Verdict.ALLOWED,
            request_id="",
            details={"digest": damage.digest, "reason": damage.reason},
        )
