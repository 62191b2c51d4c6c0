"""Passwords: making, hashing and checking them.

- A hash is argon2id in PHC form; deriving one takes about 25 ms and 19 MiB, in two threads of its own, off the loop.
- A check does the same work whether the user exists or not.
- Few checks wait for the threads: one that would not be made in about a second is refused at once.
"""

import asyncio
import base64
import secrets
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from auth.errors import TooManyLogins

# OWASP Password Storage Cheat Sheet, Argon2id; measured: 24 ms against 131 for 64 MiB.
_MEMORY_KIB = 19 * 1024
_ITERATIONS = 2
_LANES = 1
_SALT_BYTES = 16
_HASH_BYTES = 32

_THREADS = 2
_MOST_WAITING = 64

# No letter or digit that is easily taken for another, and no colon: Basic credentials end the user name with one.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_GROUPS, _GROUP_LENGTH = 4, 5


def generate_password(choose: Callable[[Sequence[str]], str] = secrets.choice) -> str:
    """A password to read out and type: four groups of five, 99 bits."""
    return "-".join("".join(choose(_ALPHABET) for _ in range(_GROUP_LENGTH)) for _ in range(_GROUPS))


def verify_password(password: str, phc: str) -> bool:
    """Whether this is the password of that hash; takes about 25 ms, so `Passwords` is how to ask."""
    try:
        Argon2id.verify_phc_encoded(password.encode(), phc)
    except InvalidKey:
        return False
    return True


class Passwords:
    """Hashes and checks passwords for one process; threads start at the first use, after a fork."""

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        verify: Callable[[str, str], bool] = verify_password,
    ) -> None:
        self._random_bytes = random_bytes
        self._verify = verify
        self._dummy_hash = _hash_of_nothing(random_bytes)
        self._checking = 0
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="passwords")

    async def hash(self, password: str) -> str:
        """The argon2id hash to store for this password, with a fresh salt."""
        salt = self._random_bytes(_SALT_BYTES)
        return await asyncio.get_running_loop().run_in_executor(self._threads, _derive, password, salt)

    async def check(self, password: str, stored_hash: str | None) -> bool:
        """Whether this is the password of that hash; None, for who cannot log in, costs as much and is never right.

        Raises TooManyLogins at once when the threads are busy and 64 others wait.
        """
        if self._checking >= _THREADS + _MOST_WAITING:
            raise TooManyLogins
        phc = self._dummy_hash if stored_hash is None else stored_hash
        self._checking += 1
        try:
            # A caller who is cancelled while waiting takes his check out of the queue.
            matches = await asyncio.get_running_loop().run_in_executor(self._threads, self._verify, password, phc)
        finally:
            self._checking -= 1
        return matches and stored_hash is not None

    def close(self) -> None:
        """Let the threads go; checks under way still finish."""
        self._threads.shutdown(wait=False)


def _derive(password: str, salt: bytes) -> str:
    argon2id = Argon2id(salt=salt, length=_HASH_BYTES, iterations=_ITERATIONS, lanes=_LANES, memory_cost=_MEMORY_KIB)
    return argon2id.derive_phc_encoded(password.encode())


def _hash_of_nothing(random_bytes: Callable[[int], bytes]) -> str:
    """A well-formed hash that no password has: checking against it costs what any check costs."""
    salt, digest = (
        base64.b64encode(random_bytes(length)).rstrip(b"=").decode() for length in (_SALT_BYTES, _HASH_BYTES)
    )
    return f"$argon2id$v=19$m={_MEMORY_KIB},t={_ITERATIONS},p={_LANES}${salt}${digest}"
