"""The root key's file: 32 random bytes as base64 text, for its owner's eyes only.

- The file appears whole and durable, or not at all; only a rotation replaces one that exists.
- One that others can read or change is refused.
- It may hold several keys, one a line: the first wraps, the others still unwrap what they wrapped before a rotation.
"""

import base64
import binascii
import fcntl
import hmac
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from storage.errors import KeyFileInvalid

KEY_BYTES = 32
_MAX_FILE_BYTES = 4096
_FINGERPRINT_LABEL = b"lading root key fingerprint v1"


def load_root_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in this file, the one that wraps first; raises KeyFileInvalid."""
    return _decode(path, _read_private_file(path))


def make_root_key(path: Path, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
    """Make the file with one key where there is none, and leave one that is there as it is; raises OSError."""
    if not path.exists():
        _create(path, random_bytes(KEY_BYTES))


def begin_rotation(path: Path, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> tuple[bytes, ...]:
    """Put a fresh key before the one in the file, and go on with a rotation that did not end; returns the keys.

    From here on the first key wraps, in every process, and all unwrap: nothing is lost if it stops here. Once nothing
    in the database is wrapped by another than the first, `end_rotation` drops the others. Raises KeyFileInvalid.
    """
    with _locked(path) as file:
        keys = load_root_keys(file)
        if len(keys) == 1:
            keys = (random_bytes(KEY_BYTES), *keys)
            _replace(file, keys)
        return keys


def end_rotation(path: Path, current: str) -> None:
    """Leave in the file only the key with this fingerprint; does nothing when another rotation began meanwhile.

    Raises KeyFileInvalid.
    """
    with _locked(path) as file:
        keys = load_root_keys(file)
        if len(keys) > 1 and fingerprint(keys[0]) == current:
            _replace(file, keys[:1])


def fingerprint(key: bytes) -> str:
    """A name for this key that tells nothing about it: 64 hex digits."""
    return hmac.digest(key, _FINGERPRINT_LABEL, "sha256").hex()


def decode_root_key(text: bytes) -> bytes:
    """The 32 bytes that this base64 text says; raises ValueError, which repeats nothing of it."""
    message = f"no {KEY_BYTES} bytes in base64"
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except binascii.Error:
        raise ValueError(message) from None
    if len(key) != KEY_BYTES:
        raise ValueError(message)
    return key


def _create(path: Path, key: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        _write(temporary, (key,))
        _link_if_absent(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def _replace(path: Path, keys: Sequence[bytes]) -> None:
    """Give the name to another file, durably; what a crash left of an earlier try is overwritten."""
    temporary = path.with_name(f".{path.name}.next")
    try:
        temporary.unlink(missing_ok=True)
        _write(temporary, keys)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        message = f"key file {path} cannot be replaced: {error.strerror}: rotate it where it can be written"
        raise KeyFileInvalid(message) from error


def _write(path: Path, keys: Sequence[bytes]) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(b"".join(base64.b64encode(key) + b"\n" for key in keys))
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _locked(path: Path) -> Iterator[Path]:
    """Be the only one to rotate this key, and know the file itself where the path is a link to it."""
    file = path.resolve()
    try:
        directory = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        message = f"key file {path} cannot be reached: {error.strerror}"
        raise KeyFileInvalid(message) from error
    try:
        fcntl.flock(directory, fcntl.LOCK_EX)
        yield file
    finally:
        os.close(directory)


def _link_if_absent(temporary: Path, path: Path) -> None:
    """Give the finished file its name; a link, unlike a rename, never takes the name from another file."""
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        return  # another process was first: its key counts


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_private_file(path: Path) -> bytes:
    try:
        # Without O_NONBLOCK a named pipe would stop the start for ever.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    except FileNotFoundError as error:
        message = (
            f"key file {path} is missing: put back the one that this registry was made with, "
            "or correct encryption.key_file"
        )
        raise KeyFileInvalid(message) from error
    except OSError as error:
        message = f"key file {path} cannot be opened: {error.strerror}"
        raise KeyFileInvalid(message) from error
    try:
        _check_private(path, os.fstat(descriptor))
        return os.read(descriptor, _MAX_FILE_BYTES)
    finally:
        os.close(descriptor)


def _check_private(path: Path, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        message = f"key file {path} is not a regular file"
        raise KeyFileInvalid(message)
    if status.st_uid != os.geteuid():
        message = f"key file {path} belongs to user {status.st_uid}: chown it to user {os.geteuid()}"
        raise KeyFileInvalid(message)
    if status.st_mode & 0o077:
        message = f"key file {path} is open to other users: run chmod 600 {path}"
        raise KeyFileInvalid(message)


def _decode(path: Path, content: bytes) -> tuple[bytes, ...]:
    lines = content.strip().splitlines() or [b""]
    try:
        return tuple(decode_root_key(line) for line in lines)
    except ValueError as error:
        message = f"key file {path} does not hold {KEY_BYTES} bytes in base64: put back the one that was made"
        raise KeyFileInvalid(message) from error
