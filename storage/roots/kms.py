"""A root key that never leaves AWS KMS: what it wraps is sent there, and sent there again to be unwrapped.

The context goes along as KMS's encryption context, which is part of its audit trail and of the policies of keys.
"""

import asyncio
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

from storage.roots.interface import Wrapped
from storage.roots.kms_errors import kms_errors, refused

T = TypeVar("T")

AWS_KMS: Final = "aws-kms"
"""What the names of its keys begin with."""

# A few: a start unwraps one secret, and a worker at most one domain key after another.
_THREADS: Final = 4
_ARN_PARTS: Final = 6
_REGION_PART: Final = 3
_PROBE: Final = {"lading": "probe"}


@dataclass(frozen=True, slots=True)
class KmsPatience:
    """How long KMS may take: `connect` and `read` are seconds of silence, `attempts` counts the first one too."""

    connect: float = 2
    read: float = 5
    attempts: int = 2


@dataclass(frozen=True, slots=True)
class KmsPlace:
    """Where a key management service is, and which of its keys wraps; credentials come from where boto3 looks."""

    key_id: str | None
    """An id, an ARN, or the alias of a key; None: it only unwraps."""
    endpoint_url: str | None = None
    region: str | None = None
    """Of keys that are not named by an ARN."""
    patience: KmsPatience = field(default_factory=KmsPatience)


def new_session() -> Any:  # noqa: ANN401  boto3 makes its classes as it runs
    """What clients share: credentials, and where they come from."""
    import boto3  # noqa: PLC0415  130 ms and 10 MB that only this source of keys needs

    return boto3.session.Session()


class KmsKeys:
    """The root keys in a key management service; `close` lets go of threads and connections."""

    def __init__(self, place: KmsPlace, session: Callable[[], Any] = new_session) -> None:
        self._place = place
        self._new_session = session
        self._clients: dict[str | None, Any] = {}
        self._connecting = threading.Lock()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="kms")

    async def current(self) -> str:
        """The key that wraps, as KMS names it; raises KeyUnavailable."""
        return (await self.wrap(bytes(32), _PROBE)).root

    async def wrap(self, secret: bytes, context: Mapping[str, str], *, kms_key: str | None = None) -> Wrapped:
        """Have a key of KMS encrypt the secret, of at most 4096 bytes; raises KeyUnavailable."""
        key = kms_key or self._place.key_id or ""
        return await self._run(lambda: self._encrypt(key, secret, dict(context)))

    async def unwrap(self, wrapped: Wrapped, context: Mapping[str, str]) -> bytes:
        """Have KMS decrypt the secret; raises KeyUnavailable or WrongKey."""
        return await self._run(lambda: self._decrypt(wrapped, dict(context)))

    def close(self) -> None:
        """Let go of connections; what runs may take its time and is not waited for."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        for client in self._clients.values():
            client.close()

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    def _encrypt(self, key: str, secret: bytes, context: dict[str, str]) -> Wrapped:
        with kms_errors("Encrypt", key):
            answer = self._client(key).encrypt(KeyId=key, Plaintext=secret, EncryptionContext=context)
            return Wrapped(f"{AWS_KMS}:{answer['KeyId']}", answer["CiphertextBlob"])

    def _decrypt(self, wrapped: Wrapped, context: dict[str, str]) -> bytes:
        key = wrapped.root.removeprefix(f"{AWS_KMS}:")
        with kms_errors("Decrypt", key):
            # With the key's name KMS refuses a ciphertext of any other key that we might use.
            answer = self._client(key).decrypt(KeyId=key, CiphertextBlob=wrapped.secret, EncryptionContext=context)
            secret: bytes = answer["Plaintext"]
            return secret

    def _client(self, key: str) -> Any:  # noqa: ANN401  boto3's
        region = _region_of(key) or self._place.region or _region_of(self._place.key_id or "")
        if region is None and self._place.endpoint_url is not None:
            region = "us-east-1"  # others than AWS ask for some region, not for the right one
        if region is None:
            raise refused(f"no region is known for the KMS key {key}: name it by its ARN, or set AWS_REGION")
        with self._connecting:
            if region not in self._clients:
                self._clients[region] = self._connect(region)
            return self._clients[region]

    def _connect(self, region: str) -> Any:  # noqa: ANN401  boto3's
        from botocore.config import Config  # noqa: PLC0415  loaded only where it is used

        patience = self._place.patience
        return self._new_session().client(
            "kms",
            region_name=region,
            endpoint_url=self._place.endpoint_url,
            config=Config(
                connect_timeout=patience.connect,
                read_timeout=patience.read,
                retries={"mode": "standard", "total_max_attempts": patience.attempts},
                max_pool_connections=_THREADS,
            ),
        )


def _region_of(key: str) -> str | None:
    """The region in an ARN (`arn:aws:kms:REGION:ACCOUNT:key/ID`)."""
    parts = key.split(":", _ARN_PARTS - 1)
    return parts[_REGION_PART] or None if len(parts) == _ARN_PARTS and parts[0] == "arn" else None
