"""Small documents from servers that nobody vouches for: fetched without letting them, or their names, lead elsewhere.

- The address is checked at the moment that it is connected to, whatever the name resolved to before.
- No redirect is followed, no proxy asked, no cookie or credential sent or kept.
- An answer is bounded in size, and everything about it in time.
"""

import asyncio
import socket
from http import HTTPStatus
from ssl import SSLContext, SSLError
from typing import Any, Final

from aiohttp import (
    ClientConnectorCertificateError,
    ClientConnectorError,
    ClientError,
    ClientSession,
    ClientSSLError,
    ClientTimeout,
    DummyCookieJar,
    TCPConnector,
)
from aiohttp.abc import AbstractResolver
from yarl import URL

from registry.release import release
from registry.upstream.addresses import is_allowed

MOST_BYTES: Final = 256 * 1024

_MOST_CONNECTIONS: Final = 20
_REDIRECTS: Final = range(300, 400)


class DocumentRefused(OSError):
    """The document cannot be had; the text says why and may be shown."""


class AddressRefused(DocumentRefused):
    """The address is none that may be connected to."""

    def __init__(self) -> None:
        super().__init__("it is at an address that may not be asked")


class Documents:
    """Fetches documents; `tls` and `resolver` stand in for the authorities and the name servers of this machine."""

    def __init__(
        self, *, seconds: float = 5, tls: SSLContext | None = None, resolver: AbstractResolver | None = None
    ) -> None:
        self._seconds = seconds
        self._tls = tls
        self._resolver = resolver
        self._sessions: dict[bool, ClientSession] = {}

    async def fetch(self, url: str, *, allow_private: bool) -> bytes:
        """The body of a 200 answer, at most 256 KiB; raises DocumentRefused."""
        try:
            async with asyncio.timeout(self._seconds):
                return await self._get(URL(url, encoded=True), self._session(allow_private=allow_private))
        except TimeoutError as error:
            raise DocumentRefused("it does not answer in time") from error
        except (ClientError, OSError, ValueError) as error:
            raise _refusal(error) from error

    async def close(self) -> None:
        """Let go of what was opened."""
        for session in self._sessions.values():
            await session.close()
        self._sessions.clear()

    async def _get(self, url: URL, session: ClientSession) -> bytes:
        body = bytearray()
        async with session.get(url, allow_redirects=False) as response:
            if response.status in _REDIRECTS:
                raise DocumentRefused("it redirects, which is not followed")
            if response.status != HTTPStatus.OK:
                raise DocumentRefused(f"it answers {response.status}")
            async for piece in response.content.iter_any():
                body += piece
                if len(body) > MOST_BYTES:
                    raise DocumentRefused(f"its answer is longer than {MOST_BYTES} bytes")
        return bytes(body)

    def _session(self, *, allow_private: bool) -> ClientSession:
        session = self._sessions.get(allow_private)
        if session is None:
            session = self._sessions[allow_private] = self._open(allow_private=allow_private)
        return session

    def _open(self, *, allow_private: bool) -> ClientSession:
        def checked_socket(address: tuple[Any, ...]) -> socket.socket:
            family, kind, protocol, _, where = address
            if not is_allowed(where[0], allow_private=allow_private):
                raise AddressRefused
            return socket.socket(family, kind, protocol)

        return ClientSession(
            connector=TCPConnector(
                ssl=True if self._tls is None else self._tls,
                resolver=self._resolver,
                use_dns_cache=False,
                force_close=True,
                limit=_MOST_CONNECTIONS,
                socket_factory=checked_socket,
            ),
            cookie_jar=DummyCookieJar(),
            timeout=ClientTimeout(total=self._seconds),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": f"lading/{release()}"},
            auto_decompress=False,
            trust_env=False,
        )


def _refusal(error: Exception) -> DocumentRefused:
    """The reason without what it would tell of the network here: no address, no port, no text of a library."""
    if isinstance(error, ClientConnectorError) and not isinstance(error, DocumentRefused):
        error = error.os_error
    match error:
        case DocumentRefused():
            return error
        case ClientConnectorCertificateError() | ClientSSLError() | SSLError():
            return DocumentRefused("its certificate is not one that is trusted")
        case _:
            return DocumentRefused("it cannot be reached")
