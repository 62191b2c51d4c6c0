"""`lading migrate`: of a registry that is there, and of nothing else."""

from pathlib import Path

from tests.registry.commands.conftest import Run


def test_registry_of_this_version_is_left_as_it_is(lading: Run) -> None:
    assert lading("migrate").out == "the databases have the schema of this version\n"


def test_wrong_directory_gets_no_registry(lading: Run, tmp_path: Path) -> None:
    """Whoever mistypes the data directory is told so, and not that all is well."""
    (tmp_path / "empty").mkdir()

    missing = lading("migrate", "--root", str(tmp_path / "typo"))
    empty = lading("migrate", "--root", str(tmp_path / "empty"))

    assert (missing.code, missing.err) == (
        1,
        f"lading: there is no data directory {tmp_path / 'typo'}: name it with --root\n",
    )
    assert empty.code == 1
    assert list((tmp_path / "empty").iterdir()) == []
    assert not (tmp_path / "typo").exists()
