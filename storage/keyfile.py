"""The root key's file: 32 random bytes as base64 text, for its owner's eyes only.

- The file appears whole and durable, or not at all; one that exists is never replaced.
- One that others can read or change is refused.
"""

import base64
import binascii
import hmac
import os
import secrets
import stat
from collections.abc import Callable
from pathlib import Path

from storage.errors import KeyFileInvalid

KEY_BYTES = 32
_MAX_FILE_BYTES = 4096
_FINGERPRINT_LABEL = b"lading root key fingerprint v1"


def load_or_create_root_key(
    path: Path, *, create: bool, random_bytes: Callable[[int], bytes] = secrets.token_bytes
) -> bytes:
    """The 32 bytes in this file, which is made first if it is missing and `create` says so; raises KeyFileInvalid."""
    if create and not path.exists():
        _create(path, random_bytes(KEY_BYTES))
    return _decode(path, _read_private_file(path))


def fingerprint(key: bytes) -> str:
    """A name for this key that tells nothing about it: 64 hex digits."""
    return hmac.digest(key, _FINGERPRINT_LABEL, "sha256").hex()


def _create(path: Path, key: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(key) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        _link_if_absent(temporary, path)
    finally:
        temporary.unlink()
    _sync_directory(path.parent)


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
        message = f"key file {path} is missing: put the one back that this registry was made with"
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


def _decode(path: Path, content: bytes) -> bytes:
    message = f"key file {path} does not hold {KEY_BYTES} bytes in base64: put back the one that was made"
    try:
        key = base64.b64decode(content.strip(), validate=True)
    except binascii.Error as error:
        raise KeyFileInvalid(message) from error
    if len(key) != KEY_BYTES:
        raise KeyFileInvalid(message)
    return key
