"""Domains with keys and repositories, and how their content may be wanted."""

from sqlalchemy import Connection

from storage.metadata.domain_keys import NewKey, StoredDomain, add_domain, add_key
from storage.metadata.reencryption import Wanted
from tests.storage.metadata.rows import make_repository, put_in_domain

SEALED, PLAIN = Wanted(seals=True), Wanted(seals=False)
ONE, TWO = Wanted(seals=True, domain="one"), Wanted(seals=True, domain="two")


def make_domains(connection: Connection, versions: int = 2) -> None:
    """The domains `one`, whose key was rotated, and `two`; each has a repository of its name."""
    for name, newest in (("one", versions), ("two", 1)):
        add_domain(connection, StoredDomain(name, name.encode() * 5, None, 1.0))
        for version in range(1, newest + 1):
            add_key(connection, NewKey(name, version, "root", b"wrapped"), 1.0)
        put_in_domain(connection, make_repository(connection, name), name)
