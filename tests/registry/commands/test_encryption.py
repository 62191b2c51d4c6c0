"""`lading encryption`, and the encryption of `lading repo`."""

import base64
import re
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from storage.keyfile import load_root_keys
from tests.registry.commands.conftest import Run
from tests.registry.commands.served import served


def test_a_repository_is_made_with_its_encryption(lading: Run) -> None:
    lading("repo", "create", "plain")
    lading("repo", "create", "own", "--encryption", "KMS", "--kms-key", "alias/team")
    lading("repo", "create", "managed", "--encryption", "KMS")

    assert re.search(r"encryption +AES256$", lading("repo", "show", "plain").out, re.MULTILINE)
    assert re.search(r"encryption +KMS alias/team$", lading("repo", "show", "own").out, re.MULTILINE)
    assert lading("repo", "show", "managed", "--json").document["encryption"] == {
        "type": "KMS",
        "kms_key": "alias/aws/ecr",
    }


def test_keys_are_listed_for_programs_and_for_people(lading: Run) -> None:
    lading("encryption", "rotate", "--domain", "AES256")

    rows = lading("encryption", "list", "--json").document

    assert [(row["domain"], row["version"], row["state"]) for row in rows] == [
        ("AES256", 1, "retired"),
        ("AES256", 2, "current"),
    ]
    assert re.search(r"^AES256 +2 +current +\S+Z +local:[0-9a-f]{64}$", lading("encryption", "list").out, re.MULTILINE)


def test_the_root_key_is_rotated(lading: Run, root: Path) -> None:
    """Everything is done with the next one; the one before is gone."""
    (before,) = load_root_keys(root / "root.key")

    rotated = lading("encryption", "rotate")

    (after,) = load_root_keys(root / "root.key")
    assert after != before
    assert "wraps the keys of all encryption domains (1)" in rotated.out
    assert lading("key", "create", "--user", "admin", "--json").code == 0
    assert lading("signing", "list").code == 0


def test_a_rotation_that_was_interrupted_is_finished_by_the_next(lading: Run, root: Path) -> None:
    (before,) = load_root_keys(root / "root.key")
    lading("encryption", "rotate")
    (after,) = load_root_keys(root / "root.key")
    with (root / "root.key").open("a") as file:
        file.write(_line(before))

    assert lading("encryption", "list").code == 0
    lading("encryption", "rotate")

    assert load_root_keys(root / "root.key") == (after,)


def test_a_domain_is_shown_with_what_it_encrypts(lading: Run) -> None:
    shown = lading("encryption", "show", "AES256")

    assert re.search(r"^version 1 +current: 0 blobs, 0 manifests$", shown.out, re.MULTILINE)
    assert re.search(r"^not encrypted +0 blobs, 0 manifests$", shown.out, re.MULTILINE)


def test_a_domain_is_destroyed_in_two_steps_and_kept_in_between(lading: Run) -> None:
    lading("repo", "create", "own", "--encryption", "KMS", "--kms-key", "alias/team")

    planned = lading("encryption", "destroy", "alias/team", "--after", "3600")
    early = lading("encryption", "destroy", "--domain", "alias/team")
    kept = lading("encryption", "destroy", "alias/team", "--cancel")

    assert "nothing in alias/team can be read or written from now on" in planned.out
    assert early.code == 1
    assert "run the same command again then, or call it off with `lading encryption destroy alias/team --cancel`" in (
        early.err
    )
    assert kept.out == "the encryption domain alias/team is in use again\n"


def test_the_second_step_destroys_the_keys(lading: Run, root: Path) -> None:
    lading("repo", "create", "own", "--encryption", "KMS", "--kms-key", "alias/team")
    lading("encryption", "destroy", "alias/team")
    with closing(sqlite3.connect(root / "registry.db")) as database, database:
        database.execute("UPDATE encryption_domain SET destroy_at = 1 WHERE name = 'alias/team'")

    destroyed = lading("encryption", "destroy", "alias/team")
    refused = lading("repo", "create", "more", "--encryption", "KMS", "--kms-key", "alias/team")

    assert "the keys of alias/team are destroyed" in destroyed.out
    assert lading("encryption", "list", "--json").document[1]["state"] == "destroyed"
    assert "destruction" in lading("encryption", "show", "alias/team").out
    assert (refused.code, "were destroyed" in refused.err) == (1, True)


def test_keys_are_looked_after_on_a_server(lading: Run, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LADING_PASSWORD", "correct-horse")
    (before,) = load_root_keys(root / "root.key")
    with served(root) as url:
        lading("repo", "create", "own", "--encryption", "KMS", "--kms-key", "alias/team", "--server", url)
        rotated = lading("encryption", "rotate", "--domain", "alias/team", "--server", url)
        turned = lading("encryption", "rotate", "--server", url)
        rows = lading("encryption", "list", "--json", "--server", url).document
        shown = lading("encryption", "show", "alias/team", "--server", url)
        planned = lading("encryption", "destroy", "alias/team", "--server", url)

    assert "version 2 of the key of alias/team" in rotated.out
    assert "wraps the keys of all encryption domains (3)" in turned.out
    assert load_root_keys(root / "root.key") != (before,)
    assert [(row["domain"], row["version"]) for row in rows] == [("AES256", 1), ("alias/team", 1), ("alias/team", 2)]
    assert "alias/team" in shown.out
    assert planned.code == 0


def test_what_was_done_is_in_the_audit_trail(lading: Run) -> None:
    """With the domain that it was done to."""
    lading("encryption", "rotate")
    lading("encryption", "rotate", "--domain", "AES256")

    events = lading("audit", "search", "--json").document

    found = [(event["action"], event["resource"].rpartition(":")[2]) for event in events]
    assert sorted(found) == [("lading:RotateEncryptionKey", "encryption-domain/AES256"), ("lading:RotateRootKey", "*")]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (("encryption", "rotate", "--reencrypt"), 2, "--reencrypt goes with --domain"),
        (("encryption", "rotate", "--domain", "x"), 1, "there is no encryption domain x: list them with"),
        (("encryption", "show", "x"), 1, "there is no encryption domain x"),
        (("encryption", "destroy"), 2, "name one encryption domain"),
        (("encryption", "destroy", "a", "--domain", "b"), 2, "name one encryption domain"),
        (("encryption", "destroy", "a", "--cancel", "--after", "9999"), 2, "--cancel takes no --after"),
        (("encryption", "destroy", "AES256"), 1, "is the registry's default and cannot be destroyed"),
        (("encryption", "destroy", "x", "--after", "1"), 1, "after_seconds: Input should be greater than or equal"),
        (("repo", "create", "a", "--encryption", "DES"), 2, "invalid choice"),
        (("repo", "create", "a", "--kms-key", "alias/team"), 1, "a KMS key goes with the encryption type KMS"),
    ],
)
def test_failure_says_what_to_do(lading: Run, words: tuple[str, ...], code: int, complaint: str) -> None:
    ran = lading(*words)

    assert ran.code == code
    assert complaint in ran.err


def _line(key: bytes) -> str:
    return base64.b64encode(key).decode() + "\n"
