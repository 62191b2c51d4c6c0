"""Root keys at hand: in a file, in the environment, and on their way between the two."""

import base64
from pathlib import Path

import pytest

from storage.errors import KeyFileInvalid, WrongKey
from storage.keyfile import begin_rotation, end_rotation, fingerprint, load_root_keys, make_root_key
from storage.roots.held import EnvironmentKeys, FileKeys, HeldKeys
from storage.roots.interface import Wrapped

CONTEXT = {"registry": "one"}
SECRET = b"s" * 32
ONE, TWO = bytes(range(32)), bytes(range(32, 64))


def text(*keys: bytes) -> str:
    return ",".join(base64.b64encode(key).decode() for key in keys)


def local(path: Path, variable: str | None = None) -> HeldKeys:
    return HeldKeys(FileKeys(path), EnvironmentKeys(variable))


def environment(variable: str | None, path: Path = Path("/nowhere/root.key")) -> HeldKeys:
    return HeldKeys(EnvironmentKeys(variable), FileKeys(path))


def put(path: Path, *keys: bytes, mode: int = 0o600) -> None:
    path.write_bytes(b"".join(base64.b64encode(key) + b"\n" for key in keys))
    path.chmod(mode)


def names(path: Path) -> list[str]:
    """What is in the directory of the file."""
    return [each.name for each in path.parent.iterdir()]


def drop(path: Path) -> None:
    path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "root.key"


async def test_file_wraps_under_its_fingerprint(path: Path) -> None:
    put(path, ONE)

    wrapped = await local(path).wrap(SECRET, CONTEXT, kms_key="alias/ignored")

    assert wrapped.root == await local(path).current() == f"local:{fingerprint(ONE)}"
    assert await local(path).unwrap(wrapped, CONTEXT) == SECRET


async def test_environment_wraps_under_its_fingerprint() -> None:
    wrapped = await environment(text(ONE)).wrap(SECRET, CONTEXT)

    assert wrapped.root == f"environment:{fingerprint(ONE)}"
    assert await environment(text(ONE)).unwrap(wrapped, CONTEXT) == SECRET


async def test_context_is_bound(path: Path) -> None:
    """What was wrapped for one registry is not taken for another's."""
    put(path, ONE)
    wrapped = await local(path).wrap(SECRET, CONTEXT)

    with pytest.raises(WrongKey):
        await local(path).unwrap(wrapped, {"registry": "two"})


async def test_first_of_two_keys_in_the_environment_wraps_and_both_unwrap() -> None:
    """So a key in the environment is turned: the next one before it, and later alone."""
    before = await environment(text(ONE)).wrap(SECRET, CONTEXT)
    both = environment(f" {text(TWO)} , {text(ONE)} ")

    after = await both.wrap(SECRET, CONTEXT)

    assert after.root == f"environment:{fingerprint(TWO)}"
    assert await both.unwrap(before, CONTEXT) == await both.unwrap(after, CONTEXT) == SECRET


async def test_key_that_moved_between_file_and_environment_still_unwraps(path: Path) -> None:
    """It is the same key: its fingerprint says so."""
    put(path, ONE)
    by_file, by_environment = (
        await local(path).wrap(SECRET, CONTEXT),
        await environment(text(ONE)).wrap(SECRET, CONTEXT),
    )
    drop(path)

    assert await environment(text(ONE), path).unwrap(by_file, CONTEXT) == SECRET
    put(path, ONE)
    assert await local(path).unwrap(by_environment, CONTEXT) == SECRET


async def test_other_place_unwraps_what_this_one_never_had(path: Path) -> None:
    """While a registry moves from one to the other, with another key."""
    put(path, ONE)
    by_file = await local(path).wrap(SECRET, CONTEXT)

    assert await environment(text(TWO), path).unwrap(by_file, CONTEXT) == SECRET


async def test_place_that_cannot_be_read_does_not_hide_the_other(path: Path) -> None:
    put(path, ONE)
    wrapped = await local(path).wrap(SECRET, CONTEXT)

    assert await local(path, "torn").unwrap(wrapped, CONTEXT) == SECRET


