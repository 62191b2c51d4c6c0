"""Passwords whose hashes cost a test next to nothing to check; they are argon2id all the same."""

import secrets
from typing import Final

from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from auth.passwords import Passwords

_LEAST_KIB: Final = 8


class CheapPasswords(Passwords):
    """Hashes with the least that argon2id allows: a check of what is stored takes 25 ms otherwise."""

    async def hash(self, password: str) -> str:
        salt = secrets.token_bytes(16)
        argon2id = Argon2id(salt=salt, length=32, iterations=1, lanes=1, memory_cost=_LEAST_KIB)
        return argon2id.derive_phc_encoded(password.encode())
