"""The root key's file."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.errors import KeyFileInvalid
from storage.keyfile import begin_rotation, end_rotation, fingerprint, load_root_keys, make_root_key

KEY = bytes(range(32))
TEXT = b"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


def put(path: Path, content: bytes, mode: int = 0o600) -> None:
    path.write_bytes(content)
    path.chmod(mode)


def made(path: Path) -> tuple[bytes, ...]:
    make_root_key(path)
    return load_root_keys(path)


def test_missing_file_is_made_for_its_owner_only(path: Path) -> None:
    """The file holds base64 text, mode 0600, and nothing is left beside it."""
    make_root_key(path, random_bytes=lambda _: KEY)

    assert load_root_keys(path) == (KEY,)
    assert path.read_bytes() == TEXT
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_mode_does_not_depend_on_the_umask(path: Path) -> None:
    """A lax umask opens the file to nobody."""
    umask = os.umask(0)
    try:
        make_root_key(path)
    finally:
        os.umask(umask)

    assert path.stat().st_mode & 0o777 == 0o600


def test_existing_file_is_read_and_kept(path: Path) -> None:
    """A key that exists is never replaced."""
    put(path, TEXT)

    make_root_key(path)

    assert load_root_keys(path) == (KEY,)
    assert path.read_bytes() == TEXT


def test_missing_file_is_refused_when_it_must_be_there(path: Path) -> None:
    """A registry that was made with a key does not start with a fresh one."""
    with pytest.raises(KeyFileInvalid, match="missing"):
        load_root_keys(path)
    assert not path.exists()


def test_processes_that_start_together_get_one_key(path: Path) -> None:
    """Whoever is first makes the key; nobody reads half a file."""
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: made(path), range(32)))

    assert len(set(keys)) == 1
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("mode", [0o604, 0o640, 0o644, 0o660, 0o602, 0o666, 0o777])
def test_file_open_to_others_is_refused(path: Path, mode: int) -> None:
    """A key that others can read or change stops the start and says what to do."""
    put(path, TEXT, mode)

    with pytest.raises(KeyFileInvalid, match=f"chmod 600 {path}"):
        made(path)


def test_read_only_file_is_taken(path: Path) -> None:
    """A secret mounted by an orchestrator is often 0400."""
    put(path, TEXT, 0o400)

    assert load_root_keys(path) == (KEY,)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_file_of_another_owner_is_refused(path: Path) -> None:
    """Its owner could read and change the key."""
    put(path, TEXT)
    os.chown(path, 65534, -1)

    with pytest.raises(KeyFileInvalid, match="belongs to user 65534"):
        load_root_keys(path)


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", TEXT[:20], b"A" * 44, TEXT.strip() + TEXT, KEY, b"!" * 44, b"A" * 10_000, TEXT + TEXT[:20]],
    ids=["empty", "blank", "torn", "33 bytes", "in one line", "raw", "not base64", "long", "second torn"],
)
def test_file_that_holds_no_key_is_refused(path: Path, content: bytes) -> None:
    """A torn or foreign file is told apart from a wrong key."""
    put(path, content)

    with pytest.raises(KeyFileInvalid, match="base64"):
        made(path)


def test_what_is_no_regular_file_is_refused(tmp_path: Path) -> None:
    """A pipe must not stop the start for ever."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe, 0o600)

    for path in (tmp_path, pipe):
        with pytest.raises(KeyFileInvalid, match="regular file"):
            made(path)


def test_directory_that_is_missing_is_a_fact(tmp_path: Path) -> None:
    """The message names the place."""
    with pytest.raises(KeyFileInvalid, match="missing"):
        load_root_keys(tmp_path / "none" / "root.key")


def test_refusal_shows_nothing_of_the_content(path: Path) -> None:
    """A file that is almost a key may be a secret of another kind."""
    put(path, b"canary")

    with pytest.raises(KeyFileInvalid) as raised:
        load_root_keys(path)
    assert "canary" not in str(raised.value)


