"""The one place that picks implementations: from settings to an application that serves.

Everything is opened in the process that uses it: no connection, thread or event loop crosses a fork.
"""

import os
import secrets
import time
import uuid
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from aiohttp import web

from auth.authenticator import Authenticator
from auth.authorizer import Authorizer
from auth.bearers import Bearers
from auth.bootstrap import Prepared, open_registry
from auth.claims import Parties
from auth.directory import Directory
from auth.key_ring import KeyRing
from auth.last_use import LastUse
from auth.login_counts import SharedCounts
from auth.logins import Logins
from auth.passwords import Passwords
from auth.principals import AnonymousMode
from auth.recent_logins import RecentLogins
from auth.revocations import Revocations
from auth.signing_keys import SigningKeys
from auth.stored_tokens import StoredTokens
from auth.throttle import Throttle
from auth.tokens import TokenIssuer, TokenVerifier
from registry.admin import door as admin_door
from registry.admin import errors as admin_errors
from registry.admin import health, metrics
from registry.admin import routes as admin_routes
from registry.admin import services as admin_services
from registry.audit_parts import cutting, recording
from registry.config import Settings
from registry.config_text import listed
from registry.core.audit import AUDIT_METRICS
from registry.core.blobs import Blobs
from registry.core.images import Images, Sparse
from registry.core.repositories import Repositories
from registry.core.upload_hints import HintSigner
from registry.core.uploads import UploadLimits, Uploads
from registry.http.access import ACCESS, Access
from registry.http.addresses import Addresses
from registry.http.auditing import Auditing
from registry.http.budget import BufferBudget
from registry.http.metrics import HTTP_METRICS, RequestMetrics
from registry.http.middleware import Observers, answering, sign
from registry.http.routes import add_routes
from registry.http.transfers import Sender
from registry.jobs.scheduler import Job, Scheduler
from registry.logs import access_log
from registry.oci import errors as oci_errors
from registry.oci import routes as oci_routes
from registry.oci.services import SERVICES, Bounds, Services
from registry.oci.token import JWKS, TOKENS, PublishedKeys, TokenService
from registry.run import Run
from storage.blobs.filesystem import FilesystemStore
from storage.metadata.database import Database
from storage.metadata.migration import touch
from storage.metadata.postgres import PostgresDatabase, PostgresPool
from storage.metadata.sqlite import SqliteDatabase

if TYPE_CHECKING:
    from storage.blobs.interface import BlobStore

SERVICE = "lading"
"""What challenges call the service; token requests may leave it out."""
ACTIVITY_SCHEMA_NAME = "lading_activity"

# Measured with 64 pushes at once: more threads only fight for the interpreter.
_STORE_THREADS = 16
_SENDER_THREADS = 16
_BUFFER_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Databases:
    """The two metadata databases of a registry."""

    registry: Database
    activity: Database
    durable_activity: Database
    """The activity database again, for what must not be lost in a power cut."""

    async def close(self) -> None:
        """Finish what is being written and let go of every connection."""
        await self.registry.close()
        await self.activity.close()
        await self.durable_activity.close()


def open_databases(settings: Settings) -> Databases:
    """The databases that the settings name; nothing is connected yet."""
    if settings.metadata.url is None:
        root, durable = settings.storage.root, settings.storage.durability == "full"
        return Databases(
            SqliteDatabase(root / "registry.db", durable=durable),
            SqliteDatabase(root / "activity.db", durable=False),
            SqliteDatabase(root / "activity.db", durable=durable),
        )
    url = settings.metadata.url.get_secret_value()
    pool = PostgresPool(url, connections=_connections(settings.server.workers))
    return Databases(
        PostgresDatabase(pool),
        PostgresDatabase(pool, schema=ACTIVITY_SCHEMA_NAME, durable=False),
        PostgresDatabase(pool, schema=ACTIVITY_SCHEMA_NAME),
    )


