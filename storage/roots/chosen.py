"""The root keys of a registry: one source wraps, and whatever any source has still unwraps."""

from collections.abc import Mapping

from storage.errors import KeyUnavailable
from storage.roots.held import ENVIRONMENT, LOCAL, HeldKeys
from storage.roots.interface import Wrapped
from storage.roots.kms import AWS_KMS, KmsKeys


class ChosenRoots:
    """Keys that are at hand, and a key management service where one is configured."""

    def __init__(self, held: HeldKeys, kms: KmsKeys | None, *, kms_wraps: bool) -> None:
        """With `kms_wraps` there is a service."""
        self._held = held
        self._kms = kms
        self._wrapping = kms if kms_wraps and kms is not None else held

    async def current(self) -> str:
        """The root that wraps; raises KeyFileInvalid or KeyUnavailable."""
        return await self._wrapping.current()

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:
        """Wrap with the source that was chosen; `kms_key` counts where that is the service."""
        return await self._wrapping.wrap(secret, context, kms_key=kms_key)

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """Unwrap with the source that the root names; raises KeyFileInvalid, KeyUnavailable or WrongKey."""
        kind, _, name = wrapped.root.partition(":")
        if kind in {LOCAL, ENVIRONMENT}:
            return await self._held.unwrap(wrapped, context)
        if kind != AWS_KMS:
            raise _unknown(f"a key is wrapped by {wrapped.root}, which this version does not know: run a newer one")
        if self._kms is None:
            raise _unknown(f"a key is wrapped by the KMS key {name}: set encryption.kms_key_id")
        return await self._kms.unwrap(wrapped, context)

    async def make(self) -> None:
        """Make the key file where it is missing and wraps; in KMS nothing is made."""
        if self._wrapping is self._held:
            await self._held.make()

    async def bare(self, fingerprint: str) -> bytes:
        """A root key that is at hand; raises KeyFileInvalid."""
        return await self._held.bare(fingerprint)


def _unknown(words: str) -> KeyUnavailable:
    return KeyUnavailable("a key that this registry needs is not configured", words)
