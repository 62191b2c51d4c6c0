"""The content of a registry, opened in the process that uses it: its stores, and the keys of what is sealed in them."""

import secrets
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from registry.config import Settings, cores
from registry.core.domains import EncryptionDomains
from registry.core.manifest_seals import ManifestSeals
from registry.core.places import Places
from registry.databases import Databases
from registry.stores import BUFFER_BYTES, ContentStore, open_store
from storage.blobs.encrypted.sealing import Seats
from storage.blobs.encrypted.store import encrypted
from storage.blobs.encrypted.writer import Tools
from storage.budget import BufferBudget
from storage.encryption.keyring import Keyring
from storage.metadata.domain_keys import DomainKeyRows
from storage.metadata.sealed_uploads import SealedUploadRows
from storage.roots.interface import RootKeys

_LEAST_THREADS: Final = 2
_LEAST_SEATS: Final = 4
"""How many uploads seal into reused buffers at once, on few cores: 1.3 MiB each."""


@dataclass(frozen=True, slots=True)
class Content:
    """What content is kept in, and what it is sealed with; `budget` bounds what is on its way."""

    store: ContentStore
    places: Places
    keys: Keyring
    domains: EncryptionDomains
    budget: BufferBudget

    @property
    def seals(self) -> ManifestSeals:
        """What seals and opens manifests."""
        return ManifestSeals(self.keys, self.domains)


def keyring(databases: Databases, registry_id: str, roots: RootKeys) -> Keyring:
    """The keys of the domains of the registry with this id."""
    return Keyring(DomainKeyRows(databases.registry), roots, registry_id, time.monotonic)


@asynccontextmanager
async def open_content(
    settings: Settings, databases: Databases, registry_id: str, roots: RootKeys
) -> AsyncIterator[Content]:
    """The content of the registry with this id."""
    budget = BufferBudget(BUFFER_BYTES)
    keys = keyring(databases, registry_id, roots)
    domains = EncryptionDomains(
        databases.registry, roots, registry_id, time.time, seals=settings.encryption.mode != "off"
    )
    with ThreadPoolExecutor(max(_LEAST_THREADS, cores()), thread_name_prefix="seal") as threads:
        tools = Tools(
            keys=keys,
            records=SealedUploadRows(databases.activity, now=time.time),
            budget=budget,
            executor=threads,
            seats=Seats(max(_LEAST_SEATS, cores())),
            new_mark=lambda: secrets.token_hex(16),
        )
        opened = open_store(settings.storage, databases, registry_id=registry_id, budget=budget)
        async with opened as store, keys.running():
            yield Content(store, Places(store, encrypted(store, tools), domains), keys, domains, budget)