def _connections(workers: int) -> int:
    """PostgreSQL takes 100 connections unless told otherwise; a few stay free for commands and other programs."""
    return min(8, max(2, 60 // workers))


@asynccontextmanager
async def open_store(settings: Settings, registry_id: str | None = None) -> AsyncIterator[FilesystemStore]:
    """The content store that the settings name; with an id, it must be the one of this registry."""
    root = settings.storage.root
    disk = os.statvfs(root)
    with ThreadPoolExecutor(_STORE_THREADS, thread_name_prefix="store") as threads:
        yield FilesystemStore(
            root,
            durability=settings.storage.durability,
            reserve_bytes=settings.storage.reserve_bytes(disk.f_blocks * disk.f_frsize),
            new_suffix=lambda: secrets.token_hex(8),
            executor=threads,
            registry_id=registry_id,
        )


async def create_app(settings: Settings, run: Run) -> web.Application:
    """The application of one worker; what it opens is closed when the application is cleaned up."""
    stack = AsyncExitStack()
    databases = open_databases(settings)
    stack.push_async_callback(databases.close)
    prepared = await open_registry(databases.registry, settings.key_file)
    store = await stack.enter_async_context(open_store(settings, prepared.registry_id))
    defence = await _defence(settings, prepared, databases.activity, stack)

    access, tokens, published = _access(settings, prepared, databases.registry, defence)
    services = _services(settings, run, databases, store, stack)
    observers = await _observers(settings, run, databases, prepared, stack)
    app = web.Application(middlewares=[answering(_render, observers, _new_id)])
    app[ACCESS], app[TOKENS], app[JWKS], app[SERVICES] = access, tokens, published, services
    app[health.READINESS] = health.Readiness(
        {
            "database": lambda: databases.registry.write(touch),
            "activity": lambda: databases.activity.write(touch),
            "content": store.probe,
        },
        time.monotonic,
    )
    app[metrics.EXPOSITION] = metrics.Exposition(run.counts, (*HTTP_METRICS, *AUDIT_METRICS))
    app[admin_door.SERVICES] = administration(settings, databases, prepared, defence.passwords, access.authorizer)
    add_routes(app, oci_routes.ROUTES)
    add_routes(app, admin_routes.ROUTES)
    app.on_response_prepare.extend((sign, oci_routes.add_version))

    jobs = (
        *_jobs(settings, services, databases.registry, prepared),
        *_login_jobs(databases.registry, defence),
        cutting(databases.activity, prepared.root_key, settings.audit.retention),
    )
    scheduler = Scheduler(databases.registry, jobs, holder=_new_id(), now=time.time)
    await stack.enter_async_context(scheduler.running())

    async def close(_app: web.Application) -> None:
        await stack.aclose()

    app.on_cleanup.append(close)
    return app


def administration(
    settings: Settings, databases: Databases, prepared: Prepared, passwords: Passwords, authorizer: Authorizer
) -> admin_services.Services:
    """What the operations of the admin API work with, in a server or in a command."""
    return admin_services.Services(
        account_id=prepared.account_id,
        root_key=prepared.root_key,
        database=databases.registry,
        activity=databases.activity,
        passwords=passwords,
        authorizer=authorizer,
        settings=listed(settings),
        now=time.time,
        page=settings.limits.page,
        refresh_ttl_seconds=settings.auth.refresh_ttl,
    )


def _render(request: web.Request, error: Exception) -> web.StreamResponse:
    """Each door tells of errors in its own words."""
    is_admin = request.path.startswith(admin_routes.PREFIX)
    return admin_errors.render(request, error) if is_admin else oci_errors.render(request, error)


@dataclass(frozen=True, slots=True)
class _Defence:
    """What watches over logins, for whoever checks them against a directory."""

    passwords: Passwords
    counts: SharedCounts
    last_use: LastUse
    logins: Callable[[Directory], Logins]


async def _defence(settings: Settings, prepared: Prepared, activity: Database, stack: AsyncExitStack) -> _Defence:
    counts, last_use = SharedCounts(activity, time.time), LastUse(activity, time.time)
    await stack.enter_async_context(last_use.written())
    passwords = Passwords()
    stack.callback(passwords.close)
    throttle = Throttle(counts, prepared.root_key, settings.limits.login_attempts, now=time.time, recent=RecentLogins())
    return _Defence(passwords, counts, last_use, partial(Logins, passwords, throttle))


def _access(
    settings: Settings, prepared: Prepared, database: Database, defence: _Defence
) -> tuple[Access, TokenService, PublishedKeys]:
    anonymous: AnonymousMode = "push" if settings.dev else settings.auth.anonymous
    issuer = settings.server.public_url or prepared.registry_id
    parties, ring = Parties(issuer, issuer), KeyRing(prepared.signing_keys)
    directory = Directory(database, prepared.root_key, ring)
    authenticator = Authenticator(
        directory, Bearers(directory, TokenVerifier(ring, parties)), defence.logins(directory)
    )
    authorizer = Authorizer(prepared.account_id, directory, anonymous)
    addresses = Addresses(settings.server.public_url, settings.server.trusted_proxies)
    tokens = TokenIssuer(ring, parties, settings.auth.token_ttl)
    stored = StoredTokens(database, settings.auth.refresh_ttl, time.time)
    return (
        Access(authenticator, authorizer, addresses, defence.last_use, SERVICE),
        TokenService(authenticator, authorizer, tokens, stored, defence.last_use, settings.auth.services),
        PublishedKeys(directory, ring),
    )


def _services(
    settings: Settings, run: Run, databases: Databases, store: "BlobStore", stack: AsyncExitStack
) -> Services:
    limits = settings.limits
    repositories = Repositories(databases.registry, most=limits.page)
    blobs = Blobs(databases.registry, store, time.time)
    senders = stack.enter_context(ThreadPoolExecutor(_SENDER_THREADS, thread_name_prefix="sender"))
    parsers = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="parser"))
    return Services(
        repositories=repositories,
        blobs=blobs,
        uploads=Uploads(
            databases.activity,
            store,
            blobs,
            repositories,
            limits=UploadLimits(limits.blob_bytes, limits.uploads),
            now=time.time,
            new_id=lambda: str(uuid.uuid4()),
        ),
        images=Images(
            databases.registry, sparse=Sparse(settings.manifests.allow_sparse), most=limits.page, now=time.time
        ),
        hints=HintSigner(run.epoch),
        budget=BufferBudget(_BUFFER_BYTES),
        documents=BufferBudget(_BUFFER_BYTES),
        sender=Sender(senders, idle_seconds=limits.body_idle),
        bounds=Bounds(limits.manifest_bytes, limits.json_depth, limits.tags_per_push, limits.body_idle),
        create_on_push=settings.repositories.create_on_push,
        threads=parsers,
    )


