"""Root keys for tests: they wrap truly, count what they are asked, and can be away or refuse."""

import asyncio
import json
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import KeyFileInvalid, KeyUnavailable, WrongKey
from storage.roots.interface import Wrapped

_NONCE = bytes(12)


class FakeRootKeys:
    """Root keys by name; with `has_kms`, a KMS key wraps what is asked to be wrapped with one."""

    def __init__(self, *, has_kms: bool = False) -> None:
        self.names = ["root-1"]
        self.has_kms = has_kms
        self.wraps = 0
        self.unwraps = 0
        self.is_away = False
        self.refused: set[str] = set()
        self.gate: asyncio.Event | None = None
        """While it is set and closed, whoever asks waits."""
        self.is_asked = asyncio.Event()
        """Somebody waits at the gate, or did."""
        self.calls_left: int | None = None
        """So many more are answered, where it is set."""

    async def current(self) -> str:
        return self.names[0]

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:
        self.wraps += 1
        root = f"kms:{kms_key}" if kms_key and self.has_kms else self.names[0]
        await self._answer()
        return Wrapped(root, _cipher(root).encrypt(_NONCE, secret, _bound(context)))

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        self.unwraps += 1
        await self._answer()
        if wrapped.root in self.refused:
            message = "the key management service refuses the key"
            raise KeyUnavailable(message)
        if not wrapped.root.startswith("kms:") and wrapped.root not in self.names:
            raise KeyFileInvalid(f"root key {wrapped.root} is not at hand")
        try:
            return _cipher(wrapped.root).decrypt(_NONCE, wrapped.secret, _bound(context))
        except InvalidTag as error:
            raise WrongKey from error

    async def _answer(self) -> None:
        if self.gate is not None:
            self.is_asked.set()
            await self.gate.wait()
        await asyncio.sleep(0)
        if self.calls_left is not None:
            self.calls_left -= 1
        if self.is_away or (self.calls_left is not None and self.calls_left < 0):
            message = "the key management service does not answer"
            raise KeyUnavailable(message)


def _cipher(root: str) -> AESGCM:
    return AESGCM(root.encode().ljust(32, b"."))


def _bound(context: Mapping[str, str]) -> bytes:
    return json.dumps(context, sort_keys=True).encode()
