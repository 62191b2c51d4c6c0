"""`lading doctor`: what is not well, and what to do about it."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from storage.keyfile import fingerprint, load_root_keys, make_root_key
from tests.contracts.s3_places import BUCKET, s3_server
from tests.registry.commands.conftest import Run
from tests.s3.server import S3Server


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        yield server


def in_bucket(server: S3Server, bucket: str = BUCKET) -> list[str]:
    place = {"backend": "s3", "bucket": bucket, "endpoint_url": server.url, "prefix": "x"}
    return [word for key, value in place.items() for word in ("--set", f"storage.{key}={value}")]


def test_a_registry_on_a_disk_is_well(lading: Run) -> None:
    ran = lading("doctor")

    assert ran.code == 0
    assert [line.split()[:3] for line in ran.out.splitlines()[:-1]] == [
        ["ok", "settings", "settings"],
        ["ok", "database", "registry"],
        ["ok", "database", "activity"],
        ["ok", "keys", "root"],
        ["ok", "content", "owner"],
        ["ok", "content", "directory"],
    ]
    assert ran.out.splitlines()[-1] == "6 looked at: 0 failed, 0 to know of"


def test_a_registry_in_a_bucket_is_well(lading: Run, server: S3Server) -> None:
    """Nothing of the look is left in the bucket."""
    seen = lading("doctor", "--json", *in_bucket(server)).document

    assert {row["verdict"] for row in seen} == {"ok", "warning"}
    assert [row["subject"] for row in seen if row["verdict"] == "warning"] == ["owner", "lifecycle rules"]
    assert server.bucket(BUCKET).objects == {}
    assert server.bucket(BUCKET).uploads == {}


def test_a_bucket_that_does_not_exist_fails(lading: Run, server: S3Server) -> None:
    ran = lading("doctor", *in_bucket(server, "nobody-made-this"))

    assert ran.code == 1
    assert "the bucket nobody-made-this does not exist: make it, or correct storage.bucket" in ran.out


def test_content_of_another_registry_fails(lading: Run, root: Path) -> None:
    (root / "blobs/.store").write_text("another\n")

    ran = lading("doctor")

    assert ran.code == 1
    assert "failed   content   owner" in ran.out
    assert "another" in ran.out


def test_settings_that_cannot_be_served_with_fail(lading: Run, tmp_path: Path) -> None:
    ran = lading("doctor", "--tls-certificate", str(tmp_path / "none"), "--tls-key", str(tmp_path / "none"))

    assert ran.code == 1
    assert "failed   settings" in ran.out


def test_an_outdated_database_fails(lading: Run, root: Path) -> None:
    with sqlite3.connect(root / "activity.db") as database:
        database.execute("UPDATE alembic_version SET version_num = '0001'")
    database.close()

    ran = lading("doctor")

    assert ran.code == 1
    assert "the database is at schema 0001, this version needs" in ran.out


def test_before_the_first_start_it_says_so(lading: Run, tmp_path: Path) -> None:
    ran = lading("doctor", "--root", str(tmp_path / "nothing"))

    assert (ran.code, ran.err) == (0, "")
    assert "start `lading serve` once" in ran.out
    assert not (tmp_path / "nothing").exists()


def test_a_bucket_can_be_looked_at_before_the_first_start(lading: Run, server: S3Server, tmp_path: Path) -> None:
    """A look makes no database."""
    (tmp_path / "empty").mkdir()

    ran = lading("doctor", "--root", str(tmp_path / "empty"), *in_bucket(server))

    assert ran.code == 0, ran.out
    assert "ok       content   write" in ran.out
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_key_that_wraps_is_named(lading: Run, root: Path) -> None:
    """It opened what the database keeps, wrapped it again, and opened that."""
    (row,) = [row for row in lading("doctor", "--json").document if row["part"] == "keys"]

    assert row["verdict"] == "ok"
    assert row["detail"] == f"wraps and unwraps (local:{fingerprint(load_root_keys(root / 'root.key')[0])})"


def test_a_key_file_that_others_can_read_fails(lading: Run, root: Path) -> None:
    (root / "root.key").chmod(0o640)

    ran = lading("doctor")

    assert ran.code == 1
    assert (
        f"failed   keys      root key             key file {root}/root.key is open to other users: run chmod" in ran.out
    )


def test_the_key_of_another_registry_fails(lading: Run, root: Path) -> None:
    (root / "root.key").unlink()
    make_root_key(root / "root.key")

    ran = lading("doctor")

    assert ran.code == 1
    assert f"key file {root}/root.key is not the one this database was made with" in ran.out


def test_a_kms_that_is_away_fails(lading: Run) -> None:
    """Whatever wraps the secrets now: it is what wraps from now on."""
    place = {"mode": "aws-kms", "kms_key_id": "alias/lading", "kms_endpoint_url": "http://127.0.0.1:1"}

    ran = lading("doctor", *(word for key, value in place.items() for word in ("--set", f"encryption.{key}={value}")))

    assert ran.code == 1
    assert "failed   keys      root key             the key management service" in ran.out


def test_a_key_file_is_not_missed_before_the_first_start(lading: Run, server: S3Server, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    ran = lading("doctor", "--root", str(tmp_path / "empty"), *in_bucket(server))

    assert "root.key is not there yet: the first `lading serve` makes it" in ran.out
