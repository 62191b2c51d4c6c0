"""Both metadata databases, held to the same promises."""

import pytest

pytest.register_assert_rewrite("tests.contracts.database")

# The suite is imported once its asserts are explained.
from tests.contracts.database import *  # noqa: E402, F403  # every test of it
from tests.contracts.database_fixtures import (  # noqa: E402
    database,
    kind,
    other_database,
    place,
    template,
)

__all__ = ["database", "kind", "other_database", "place", "template"]