def test_fingerprint_is_stable_and_tells_nothing() -> None:
    """The value is stored in databases: it never changes for a key."""
    assert fingerprint(KEY) == "edb693a75985d73221d18834c394ddf1102702585fabbd8f26d476237a3ceba1"
    assert fingerprint(bytes(32)) != fingerprint(KEY)


NEXT = bytes(range(32, 64))
NEXT_TEXT = b"ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8=\n"


def test_keys_stand_one_a_line_and_the_first_is_current(path: Path) -> None:
    """As an editor may leave them."""
    put(path, NEXT_TEXT.strip() + b"\r\n" + TEXT + b"\n")

    assert load_root_keys(path) == (NEXT, KEY)


def test_rotation_puts_the_next_key_first_and_keeps_the_one_before(path: Path) -> None:
    """From then on the next one wraps, and both unwrap: nothing is lost whenever it stops."""
    put(path, TEXT, 0o400)

    assert begin_rotation(path, random_bytes=lambda _: NEXT) == (NEXT, KEY)
    assert path.read_bytes() == NEXT_TEXT + TEXT
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_rotation_ends_with_the_next_key_alone(path: Path) -> None:
    put(path, NEXT_TEXT + TEXT)

    end_rotation(path, fingerprint(NEXT))

    assert path.read_bytes() == NEXT_TEXT
    assert list(path.parent.iterdir()) == [path]


def test_rotation_that_was_interrupted_goes_on_with_the_key_it_drew(path: Path) -> None:
    """A third key would make the second one look old before anything is wrapped by it."""
    put(path, NEXT_TEXT + TEXT)

    assert begin_rotation(path) == (NEXT, KEY)


def test_what_a_crash_left_beside_the_file_is_overwritten(path: Path) -> None:
    put(path, TEXT)
    put(path.with_name(".root.key.next"), b"half", 0o644)

    begin_rotation(path, random_bytes=lambda _: NEXT)

    assert path.read_bytes() == NEXT_TEXT + TEXT
    assert list(path.parent.iterdir()) == [path]


def test_end_of_one_rotation_leaves_a_later_one_alone(path: Path) -> None:
    """Who rotated first must not drop a key before the second one has wrapped everything anew."""
    put(path, NEXT_TEXT + TEXT)

    end_rotation(path, fingerprint(KEY))

    assert path.read_bytes() == NEXT_TEXT + TEXT


def test_end_without_a_rotation_changes_nothing(path: Path) -> None:
    put(path, TEXT)

    end_rotation(path, fingerprint(KEY))

    assert path.read_bytes() == TEXT


def test_rotations_that_begin_together_draw_one_key(path: Path) -> None:
    """What one of them wraps must not be lost by the other."""
    make_root_key(path)
    with ThreadPoolExecutor(8) as threads:
        keys = list(threads.map(lambda _: begin_rotation(path), range(16)))

    assert len(set(keys)) == 1


def test_rotation_goes_through_a_link_to_the_file(tmp_path: Path) -> None:
    """The nodes that share the file see it; none is left with the key of before."""
    file, link = tmp_path / "shared" / "root.key", tmp_path / "root.key"
    file.parent.mkdir()
    put(file, TEXT)
    link.symlink_to(file)

    begin_rotation(link, random_bytes=lambda _: NEXT)

    assert link.is_symlink()
    assert file.read_bytes() == NEXT_TEXT + TEXT


def test_file_that_cannot_be_replaced_says_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk, or a secret that an orchestrator mounted: the key of before stays."""
    put(path, TEXT)

    def fail(*_: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "replace", fail)

    with pytest.raises(KeyFileInvalid, match="cannot be replaced: Read-only file system: rotate it where"):
        begin_rotation(path)
    assert path.read_bytes() == TEXT


@pytest.mark.parametrize("step", [begin_rotation, lambda path: end_rotation(path, "")])
def test_rotation_of_a_file_that_is_missing_makes_none(tmp_path: Path, step: Callable[[Path], object]) -> None:
    for path in (tmp_path / "root.key", tmp_path / "none" / "root.key"):
        with pytest.raises(KeyFileInvalid, match=r"missing|cannot be reached"):
            step(path)
        assert not path.exists()
