"""Encrypted stores for tests: keys and records in memory, around any store."""

import os
import uuid
from collections.abc import AsyncGenerator
from concurrent.futures import Executor
from dataclasses import dataclass, field

from storage.blobs.encrypted.sealing import Seats
from storage.blobs.encrypted.store import EncryptedStore, encrypted
from storage.blobs.encrypted.writer import Tools
from storage.blobs.interface import BlobStore
from storage.budget import BufferBudget
from storage.encryption.header import SEGMENT_BITS
from storage.encryption.keys import DomainKey, DomainKeys
from storage.errors import DomainUnusable, StagedBytesBusy, WrongKey
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUpload
from storage.staging_records import StagingRecord

DOMAIN = "AES256"


@dataclass
class MemoryKeys:
    """Keys of domains, made when they are asked for; `asked` counts how often, and `failure` is raised where it is set.

    What is in the domain `unusable` is in no domain that can be used.
    """

    versions: dict[str, list[DomainKey]] = field(default_factory=dict)
    asked: int = 0
    unusable: str = ""
    failure: Exception | None = None

    async def current(self, domain: str) -> DomainKey:
        self._require(domain)
        if domain not in self.versions:
            self.rotate(domain)
        return self.versions[domain][-1]

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        self.asked += 1
        for keys in self.versions.values():
            for key in keys:
                if (key.id, key.version) == (domain_id, version):
                    self._require(key.domain)
                    return key
        raise WrongKey

    def _require(self, domain: str) -> None:
        if self.failure is not None:
            raise self.failure
        if domain == self.unusable:
            raise DomainUnusable(domain, "are being destroyed")

    def rotate(self, domain: str) -> DomainKey:
        """Another key of a domain."""
        keys = self.versions.setdefault(domain, [])
        domain_id = keys[0].id if keys else os.urandom(16)
        keys.append(DomainKey(domain, domain_id, len(keys) + 1, os.urandom(32)))
        return keys[-1]


@dataclass
class MemorySealedUploads:
    """Records of unfinished uploads, of stores in one process; the tails are latest and earlier."""

    rows: dict[str, SealedUpload] = field(default_factory=dict)
    tails: dict[str, tuple[bytes | None, bytes | None]] = field(default_factory=dict)

    async def find(self, upload_id: str) -> SealedUpload | None:
        return self.rows.get(upload_id)

    async def tail(self, upload_id: str, mark: str) -> bytes | None:
        if upload_id not in self.rows or self.rows[upload_id].mark != mark:
            raise StagedBytesBusy(upload_id)
        return self.tails[upload_id][0]

    async def have(self, upload_id: str) -> bool:
        return upload_id in self.rows

    async def save(self, upload_id: str, change: Change) -> None:
        there = self.rows.get(upload_id)
        if (None if there is None else there.mark) != change.before:
            raise StagedBytesBusy(upload_id)
        before = self.tails.get(upload_id, (None, None))
        self.tails[upload_id] = (_placed(change.latest, before), _placed(change.earlier, before))
        self.rows[upload_id] = SealedUpload(
            change.mark,
            change.header,
            change.is_open,
            change.is_cut,
            change.latest.offset,
            None if change.earlier is None else change.earlier.offset,
            change.inner_mark,
        )

    async def remove(self, upload_id: str, mark: str) -> None:
        if upload_id in self.rows and self.rows[upload_id].mark == mark:
            del self.rows[upload_id], self.tails[upload_id]

    async def all(self) -> AsyncGenerator[StagingRecord, None]:
        for upload_id, row in list(self.rows.items()):
            yield StagingRecord(upload_id, row.latest, 1.0)


def _placed(kept: KeptAt | None, before: tuple[bytes | None, bytes | None]) -> bytes | None:
    if kept is None:
        return None
    if isinstance(kept.tail, Recorded):
        return before[0] if kept.tail is Recorded.LATEST else before[1]
    return kept.tail


def encrypted_store(
    inner: BlobStore,
    executor: Executor,
    *,
    keys: DomainKeys | None = None,
    records: MemorySealedUploads | None = None,
    budget: BufferBudget | None = None,
    domain: str = DOMAIN,
    segment_bits: int = SEGMENT_BITS,
) -> EncryptedStore:
    """An encrypted store around a store."""
    tools = Tools(
        keys=keys or MemoryKeys(),
        records=records or MemorySealedUploads(),
        budget=budget or BufferBudget(64 * 1024 * 1024),
        executor=executor,
        seats=Seats(2),
        new_mark=lambda: uuid.uuid4().hex,
        segment_bits=segment_bits,
    )
    return encrypted(inner, tools, domain=domain)
