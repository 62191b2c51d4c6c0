"""What the handlers of this door call."""

from concurrent.futures import Executor
from dataclasses import dataclass

from aiohttp import web

from registry.core.blobs import Blobs
from registry.core.images import Images
from registry.core.repositories import Repositories
from registry.core.upload_hints import HintSigner
from registry.core.uploads import Uploads
from registry.http.transfers import Sender
from storage.budget import BufferBudget


@dataclass(frozen=True, slots=True)
class Bounds:
    """What this door takes from outside: sizes in bytes, durations in seconds."""

    manifest_bytes: int
    json_depth: int
    tags_per_push: int
    body_idle: float


@dataclass(frozen=True, slots=True)
class Services:
    """The registry behind the door."""

    repositories: Repositories
    blobs: Blobs
    uploads: Uploads
    images: Images
    hints: HintSigner
    budget: BufferBudget
    documents: BufferBudget
    """For bodies that are read whole: apart, for they cannot let go of their bytes while they stall."""
    sender: Sender
    bounds: Bounds
    create_on_push: bool
    threads: Executor
    """For work on a request's body that would hold up the event loop."""


SERVICES: web.AppKey[Services] = web.AppKey("services", Services)
