"""The whole application on a real socket, with a data directory of its own for every test."""

import asyncio
import json
import os
import shutil
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
import uvloop

from auth.accounts import Accounts
from auth.bootstrap import ROOT_USER, Prepared, open_registry
from registry.bootstrap import prepare
from registry.config import Settings
from registry.databases import open_databases
from registry.roots import open_roots
from registry.run import Run
from storage.metadata.principals import change_principal
from tests.http.admin import FURNISHED, furnish
from tests.http.cheap_passwords import CheapPasswords
from tests.http.client import ADMIN_PASSWORD, USER_PASSWORD, Registry, Start, serving
from tests.http.kept_connection import LAYER, Kept, kept
from tests.http.long_answers import Stalled, stalling

EPOCH = bytes(range(32))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "furnished: the registry has one of everything that the admin API knows")
    config.addinivalue_line("markers", "settings(**sections): settings of the registry that the test gets")


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that serves in production."""
    return {"uvloop": uvloop.new_event_loop}


def _settings(root: Path, sections: Mapping[str, Any]) -> Settings:
    merged = {"log": {"access": False, "level": "error"}, **sections}
    merged["storage"] = {"root": root, "reserve": 0, **sections.get("storage", {})}
    return Settings(**merged)


async def _prepare(root: Path) -> None:
    settings = _settings(root, {"auth": {"admin_password": ADMIN_PASSWORD}})
    await prepare(settings)
    passwords, databases = CheapPasswords(), open_databases(settings)
    with open_roots(settings) as roots:
        opened = await open_registry(databases.registry, roots)
    accounts = Accounts(databases.registry, opened.account_id, passwords, time.time)
    await accounts.create_user("bob", USER_PASSWORD)
    admin = await passwords.hash(ADMIN_PASSWORD)
    await databases.registry.write(lambda c: change_principal(c, ROOT_USER, "root", password_hash=admin))
    await databases.close()
    passwords.close()


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory after its first start, with the root user and one other."""
    root = tmp_path_factory.mktemp("prepared") / "data"
    mask = os.umask(0o077)
    try:
        asyncio.run(_prepare(root))
    finally:
        os.umask(mask)
    return root


@pytest.fixture(scope="session")
def furnished(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data directory with one of everything that the admin API knows, made once: it takes twenty requests."""
    root = tmp_path_factory.mktemp("furnished") / "data"
    shutil.copytree(prepared, root)
    uvloop.run(_furnish(root))
    return root


async def _furnish(root: Path) -> None:
    async with serving(_settings(root, {}), Run(epoch=EPOCH, worker=0, started_at=0.0)) as registry:
        names = await furnish(registry)
    (root / FURNISHED).write_text(json.dumps(names))


@pytest.fixture
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Start:
    """Serve with settings, each start on the same data; `epoch` tells one start of a server from another."""
    root = tmp_path / "data"
    is_furnished = request.node.get_closest_marker("furnished") is not None
    shutil.copytree(request.getfixturevalue("furnished" if is_furnished else "prepared"), root)

    def begin(
        *, epoch: bytes = EPOCH, tls: ssl.SSLContext | None = None, **sections: Any
    ) -> AbstractAsyncContextManager[Registry]:
        return serving(_settings(root, sections), Run(epoch=epoch, worker=0, started_at=0.0), tls)

    return begin


@pytest.fixture
async def registry(start: Start, request: pytest.FixtureRequest) -> AsyncIterator[Registry]:
    """A registry with the settings of the test's marker, else the defaults."""
    marker = request.node.get_closest_marker("settings")
    async with start(**(marker.kwargs if marker else {})) as serving_registry:
        yield serving_registry


@pytest.fixture
async def identity(registry: Registry) -> Prepared:
    """Who the registry is, its keys included."""
    settings = _settings(registry.root, {})
    databases = open_databases(settings)
    with open_roots(settings) as roots:
        prepared = await open_registry(databases.registry, roots)
    await databases.close()
    return prepared


@pytest.fixture
async def connection(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Kept]:
    """A connection that is kept, with a token for a repository that holds an image."""
    await registry.push_image("team/app", "latest", LAYER)
    token = await registry.token("repository:team/app:pull,push")
    async with asyncio.timeout(30), kept(registry, token, monkeypatch) as opened:
        yield opened


@pytest.fixture
async def stalled(monkeypatch: pytest.MonkeyPatch) -> Stalled:
    """Hears of long answers that stop on their way."""
    return stalling(monkeypatch)
