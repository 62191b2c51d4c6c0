"""A small client that sends exactly what it is told, and a server in the same process for it to talk to."""

import asyncio
import base64
import io
import json
import ssl
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from aiohttp import ClientSession, DummyCookieJar, TCPConnector, web
from multidict import CIMultiDictProxy
from yarl import URL

from registry.app import create_app
from registry.config import Settings
from registry.http.connection import ConnectionLimits, close_when_draining, connection_factory
from registry.logs import logger
from registry.run import Run
from tests.http.documents import CONFIG_BYTES, IMAGE, image, sha256, sha512

ADMIN_PASSWORD: Final = "correct-horse"
USER_PASSWORD: Final = "battery-staple"
Headers = Iterable[tuple[str, str]]
Found = TypeVar("Found")


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


ADMIN: Final = basic("admin", ADMIN_PASSWORD)
USER: Final = basic("bob", USER_PASSWORD)
"""May log in, and nothing else."""


async def eventually(ask: Callable[[], Awaitable[Found]], is_enough: Callable[[Found], bool]) -> Found:
    """Ask until the answer is enough, at most ten seconds; the last answer."""
    async with asyncio.timeout(10):
        while not is_enough(found := await ask()):  # noqa: ASYNC110 (what is asked is on another side of a socket)
            await asyncio.sleep(0.01)
    return found


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: CIMultiDictProxy[str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body)

    @property
    def codes(self) -> list[str]:
        """The codes of an OCI error document, which must be well formed."""
        assert self.headers["Content-Type"].partition(";")[0] == "application/json"
        document = self.document
        assert document.keys() == {"errors"}
        for error in document["errors"]:
            assert error.keys() == {"code", "message", "detail"}
            assert error["message"]
        return [error["code"] for error in document["errors"]]

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and the one code of an error document."""
        (code,) = self.codes
        return self.status, code

    @property
    def detail(self) -> Any:
        return self.document["errors"][0]["detail"]

    @property
    def message(self) -> str:
        text: str = self.document["errors"][0]["message"]
        return text

    @property
    def location(self) -> str:
        return str(self.headers["Location"])


@dataclass(frozen=True)
class Registry:
    """One registry that serves, and how to ask it; credentials are the root user's unless told otherwise."""

    session: ClientSession
    port: int
    root: Path
    app: web.Application
    server: web.Server
    scheme: str = "http"

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    async def ask(
        self,
        method: str,
        path: str,
        *,
        body: bytes | AsyncIterable[bytes] | None = None,
        headers: Headers = (),
        authorization: str | None = ADMIN,
    ) -> Answer:
        """Send one request; the path is sent as it is, and nothing is followed, decoded or added that matters."""
        sent = [*headers]
        if authorization is not None:
            sent.append(("Authorization", authorization))
        url = URL(f"{self.scheme}://{self.host}{path}", encoded=True)
        payload = io.BytesIO(body) if isinstance(body, bytes) else body
        async with (
            asyncio.timeout(20),
            self.session.request(
                method, url, data=payload, headers=sent, allow_redirects=False, skip_auto_headers=("Content-Type",)
            ) as response,
        ):
            return Answer(response.status, response.headers, await response.read())

    async def get(self, path: str, *, headers: Headers = (), authorization: str | None = ADMIN) -> Answer:
        return await self.ask("GET", path, headers=headers, authorization=authorization)

    async def head(self, path: str, *, headers: Headers = (), authorization: str | None = ADMIN) -> Answer:
        return await self.ask("HEAD", path, headers=headers, authorization=authorization)

    async def delete(self, path: str, *, authorization: str | None = ADMIN) -> Answer:
        return await self.ask("DELETE", path, authorization=authorization)

    async def post(self, path: str, body: bytes | None = None, *, authorization: str | None = ADMIN) -> Answer:
        return await self.ask("POST", path, body=body, authorization=authorization)

    async def put(
        self, path: str, body: bytes | None = None, *, headers: Headers = (), authorization: str | None = ADMIN
    ) -> Answer:
        return await self.ask("PUT", path, body=body, headers=headers, authorization=authorization)

    async def patch(
        self,
        path: str,
        body: bytes | AsyncIterable[bytes],
        *,
        headers: Headers = (),
        authorization: str | None = ADMIN,
    ) -> Answer:
        return await self.ask("PATCH", path, body=body, headers=headers, authorization=authorization)

    async def start_upload(self, repository: str, query: str = "", *, authorization: str | None = ADMIN) -> str:
        """Where to send the bytes."""
        answer = await self.post(f"/v2/{repository}/blobs/uploads/{query}", authorization=authorization)
        assert answer.status == 202
        return answer.location

    async def push_blob(self, repository: str, content: bytes, *, algorithm: str = "sha256") -> str:
        """Push a blob in one request; returns its digest."""
        digest = sha512(content) if algorithm == "sha512" else sha256(content)
        answer = await self.post(f"/v2/{repository}/blobs/uploads/?digest={digest}", content)
        assert answer.status == 201
        return digest

    async def put_manifest(
        self, repository: str, reference: str, payload: bytes, *, media_type: str | None = IMAGE, headers: Headers = ()
    ) -> Answer:
        typed = () if media_type is None else (("Content-Type", media_type),)
        return await self.put(f"/v2/{repository}/manifests/{reference}", payload, headers=(*typed, *headers))

    async def push_manifest(
        self, repository: str, reference: str, payload: bytes, *, media_type: str | None = IMAGE
    ) -> str:
        """Push a manifest that must be accepted; returns its digest."""
        answer = await self.put_manifest(repository, reference, payload, media_type=media_type)
        assert answer.status == 201, answer.body
        return str(answer.headers["Docker-Content-Digest"])

    async def push_image(self, repository: str, tag: str, *layers: bytes, **members: Any) -> bytes:
        """Push config, layers and manifest; returns the manifest."""
        for content in (CONFIG_BYTES, *layers):
            await self.push_blob(repository, content)
        payload = image(layers, **members)
        await self.push_manifest(repository, tag, payload)
        return payload

    async def token(self, *scopes: str, authorization: str | None = ADMIN) -> str:
        """An Authorization header with a token for these scopes."""
        query = "&".join(f"scope={scope}" for scope in scopes)
        answer = await self.get(f"/auth/token?{query}", authorization=authorization)
        assert answer.status == 200
        return f"Bearer {answer.document['token']}"

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection("127.0.0.1", self.port)

    def request_head(self, method: str, path: str, *lines: str, authorization: str | None = ADMIN) -> bytes:
        """The head of a request, for a raw connection."""
        credentials = [] if authorization is None else [f"Authorization: {authorization}"]
        head = [f"{method} {path} HTTP/1.1", f"Host: {self.host}", *credentials, *lines]
        return "\r\n".join([*head, "", ""]).encode("latin-1")

    async def exchange(self, sent: bytes) -> bytes:
        """Send bytes on a connection of their own, and read until the server closes it."""
        reader, writer = await self.connect()
        writer.write(sent)
        async with asyncio.timeout(10):
            received = await reader.read()
        writer.close()
        return received


Start = Callable[..., AbstractAsyncContextManager[Registry]]
"""Serves with the settings that it is given, section by section."""


@asynccontextmanager
async def serving(settings: Settings, run: Run, tls: ssl.SSLContext | None = None) -> AsyncIterator[Registry]:
    """Serve as a worker does, on a free port, until the block ends."""
    app = await create_app(settings, run)
    app.on_response_prepare.append(close_when_draining)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    assert runner.server is not None
    bounds = settings.limits
    limits = ConnectionLimits(bounds.header_bytes, bounds.header_seconds, bounds.body_idle, connections=1000)
    listening = await asyncio.get_running_loop().create_server(
        connection_factory(runner.server, limits, logger()), "127.0.0.1", 0, ssl=tls
    )
    port: int = listening.sockets[0].getsockname()[1]
    connector = TCPConnector(ssl=False, force_close=True)
    session = ClientSession(connector=connector, cookie_jar=DummyCookieJar(), auto_decompress=False)
    try:
        yield Registry(session, port, settings.storage.root, app, runner.server, "https" if tls else "http")
    finally:
        await session.close()
        listening.close()
        await runner.cleanup()
