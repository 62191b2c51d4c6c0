"""The metadata tests run on both databases."""

from tests.contracts.database_fixtures import (
    activity,
    database,
    kind,
    other_activity,
    other_database,
    place,
    template,
    unmade,
)

__all__ = ["activity", "database", "kind", "other_activity", "other_database", "place", "template", "unmade"]
