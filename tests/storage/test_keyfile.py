"""The root key's file."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import KeyFileInvalid
from storage.keyfile import fingerprint, load_or_create_root_key

KEY = bytes(range(32))
TEXT = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def test_missing_file_is_made_for_its_owner_only(path: Path) -> None:
    """The file holds base64 text, mode 0600, and nothing is left beside it."""
    key = load_or_create_root_key(path, create=True, random_bytes=lambda _: KEY)

    assert key == KEY
    assert path.read_bytes() == TEXT
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_mode_does_not_depend_on_the_umask(path: Path) -> None:
    """A lax umask opens the file to nobody."""
    umask = os.umask(0)
    try:
        load_or_create_root_key(path, create=True)
    finally:
        os.umask(umask)

    assert path.stat().st_mode & 0o777 == 0o600


def test_existing_file_is_read_and_kept(path: Path) -> None:
    """A key that exists is never replaced."""
    put(path, TEXT)

    assert load_or_create_root_key(path, create=True) == KEY
    assert path.read_bytes() == TEXT


def test_missing_file_is_refused_when_it_must_be_there(path: Path) -> None:
    """A registry that was made with a key does not start with a fresh one."""
    with pytest.raises(KeyFileInvalid, match="missing"):
        load_or_create_root_key(path, create=False)
    assert not path.exists()


def test_processes_that_start_together_get_one_key(path: Path) -> None:
    """Whoever is first makes the key; nobody reads half a file."""
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: load_or_create_root_key(path, create=True), range(32)))

    assert len(set(keys)) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o602, 0o666, 0o777])
def test_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    """A key that others can read or change stops the start and says what to do."""
    put(path, TEXT, mode)

    with pytest.raises(KeyFileInvalid, match=f"chmod 600 {path}"):
        load_or_create_root_key(path, create=True)


def test_read_only_file_is_taken(path: Path) -> None:
    """A secret mounted by an orchestrator is often 0400."""
    put(path, TEXT, 0o400)

    assert load_or_create_root_key(path, create=False) == KEY


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_owner_is_refused(path: Path) -> None:
    """Its owner could read and change the key."""
    put(path, TEXT)
    os.chown(path, 65534, -1)

    with pytest.raises(KeyFileInvalid, match="belongs to user 65534"):
        load_or_create_root_key(path, create=False)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", TEXT[:20], b"A" * 44, TEXT.strip() + TEXT, KEY, b"!" * 44, b"A" * 10_000],
    ids=["empty", "blank", "torn", "33 bytes", "twice", "raw", "not base64", "long"],
)
def test_file_that_holds_no_key_is_refused(path: Path, content: bytes) -> None:
    """A torn or foreign file is told apart from a wrong key."""
    put(path, content)

    with pytest.raises(KeyFileInvalid, match="base64"):
        load_or_create_root_key(path, create=True)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe must not stop the start for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)

    for path in (tmp_path, pipe):
        with pytest.raises(KeyFileInvalid, match="regular file"):
            load_or_create_root_key(path, create=True)


def test_directory_that_is_missing_is_a_fact(tmp_path: Path) -> None:
    """The message names the place."""
    with pytest.raises(KeyFileInvalid, match="missing"):
        load_or_create_root_key(tmp_path / "none" / "root.key", create=False)


def test_refusal_shows_nothing_of_the_content(path: Path) -> None:
    """A file that is almost a key may be a secret of another kind."""
    put(path, b"canary")

    with pytest.raises(KeyFileInvalid) as raised:
        load_or_create_root_key(path, create=False)
    assert "canary" not in str(raised.value)


def test_fingerprint_is_stable_and_tells_nothing() -> None:
    """The value is stored in databases: it never changes for a key."""
    assert fingerprint(KEY) == "edb693a75985d73221d18834c394ddf1102702585fabbd8f26d476237a3ceba1"
    assert fingerprint(bytes(32)) != fingerprint(KEY)
