"""`lading encryption convert`, `rotate --reencrypt`: content becomes what the settings say, and is served meanwhile."""

import asyncio
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from contextlib import closing
from pathlib import Path

import pytest

from registry.jobs.reencryption import Reencrypting
from storage.digest import Digest
from tests.http.client import ADMIN
from tests.registry.commands.conftest import Run
from tests.registry.commands.content import ALPHA, TEAM, copies, opened, push, read, traces
from tests.registry.commands.served import served
from tests.registry.core.services import Clock

CANARY = b"a canary that sings in plain"
OFF = ("--set", "encryption.mode=off")


@pytest.fixture
def plain(lading: Run, root: Path) -> Path:
    """A registry of before encryption: a blob in two domains, and a manifest."""
    lading("repo", "create", TEAM.text, "--encryption", "KMS", "--kms-key", "alias/team")
    asyncio.run(push(root, CANARY, b"more", canary=CANARY.decode()))
    asyncio.run(push(root, CANARY, to=TEAM))
    assert {"registry.db"} <= {name.removesuffix("-wal") for name in traces(root, CANARY)}
    return root


def sealed_with(root: Path) -> list[tuple[str, int]]:
    """Domain and version of what every blob and manifest that is served is sealed with."""
    with closing(sqlite3.connect(root / "registry.db")) as database:
        rows: list[tuple[str, int]] = database.execute(
            "SELECT domain, key_version FROM blob WHERE state = 'stored' "
            "UNION ALL SELECT domain, key_version FROM manifest"
        ).fetchall()
    return sorted(rows)


def test_nothing_plain_is_left_of_what_is_encrypted_in_place(lading: Run, plain: Path) -> None:
    """Not in the database's free pages, nor in its log."""
    ran = lading("encryption", "convert", "--grace", "0")

    assert (ran.code, ran.err) == (0, "")
    assert re.fullmatch(r"rewrote 3 objects, \d+ bytes; all is encrypted with the newest key of its domain\n", ran.out)
    assert sealed_with(plain) == [("AES256", 1)] * 3 + [("alias/team", 1)]
    assert traces(plain, CANARY) == []
    assert asyncio.run(read(plain, CANARY, TEAM)) == CANARY


def test_nothing_is_left_of_destroyed_keys(lading: Run, plain: Path) -> None:
    with closing(sqlite3.connect(plain / "registry.db")) as database, database:
        ((wrapped,),) = database.execute("SELECT wrapped FROM domain_key WHERE domain = 'alias/team'").fetchall()
        lading("encryption", "destroy", "alias/team")
        database.execute("UPDATE encryption_domain SET destroy_at = 1 WHERE name = 'alias/team'")
    assert traces(plain, wrapped)

    lading("encryption", "destroy", "alias/team")

    assert traces(plain, wrapped) == []


def test_everything_is_plain_again_with_mode_off(lading: Run, plain: Path) -> None:
    lading("encryption", "convert", "--grace", "0")

    ran = lading("encryption", "convert", "--grace", "0", *OFF)

    assert ran.out.endswith("; nothing is encrypted any more\n")
    assert sealed_with(plain) == [("", 0)] * 3
    assert sorted(copies(plain)) == [CANARY, b"more"]


def test_what_was_done_is_told_to_programs(lading: Run, plain: Path) -> None:
    words = ("encryption", "convert", "--grace", "0", "--domain", "alias/team", "--json")

    assert lading(*words).document == {
        "rewritten": 1,
        "rewritten_bytes": len(CANARY),
        "failed": [],
        "others": 0,
        "is_forgotten": True,
    }
    assert lading(*words).document["rewritten"] == 0
    assert sealed_with(plain) == [("", 0)] * 3 + [("alias/team", 1)]


