"""How much a command loads before it does what it was asked."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

# a server, a client, a migration, the other database: half a second of a person's time together
HEAVY = {"aiohttp", "alembic", "asyncpg", "rich", "sqlalchemy.orm", "registry.oci", "registry.server"}
PROGRAM = "import json, sys; from registry.__main__ import main; main(sys.argv[1:]); print(json.dumps([*sys.modules]))"


@pytest.mark.parametrize(
    "words",
    [
        ("user", "list"),
        ("group", "list"),
        ("role", "list"),
        ("key", "list", "--user", "admin"),
        ("policy", "list"),
        ("signing", "list"),
        ("audit", "search"),
        ("audit", "verify"),
    ],
    ids=" ".join,
)
def test_command_loads_nothing_that_it_does_not_need(root: Path, words: tuple[str, ...]) -> None:
    """A command on a data directory speaks no HTTP and knows one database."""
    environment = os.environ | {"LADING_STORAGE__ROOT": str(root)}
    command = [sys.executable, "-c", PROGRAM, *words]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True, text=True)

    assert HEAVY & set(json.loads(ran.stdout.splitlines()[-1])) == set()
