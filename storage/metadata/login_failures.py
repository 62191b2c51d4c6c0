"""Failed logins: rows of the activity database that count wrong passwords for a while.

- A row counts from its first wrong password on; when its time is over it is as if it were not there.
- A check is counted before it is made and settled afterwards, each in one statement: no two workers count past a bound.
"""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, bindparam, case, delete, not_, select, update

from storage.metadata.activity_schema import login_failure
from storage.metadata.database import insert

_ROW = login_failure.c


@dataclass(frozen=True, slots=True)
class Moment:
    """When it is, in seconds since the epoch, and for how long wrong passwords count."""

    now: float
    counted_seconds: float


@dataclass(frozen=True, slots=True)
class LoginFailures:
    """Wrong passwords, and those being checked, since `began_at`."""

    failures: int
    checking: int
    began_at: float


# Asked before every check: built once, for building a statement costs more than running it.
_ROWS = select(_ROW.id, _ROW.failures, _ROW.checking, _ROW.began_at).where(
    _ROW.id.in_([bindparam("first"), bindparam("second")]),
    _ROW.began_at > bindparam("after"),
    _ROW.began_at < bindparam("before"),
)


def find_login_failures(connection: Connection, ids: tuple[str, str], moment: Moment) -> dict[str, LoginFailures]:
    """What counts at this moment under two ids, by id."""
    first, second = ids
    after, before = moment.now - moment.counted_seconds, moment.now + moment.counted_seconds
    rows = connection.execute(_ROWS, {"first": first, "second": second, "after": after, "before": before})
    return {id: LoginFailures(failures, checking, began_at) for id, failures, checking, began_at in rows}  # noqa: A001


def begin_check(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
    moment: Moment,
    *,
    most: int,
) -> float | None:
    """Count one more check; returns `began_at` of its row, None when `most` are wrong or being checked already."""
    counts = _counts(moment)
    begun = (
        insert(connection, login_failure)
        .values(id=id, failures=0, checking=1, began_at=moment.now)
        .on_conflict_do_update(
            index_elements=["id"],
            set_={
                "failures": case((counts, _ROW.failures), else_=0),
                "checking": case((counts, _ROW.checking + 1), else_=1),
                "began_at": case((counts, _ROW.began_at), else_=moment.now),
            },
            where=not_(counts) | (_ROW.failures + _ROW.checking < most),
        )
        .returning(_ROW.began_at)
    )
    began_at: float | None = connection.execute(begun).scalar_one_or_none()
    return began_at


def end_check(
    connection: Connection,
    id: str,  # noqa: A002  what everybody calls it
    began_at: float,
    *,
    failed: bool,
) -> None:
    """Settle a check that was counted, unless all that was counted with it is forgotten."""
    connection.execute(
        update(login_failure)
        .where(_ROW.id == id, _ROW.began_at == began_at)
        .values(checking=_ROW.checking - 1, failures=_ROW.failures + int(failed))
    )


def forget_login_failures(connection: Connection, moment: Moment) -> None:
    """Remove the rows that count no longer."""
    connection.execute(delete(login_failure).where(not_(_counts(moment))))


def _counts(moment: Moment) -> ColumnElement[bool]:
    """Whether a row counts; one from the future, after a clock was set back, does not."""
    return (_ROW.began_at > moment.now - moment.counted_seconds) & (_ROW.began_at < moment.now + moment.counted_seconds)