def _jobs(settings: Settings, services: Services, database: Database, prepared: Prepared) -> tuple[Job, ...]:
    ttl = settings.limits.upload_ttl
    stored = StoredTokens(database, settings.auth.refresh_ttl, time.time)
    revocations = Revocations(database, time.time)
    signing_keys = SigningKeys(database, prepared.root_key, time.time)

    async def sweep_uploads() -> None:
        await services.uploads.sweep(idle_since=time.time() - ttl)

    async def sweep_tokens() -> None:
        await stored.sweep()
        await revocations.sweep()
        await signing_keys.sweep()

    return (
        Job("sweep-uploads", every_seconds=min(3600, max(1, ttl / 4)), run=sweep_uploads),
        Job("sweep-tokens", every_seconds=3600, run=sweep_tokens),
    )


def _login_jobs(registry: Database, defence: _Defence) -> tuple[Job, ...]:
    return (
        Job("sweep-login-failures", every_seconds=300, run=defence.counts.sweep),
        Job("sweep-last-uses", every_seconds=86_400, run=partial(defence.last_use.forget_missing, registry)),
    )


async def _observers(
    settings: Settings, run: Run, databases: Databases, prepared: Prepared, stack: AsyncExitStack
) -> Observers:
    counts = run.counts.writer(max(0, run.worker))
    trail = await stack.enter_async_context(
        recording(settings.audit, databases.activity, databases.durable_activity, prepared.root_key, counts)
    )
    return Observers(access_log(settings.log), RequestMetrics(counts), Auditing(trail, time.time).observe)


def _new_id() -> str:
    return secrets.token_hex(8)
