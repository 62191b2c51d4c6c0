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
from storage.errors import StagedBytesBusy, WrongKey
from storage.sealed_uploads import Change, KeptAt, Recorded, SealedUpload
from storage.staging_records import StagingRecord

DOMAIN = "AES256"


@dataclass
class MemoryKeys:
    """Keys of domains, made when they are asked for; `asked` counts how often."""

    versions: dict[str, list[DomainKey]] = field(default_factory=dict)
    asked: int = 0

    async def current(self, domain: str) -> DomainKey:
        if domain not in self.versions:
            self.rotate(domain)
        return self.versions[domain][-1]

    async def of(self, domain_id: bytes, version: int) -> DomainKey:
        self.asked += 1
        for keys in self.versions.values():
            for key in keys:
                if (key.id, key.version) == (domain_id, version):
                    return key
        raise WrongKey

    def rotate(self, domain: str) -> DomainKey:
        """Another key of a domain."""
        keys = self.versions.setdefault(domain, [])
        domain_id = keys[0].id if keys else os.urandom(16)
        keys.append(DomainKey(domain, domain_id, len(keys) + 1, os.urandom(32)))
        return keys[-1]


@dataclass
class MemorySealedUploads:
    """Records of unfinished uploads, of stores in one process."""

    rows: dict[str, SealedUpload] = field(default_factory=dict)

    async def find(self, upload_id: str) -> SealedUpload | None:
        return self.rows.get(upload_id)

    async def have(self, upload_id: str) -> bool:
        return upload_id in self.rows

    async def save(self, upload_id: str, change: Change) -> None:
        there = self.rows.get(upload_id)
        if (None if there is None else there.mark) != change.before:
            raise StagedBytesBusy(upload_id)
        latest = _placed(there, change.latest)
        if latest is None:
            raise AssertionError("there is always a latest")
        self.rows[upload_id] = SealedUpload(
            change.mark,
            change.header,
            change.is_open,
            change.is_cut,
            latest,
            _placed(there, change.earlier),
            change.inner_mark,
        )

    async def remove(self, upload_id: str, mark: str) -> None:
        if upload_id in self.rows and self.rows[upload_id].mark == mark:
            del self.rows[upload_id]

    async def all(self) -> AsyncGenerator[StagingRecord, None]:
        for upload_id, row in list(self.rows.items()):
            yield StagingRecord(upload_id, row.latest.offset, 1.0)


def _placed(there: SealedUpload | None, place: KeptAt | Recorded) -> KeptAt | None:
    if isinstance(place, KeptAt):
        return place
    if there is None:
        raise AssertionError("nothing is recorded yet")
    return there.latest if place is Recorded.LATEST else there.earlier


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