def test_what_stays_as_it_was_is_named(lading: Run, plain: Path) -> None:
    """The rest is rewritten."""
    for path in (plain / "blobs").rglob("[!.]*"):
        if path.is_file() and path.read_bytes() == b"more":
            path.write_bytes(b"less")

    ran = lading("encryption", "convert", "--grace", "0")
    report = json.loads(lading("encryption", "convert", "--grace", "0", "--json").out)

    problem = "its bytes are not what its digest names"
    assert ran.code == 1
    assert f"{Digest.of(b'more')}: {problem}\n" in ran.out
    assert "1 stay as they were: push them again or delete them, then run this again" in ran.out
    assert report["failed"] == [{"digest": str(Digest.of(b"more")), "problem": problem}]
    assert sealed_with(plain)[0] == ("", 0)


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("convert", "--domain", "x"), 1, "there is no encryption domain x"),
        (("convert", "--grace", "-1"), 2, "a grace is 0 to 86400 seconds"),
        (("rotate", "--domain", "AES256", "--reencrypt", *OFF), 2, "encryption.mode is off: nothing is encrypted"),
    ],
)
def test_failure_says_what_to_do(lading: Run, words: tuple[str, ...], code: int, complaint: str) -> None:
    ran = lading("encryption", *words)

    assert (ran.code, complaint in ran.err) == (code, True)
    assert len(lading("encryption", "list", "--json").document) == 1


def test_a_domain_is_rewritten_with_its_next_key(lading: Run, plain: Path) -> None:
    """What is plain in it too."""
    asyncio.run(push(plain, b"sealed", seals=True))

    ran = lading("encryption", "rotate", "--domain", "AES256", "--reencrypt", "--grace", "0")

    assert ran.code == 0, ran.err
    assert "version 2 of the key of AES256 encrypts whatever is pushed from now on" in ran.out
    assert "rewrote 4 objects" in ran.out
    assert sealed_with(plain) == [("", 0)] + [("AES256", 2)] * 4


def test_a_server_is_asked_to_rewrite_a_domain(lading: Run, plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """How much is left can be seen; it does so as long as it takes, and then no more."""
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    with served(plain) as url:
        asked = lading("encryption", "rotate", "--domain", "AES256", "--reencrypt", "--server", url)
        shown = lading("encryption", "show", "AES256", "--server", url)

    assert "is rewritten with it in the background" in asked.out
    assert re.search(r"^re-encryption +under way: 2 blobs, 1 manifests are left$", shown.out, re.MULTILINE)
    asyncio.run(_do_the_job(plain))
    after = lading("encryption", "show", "AES256")
    assert re.search(r"^re-encryption +none asked for$", after.out, re.MULTILINE)
    assert re.search(r"^version 2 +current: 2 blobs, 1 manifests$", after.out, re.MULTILINE)


async def _do_the_job(root: Path) -> None:
    async with opened(root, seals=True) as (databases, content):
        await Reencrypting(databases.registry, content.places, content.seals, Clock(), encrypts=True).run()


def test_a_conversion_that_was_killed_is_gone_on_with(lading: Run, plain: Path) -> None:
    blobs = [b"blob %d" % number for number in range(60)]
    asyncio.run(push(plain, *blobs))
    command = subprocess.Popen(
        [sys.executable, "-m", "registry", "encryption", "convert", "--root", str(plain)],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    while ("AES256", 1) not in sealed_with(plain):
        assert command.poll() is None
    command.send_signal(signal.SIGKILL)
    command.wait()
    before = len(sealed_with(plain)) - sealed_with(plain).count(("", 0))

    ran = lading("encryption", "convert", "--grace", "0")

    assert 0 < before < len(blobs)
    assert ran.code == 0
    assert set(sealed_with(plain)) == {("AES256", 1), ("alias/team", 1)}
    assert asyncio.run(read(plain, blobs[-1])) == blobs[-1]


def test_content_is_served_while_it_is_converted(lading: Run, plain: Path) -> None:
    """To and fro, under pulls without a pause."""
    answers: list[bytes] = []
    is_over = threading.Event()

    def pull(url: str) -> None:
        path = f"{url}/v2/{ALPHA.text}/blobs/{Digest.of(CANARY)}"
        while not is_over.is_set():
            with urllib.request.urlopen(urllib.request.Request(path, headers={"Authorization": ADMIN})) as answer:
                answers.append(answer.read())

    with served(plain) as url:
        puller = threading.Thread(target=pull, args=(url,))
        puller.start()
        codes = [lading("encryption", "convert", "--grace", "0.1", *mode).code for mode in ((), OFF, ())]
        is_over.set()
        puller.join(timeout=10)

    assert codes == [0, 0, 0]
    assert len(answers) > 10
    assert set(answers) == {CANARY}
