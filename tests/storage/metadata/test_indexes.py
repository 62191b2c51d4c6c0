"""Look-ups that requests wait for use an index, and so does everything that follows a deletion."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine

from storage.metadata import schema
from storage.metadata.access_keys import find_access_key, list_access_keys
from storage.metadata.blobs import StoredBlob, find_blob, find_stored_copy, hold_blobs, link_blob, sizes_of
from storage.metadata.domain_keys import find_key, newest_key
from storage.metadata.generation import current_generation
from storage.metadata.groups import groups_of, list_members
from storage.metadata.policies import (
    boundary_of,
    find_registry_policy,
    find_repository_policy,
    find_repository_rules,
    policies_of,
)
from storage.metadata.principals import find_principal, find_role, list_principals
from storage.metadata.reencryption import (
    ManifestPlace,
    Wanted,
    count_replaced,
    find_stale_manifest,
    has_replaced,
    list_replaced,
    list_stale_copies,
    list_stale_manifests,
    replace_copy,
    targets_of,
)
from storage.metadata.repositories import domain_of
from storage.metadata.secrets_key import read_secrets_key

_COPY = StoredBlob(1, "a", 1, "a")

_LOOK_UPS: dict[str, Callable[[Connection], object]] = {
    "domain_of": lambda c: domain_of(c, "a"),
    "find_blob": lambda c: find_blob(c, "a", "b"),
    "find_stored_copy": lambda c: find_stored_copy(c, "a", "b"),
    "sizes_of": lambda c: sizes_of(c, 1, ["a", "b"]),
    "hold_blobs": lambda c: hold_blobs(c, 1, ["a", "b"]),
    "link_blob": lambda c: link_blob(c, repository_id=1, digest="a", blob_id=1, now=1.0),
    "newest_key": lambda c: newest_key(c, "a"),
    "find_key": lambda c: find_key(c, b"a", 1),
    "read_secrets_key": read_secrets_key,
    "list_replaced": lambda c: list_replaced(c, before=1.0, limit=10),
    "has_replaced": has_replaced,
    "count_replaced": count_replaced,
    "list_stale_copies": lambda c: list_stale_copies(c, Wanted(seals=True), after=1, limit=10),
    "list_stale_copies of a domain": lambda c: list_stale_copies(c, Wanted(seals=True, domain="a"), after=1, limit=10),
    "list_stale_copies that are sealed": lambda c: list_stale_copies(c, Wanted(seals=False), after=1, limit=10),
    "list_stale_manifests": lambda c: list_stale_manifests(
        c, Wanted(seals=True, domain="a"), after=ManifestPlace(1, "a"), limit=10
    ),
    "find_stale_manifest": lambda c: find_stale_manifest(c, Wanted(seals=True), ManifestPlace(1, "a")),
    "targets_of": lambda c: targets_of(c, _COPY, Wanted(seals=True)),
    "replace_copy": lambda c: replace_copy(c, _COPY, None, "a", 1.0),
    "find_principal": lambda c: find_principal(c, "a"),
    "find_role": lambda c: find_role(c, "a"),
    "list_principals": lambda c: list_principals(c, "user", after="", limit=10),
    "find_access_key": lambda c: find_access_key(c, "a"),
    "list_access_keys": lambda c: list_access_keys(c, "a"),
    "current_generation": current_generation,
    "groups_of": lambda c: groups_of(c, 1),
    "list_members": lambda c: list_members(c, "a"),
    "policies_of": lambda c: policies_of(c, 1),
    "boundary_of": lambda c: boundary_of(c, 1),
    "find_repository_policy": lambda c: find_repository_policy(c, "a"),
    "find_repository_rules": lambda c: find_repository_rules(c, ["a", "b"]),
    "find_registry_policy": find_registry_policy,
}


@pytest.mark.parametrize("name", _LOOK_UPS)
def test_a_look_up_reads_no_whole_table(tmp_path: Path, name: str) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'registry.db'}")
    schema.REGISTRY.create_all(engine)
    asked: list[str] = []
    with engine.connect() as connection:
        driver: Any = connection.connection.driver_connection
        driver.set_trace_callback(asked.append)  # hears what goes past SQLAlchemy too
        _LOOK_UPS[name](connection)
        driver.set_trace_callback(None)
        plans = [step[3] for sql in asked if sql != "BEGIN " for step in driver.execute(f"EXPLAIN QUERY PLAN {sql}")]
    engine.dispose()

    assert asked
    tables = "|".join(schema.REGISTRY.tables)
    bounded = "USING INDEX ix_blob_deleting"  # holds what is to be removed, and is empty mostly
    scans = [plan for plan in plans if re.match(rf"SCAN ({tables})\b", plan) and bounded not in plan]
    assert scans == []


def test_every_reference_to_what_can_be_deleted_is_indexed() -> None:
    """A deletion looks for what points to the row."""
    unindexed = [
        f"{table.name}.{key.column_keys[0]}"
        for table in schema.REGISTRY.tables.values()
        for key in table.foreign_key_constraints
        if key.referred_table is not schema.account
        and key.column_keys[0]
        not in {
            next(iter(columns)).name
            for columns in (table.primary_key.columns, *(index.columns for index in table.indexes))
        }
    ]

    assert unindexed == []
