"""The one place that picks implementations: from settings to an application that serves.

Everything is opened in the process that uses it: no connection, thread or event loop crosses a fork.
"""

import secrets
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack

from aiohttp import web

from auth.bootstrap import Prepared, open_registry
from auth.sealing import subkey
from registry.access_parts import Defence, credential_jobs, open_access, open_defence
from registry.admin import door as admin_door
from registry.admin import errors as admin_errors
from registry.admin import health, metrics
from registry.admin import routes as admin_routes
from registry.administration import administration, deciders_of
from registry.audit_parts import cutting, recording
from registry.config import Settings
from registry.content import Content, open_content
from registry.core.audit import AUDIT_METRICS
from registry.core.blobs import Blobs
from registry.core.damage import DAMAGED_OBJECTS
from registry.core.images import Images, Sparse
from registry.core.repositories import Repositories
from registry.core.upload_hints import HintSigner
from registry.core.uploads import UploadLimits, Uploads
from registry.damage_reports import DamageReports
from registry.databases import Databases, open_databases
from registry.http.access import ACCESS
from registry.http.auditing import Auditing
from registry.http.identifiers import request_ids
from registry.http.metrics import HTTP_METRICS, RequestMetrics
from registry.http.middleware import SIGNATURE, Observers, answering, sign
from registry.http.routes import add_routes
from registry.http.shortcuts import Ground, Shortcuts
from registry.http.strangers import Strangers
from registry.http.transfers import Sender
from registry.jobs.reencryption import reencrypting
from registry.jobs.scheduler import Job, Scheduler
from registry.logs import access_log
from registry.oci import errors as oci_errors
from registry.oci import routes as oci_routes
from registry.oci import shortcuts as oci_shortcuts
from registry.oci.services import SERVICES, Bounds, Services
from registry.oci.token import JWKS, TOKENS
from registry.roots import open_roots
from registry.run import Run
from registry.stores import BUFFER_BYTES, ContentStore
from storage.budget import BufferBudget
from storage.metadata.database import ReadsAtOnce
from storage.metadata.migration import touch

_SENDER_THREADS = 16
_EVERY_ANSWER = {**SIGNATURE, **oci_routes.EVERY_ANSWER}


async def create_app(settings: Settings, run: Run) -> web.Application:
    """The application of one worker; what it opens is closed when the application is cleaned up."""
    stack = AsyncExitStack()
    databases = open_databases(settings)
    stack.push_async_callback(databases.close)
    roots = stack.enter_context(open_roots(settings))
    prepared = await open_registry(databases.registry, roots)
    content = await stack.enter_async_context(open_content(settings, databases, prepared.registry_id, roots))
    defence = await open_defence(settings, prepared, databases.activity, stack)
    deciders = deciders_of(settings, prepared, databases.registry)
    access, tokens, published = open_access(settings, prepared, deciders, defence, stack)
    counts = run.counts.writer(max(0, run.worker))
    trail = await stack.enter_async_context(
        recording(settings.audit, databases.activity, databases.durable_activity, prepared.secrets_key, counts)
    )
    damage = DamageReports(counts, trail, prepared.account_id, time.time)
    services = _services(settings, databases, content, damage, _hints(settings, run, prepared), stack)
    auditing = Auditing(trail, Strangers(settings.audit.refusals, time.monotonic), time.time)
    observers = Observers(access_log(settings.log), RequestMetrics(counts), auditing.observe)
    new_id = request_ids()
    shortcuts = Shortcuts(Ground(access, auditing, observers, new_id, _EVERY_ANSWER), oci_shortcuts.reads(services))
    learn = shortcuts.open if isinstance(databases.registry, ReadsAtOnce) else None
    app = web.Application(middlewares=[answering(_render, observers, new_id, learn)])
    app[ACCESS], app[TOKENS], app[JWKS], app[SERVICES] = access, tokens, published, services
    app[health.READINESS] = _readiness(databases, content.store)
    app[metrics.EXPOSITION] = metrics.Exposition(run.counts, (*HTTP_METRICS, *AUDIT_METRICS, DAMAGED_OBJECTS))
    app[admin_door.SERVICES] = administration(settings, databases, roots, prepared, defence.passwords, deciders)
    add_routes(app, oci_routes.ROUTES)
    add_routes(app, admin_routes.ROUTES)
    app.on_response_prepare.extend((sign, oci_routes.add_version))

    jobs = _jobs(settings, services, databases, content, prepared, defence)
    scheduler = Scheduler(databases.registry, jobs, holder=_new_id(), now=time.time)
    await stack.enter_async_context(scheduler.running())

    async def close(_app: web.Application) -> None:
        await stack.aclose()

    app.on_cleanup.append(close)
    return app