async def test_rotation_can_stop_after_every_step(path: Path) -> None:
    """What is in the database opens all the time, for a process that began before it as well."""
    make_root_key(path)
    running = local(path)
    before = await running.wrap(SECRET, CONTEXT)

    begin_rotation(path)
    assert await running.unwrap(before, CONTEXT) == SECRET
    after = await running.wrap(SECRET, CONTEXT)
    assert after.root != before.root
    assert await running.unwrap(after, CONTEXT) == SECRET

    end_rotation(path, fingerprint(load_root_keys(path)[0]))
    assert await running.unwrap(after, CONTEXT) == SECRET
    with pytest.raises(KeyFileInvalid, match="is not the one this database was made with"):
        await running.unwrap(before, CONTEXT)


async def test_wrong_key_names_the_place_and_the_fingerprint(path: Path) -> None:
    put(path, ONE)

    with pytest.raises(KeyFileInvalid) as raised:
        await local(path).unwrap(Wrapped(f"local:{fingerprint(TWO)}", b""), CONTEXT)

    assert str(raised.value) == (
        f"key file {path} is not the one this database was made with: "
        f"put back the key with the fingerprint {fingerprint(TWO)[:12]}…, or share it"
    )


async def test_missing_file_says_so_and_names_the_setting(path: Path) -> None:
    with pytest.raises(KeyFileInvalid, match=f"key file {path} is missing: .* or correct encryption.key_file"):
        await environment(text(ONE), path).unwrap(Wrapped(f"local:{fingerprint(TWO)}", b""), CONTEXT)


async def test_missing_variable_says_so(path: Path) -> None:
    put(path, ONE)

    with pytest.raises(KeyFileInvalid, match="LADING_ROOT_KEY is not set: set it to 32 bytes in base64"):
        await local(path).unwrap(Wrapped(f"environment:{fingerprint(TWO)}", b""), CONTEXT)


async def test_variable_with_another_key_says_so() -> None:
    with pytest.raises(KeyFileInvalid, match="LADING_ROOT_KEY is not the one this database was made with"):
        await environment(text(ONE)).unwrap(Wrapped(f"environment:{fingerprint(TWO)}", b""), CONTEXT)


@pytest.mark.parametrize(
    "variable", ["canary", text(ONE)[:-4] + "canary", text(b"canary"), f"{text(ONE)},", "\udcffcanary"]
)
async def test_malformed_variable_is_refused_and_not_repeated(variable: str) -> None:
    with pytest.raises(KeyFileInvalid, match="LADING_ROOT_KEY does not hold 32 bytes in base64") as raised:
        await environment(variable).wrap(SECRET, CONTEXT)

    for error in (raised.value, raised.value.__cause__):
        assert "canary" not in repr(error)
        assert text(ONE) not in repr(error)


async def test_environment_makes_no_file(path: Path) -> None:
    """It is all that such a registry needs."""
    await environment(text(ONE), path).make()

    assert names(path) == []


async def test_environment_without_a_key_makes_no_registry() -> None:
    with pytest.raises(KeyFileInvalid, match="LADING_ROOT_KEY is not set"):
        await environment(None).make()


async def test_file_is_made_once(path: Path) -> None:
    await local(path).make()
    made = load_root_keys(path)

    await local(path).make()

    assert load_root_keys(path) == made


async def test_file_that_others_can_read_founds_nothing(path: Path) -> None:
    put(path, ONE, mode=0o644)

    with pytest.raises(KeyFileInvalid, match=f"chmod 600 {path}"):
        await local(path).make()


async def test_bare_key_is_found_wherever_it_lies(path: Path) -> None:
    """For a database in which the root key itself sealed the secrets."""
    assert await environment(text(ONE), path).bare(fingerprint(ONE)) == ONE
    put(path, ONE)
    assert await local(path).bare(fingerprint(ONE)) == ONE


async def test_nothing_shows_keys_or_secrets(path: Path) -> None:
    put(path, ONE)
    keys = local(path, text(TWO))
    wrapped = await keys.wrap(SECRET, CONTEXT)

    for shown in (repr(keys), repr(wrapped)):
        assert text(ONE) not in shown
        assert repr(ONE) not in shown
        assert repr(wrapped.secret) not in shown