def _readiness(databases: Databases, store: ContentStore) -> health.Readiness:
    probes = {
        "database": lambda: databases.registry.write(touch),
        "activity": lambda: databases.activity.write(touch),
        "content": store.probe,
    }
    return health.Readiness(probes, time.monotonic)


def _render(request: web.Request, error: Exception) -> web.StreamResponse:
    """Each door tells of errors in its own words."""
    is_admin = request.path.startswith(admin_routes.PREFIX)
    return admin_errors.render(request, error) if is_admin else oci_errors.render(request, error)


def _hints(settings: Settings, run: Run, prepared: Prepared) -> HintSigner:
    """Who signs hints of what is staged.

    Staged files may be lost with the machine: hints end with the server. What is in a bucket is marked and stays, and
    any node may be asked to go on with it.
    """
    is_lasting = settings.storage.backend != "filesystem"
    return HintSigner(subkey(prepared.secrets_key, "upload-hint") if is_lasting else run.epoch)


def _services(
    settings: Settings,
    databases: Databases,
    content: Content,
    damage: DamageReports,
    hints: HintSigner,
    stack: AsyncExitStack,
) -> Services:
    limits = settings.limits
    repositories = Repositories(databases.registry, most=limits.page)
    blobs = Blobs(
        databases.registry, content.places, time.time, damaged=damage.hear, redirects=settings.storage.redirect
    )
    senders = stack.enter_context(ThreadPoolExecutor(_SENDER_THREADS, thread_name_prefix="sender"))
    parsers = stack.enter_context(ThreadPoolExecutor(1, thread_name_prefix="parser"))
    return Services(
        repositories=repositories,
        blobs=blobs,
        uploads=Uploads(
            databases.activity,
            content.places,
            blobs,
            repositories,
            limits=UploadLimits(limits.blob_bytes, limits.uploads),
            now=time.time,
            new_id=lambda: str(uuid.uuid4()),
        ),
        images=_images(settings, databases, content, damage),
        hints=hints,
        budget=content.budget,
        documents=BufferBudget(BUFFER_BYTES),
        sender=Sender(senders, idle_seconds=limits.body_idle, budget=content.budget),
        bounds=Bounds(limits.manifest_bytes, limits.json_depth, limits.tags_per_push, limits.body_idle),
        create_on_push=settings.repositories.create_on_push,
        threads=parsers,
    )


def _images(settings: Settings, databases: Databases, content: Content, damage: DamageReports) -> Images:
    return Images(
        databases.registry,
        sparse=Sparse(settings.manifests.allow_sparse),
        most=settings.limits.page,
        now=time.time,
        seals=content.seals,
        damaged=damage.hear,
    )


def _jobs(
    settings: Settings,
    services: Services,
    databases: Databases,
    content: Content,
    prepared: Prepared,
    defence: Defence,
) -> tuple[Job, ...]:
    ttl = settings.limits.upload_ttl

    async def sweep_uploads() -> None:
        await services.uploads.sweep(idle_since=time.time() - ttl)

    return (
        Job("sweep-uploads", every_seconds=min(3600, max(1, ttl / 4)), run=sweep_uploads),
        *credential_jobs(settings, databases.registry, prepared, defence),
        reencrypting(databases.registry, content.places, content.seals, encrypts=settings.encryption.mode != "off"),
        cutting(databases.activity, prepared.secrets_key, settings.audit.retention),
    )


def _new_id() -> str:
    return secrets.token_hex(8)
